"""Who commits, and when: git's own settings, so that nobody has to say it twice."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Mapping
from datetime import UTC, datetime

_PATIENCE = 5.0  # seconds for git to begin its answer


def author(environment: Mapping[str, str]) -> str:
    """`Name <email>`: from git's environment, else its configuration, else user@host."""
    name, email = environment.get("GIT_AUTHOR_NAME"), environment.get("GIT_AUTHOR_EMAIL")
    if not name or not email:
        settings = _git_settings(environment)
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


def _git_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """git's own view of its files, repository included; nothing where there is no git."""
    try:
        command = ["git", "config", "-z", "--get-regexp", r"^(author|user)\.(name|email)$"]
        answer = _answer(command, environment)
    except OSError:
        return {}
    pairs = answer.decode(errors="surrogateescape").split("\0")
    return dict(pair.split("\n", 1) for pair in pairs if "\n" in pair)


def _answer(command: list[str], environment: Mapping[str, str]) -> bytes:
    """What a program prints. Loading `subprocess` takes longer than git does."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as answer:
        try:
            silence = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 2)]
            spoken = (os.POSIX_SPAWN_DUP2, writing, 1)
            actions = [*silence, spoken]
            child = os.posix_spawnp(command[0], command, environment, file_actions=actions)
        finally:
            os.close(writing)
        if not select.select([answer], [], [], _PATIENCE)[0]:
            from signal import SIGKILL  # late, as below

            os.kill(child, SIGKILL)
        text = answer.read()
        os.waitpid(child, 0)
    return text


def _clean(text: str) -> str:
    """What would break `Name <email>` goes, as git does it."""
    return re.sub(r"[<>\n\r\0]", "", text).strip()


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a uid that has no name
        return "unknown"
