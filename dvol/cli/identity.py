"""Who commits, and when: git's own settings, so that nobody has to say it twice."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

_PATIENCE = 5.0  # seconds for git to begin its answer


def ask(environment: Mapping[str, str]) -> Callable[[], str]:
    """Who commits, `Name <email>`: from git's environment, else its configuration, else user@host.

    git is started at once and heard when the name is wanted: dvol has much to load meanwhile.
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
    """This moment with the local offset, RFC 3339."""
    try:
        return datetime.now().astimezone().isoformat(timespec="seconds")
    except ValueError:  # a TZ further than a day from anywhere
        return datetime.now(UTC).isoformat(timespec="seconds")


def _ask_git(environment: Mapping[str, str]) -> Callable[[], dict[str, str]]:
    """git's own view of its files, repository included; nothing where there is no git."""
    command = ["git", "config", "-z", "--get-regexp", r"^(author|user)\.(name|email)$"]
    try:
        child, answer = _started(command, environment)
    except OSError:
        return dict

    def settings() -> dict[str, str]:
        pairs = _heard(child, answer).decode(errors="surrogateescape").split("\0")
        return dict(pair.split("\n", 1) for pair in pairs if "\n" in pair)

    return settings


def _started(command: list[str], environment: Mapping[str, str]) -> tuple[int, int]:
    """A program, and where its answer will be. Loading `subprocess` takes longer than git does."""
    reading, writing = os.pipe()
    try:
        silence = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 2)]
        actions = [*silence, (os.POSIX_SPAWN_DUP2, writing, 1)]
        return os.posix_spawnp(command[0], command, environment, file_actions=actions), reading
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)


def _heard(child: int, reading: int) -> bytes:
    with os.fdopen(reading, "rb") as answer:
        if not select.select([answer], [], [], _PATIENCE)[0]:
            from signal import SIGKILL  # late, as above

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
