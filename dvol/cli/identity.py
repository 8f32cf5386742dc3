"""The author and date of a commit, from git's own settings: users have configured these already."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

_TIMEOUT = 5.0  # seconds for git to begin its answer


def ask(environment: Mapping[str, str]) -> Callable[[], str]:
    """The author, `Name <email>`: from git's environment, else its configuration, else user@host.

    git is started at once, and its answer is read when the returned function is called: meanwhile
    dvol can load other modules.
    """
    given = environment.get("GIT_AUTHOR_NAME"), environment.get("GIT_AUTHOR_EMAIL")
    settings = dict if all(given) else _ask_git(environment)
    return lambda: _author(*given, environment.get("EMAIL"), settings())


def _author(name: str | None, email: str | None, mail: str | None, git: dict[str, str]) -> str:
    name = name or git.get("author.name") or git.get("user.name") or _user()
    email = email or git.get("author.email") or git.get("user.email")
    email = email or mail or f"{_user()}@{os.uname().nodename}"
    return f"{_clean(name) or _user()} <{_clean(email)}>"


def date() -> str:
    """The current time with the local offset, RFC 3339."""
    try:
        return datetime.now().astimezone().isoformat(timespec="seconds")
    except ValueError:  # TZ has an offset of a day or more
        return datetime.now(UTC).isoformat(timespec="seconds")


def _ask_git(environment: Mapping[str, str]) -> Callable[[], dict[str, str]]:
    """git's settings, those of a repository here included; none if git is not installed."""
    command = ["git", "config", "-z", "--get-regexp", r"^(author|user)\.(name|email)$"]
    try:
        child, answer = _spawn(command, environment)
    except OSError:
        return dict

    def settings() -> dict[str, str]:
        pairs = _read_answer(child, answer).decode(errors="surrogateescape").split("\0")
        return dict(pair.split("\n", 1) for pair in pairs if "\n" in pair)

    return settings


def _spawn(command: list[str], environment: Mapping[str, str]) -> tuple[int, int]:
    """Start a program; returns its pid and the end of a pipe from which its stdout can be read.
    Loading `subprocess` would take longer than git does."""
    reading, writing = os.pipe()
    try:
        to_null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 2)]
        actions = [*to_null, (os.POSIX_SPAWN_DUP2, writing, 1)]
        return os.posix_spawnp(command[0], command, environment, file_actions=actions), reading
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)


def _read_answer(child: int, reading: int) -> bytes:
    with os.fdopen(reading, "rb") as answer:
        if not select.select([answer], [], [], _TIMEOUT)[0]:
            from signal import SIGKILL  # late: it is needed only here

            os.kill(child, SIGKILL)
        text = answer.read()
        os.waitpid(child, 0)
    return text


def _clean(text: str) -> str:
    """Without the characters that would break `Name <email>`: git removes them too."""
    return re.sub(r"[<>\n\r\0]", "", text).strip()


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # the uid has no name
        return "unknown"
