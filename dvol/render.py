"""How facts look on a terminal: tables as the original printed them, logs as git does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dvol.model import Branch, Commit, Volume


def volumes(listed: Sequence[Volume]) -> str:
    """A table; the active volume is marked with a star."""
    rows = [("  VOLUME", "BRANCH")]
    for volume in listed:
        star = "* " if volume.active else "  "
        rows.append((star + volume.name, "(corrupt)" if volume.problem else volume.branch))
    width = max(len(first) for first, _ in rows)
    return "".join(f"{first:<{width}}   {second}\n" for first, second in rows)


def branches(listed: Sequence[Branch]) -> str:
    """One line a branch; the current one is marked with a star."""
    return "".join(f"{'*' if one.current else ' '} {one.name}\n" for one in listed)


def log(commits: Sequence[Commit]) -> str:
    """Commits as `git log` shows them."""
    return "\n".join(map(_commit, commits))


def _commit(commit: Commit) -> str:
    """Commits of the original have no author and no date, and it said so in these words."""
    message = "".join(f"    {line}\n" for line in commit.message.split("\n"))
    author = commit.author or "Who knows <mystery@person>"
    when = _date(commit.date) if commit.date else "Whenever"
    return f"commit {commit.id}\nAuthor: {author}\nDate:   {when}\n\n{message}"


def _date(date: str) -> str:
    """git's default format, in the author's own time zone."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return date
    return f"{moment:%a %b} {moment.day} {moment:%H:%M:%S %Y %z}"
