"""Who commits, and when: git's own settings, so that nobody has to say it twice."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime


def author(environment: Mapping[str, str]) -> str:
    """`Name <email>`: from git's environment, else its configuration, else user@host."""
    name, email = environment.get("GIT_AUTHOR_NAME"), environment.get("GIT_AUTHOR_EMAIL")
    if not name or not email:
        settings = _git_settings()
        name = name or settings.get("author.name") or settings.get("user.name") or _user()
        email = email or settings.get("author.email") or settings.get("user.email")
    email = email or environment.get("EMAIL") or f"{_user()}@{os.uname().nodename}"
    return f"{_clean(name) or _user()} <{_clean(email)}>"


def date() -> str:
    """This moment with the local offset, RFC 3339."""
    try:
        return datetime.now().astimezone().isoformat(timespec="seconds")
    except ValueError:  # a TZ further than a day from anywhere
        return datetime.now(UTC).isoformat(timespec="seconds")


def _git_settings() -> dict[str, str]:
    """git's own view of its files, repository included; nothing where there is no git."""
    import subprocess  # late, as below: it costs more than many a commit

    command = ["git", "config", "-z", "--get-regexp", r"^(author|user)\.(name|email)$"]
    try:
        answer = subprocess.run(command, capture_output=True, check=False, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = answer.stdout.decode(errors="surrogateescape").split("\0")
    return dict(pair.split("\n", 1) for pair in pairs if "\n" in pair)


def _clean(text: str) -> str:
    """What would break `Name <email>` goes, as git does it."""
    return re.sub(r"[<>\n\r\0]", "", text).strip()


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a uid that has no name
        return "unknown"
