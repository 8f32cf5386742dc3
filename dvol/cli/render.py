"""How facts look on a terminal: tables as the original printed them, logs as git does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dvol.errors import printable
from dvol.model import Branch, Commit, Discarded, Finding, Freed, Restored, Volume
from dvol.sizes import readable


def volumes(listed: Sequence[Volume]) -> str:
    """A table; the active volume is marked with a star."""
    rows = [("  VOLUME", "BRANCH", "CONTAINERS")]
    for volume in listed:
        star = "* " if volume.active else "  "
        branch = "(corrupt)" if volume.problem else volume.branch
        rows.append((star + volume.name, branch, volume.containers))
    return _table(rows)


def branches(listed: Sequence[Branch]) -> str:
    """One line a branch; the current one is marked with a star."""
    return "".join(f"{'*' if one.current else ' '} {one.name}\n" for one in listed)


def log(commits: Sequence[Commit]) -> str:
    """Commits as `git log` shows them."""
    return "\n".join(map(_commit, commits))


def head(commit: Commit) -> str:
    """Where a branch stands now, as git says it."""
    if not commit.id:
        return "HEAD is now before the first commit"
    title = printable(commit.message.split("\n")[0])
    return f"HEAD is now at {commit.id[:7]} {title}"


def discarded(listed: Sequence[Discarded]) -> str:
    """A table; the first column is what `restore` wants."""
    rows = [("ENTRY", "DISCARDED", "WHAT")]
    return _table([*rows, *((one.entry, _when(one.date), _what(one)) for one in listed)])


def restored(done: Restored) -> str:
    """What came back."""
    if done.branch:
        return f"Restored branch {done.volume}/{done.branch}\n"
    return f"Restored volume {done.volume}\n"


def freed(entries: Sequence[Freed], dry_run: bool) -> str:
    """A line an entry, and the sum."""
    rows = [(one.entry, readable(one.size), _what(one)) for one in entries]
    total = readable(sum(one.size for one in entries))
    return _table(rows) + f"{'Would free' if dry_run else 'Freed'} {total}\n"


def findings(found: Sequence[Finding]) -> str:
    """A line a finding."""
    return "".join(
        f"{one.volume or 'the pool'}: {printable(one.problem)}"
        f"{' (repaired)' if one.state == 'repaired' else ''}\n"
        for one in found
    )


def summary(found: Sequence[Finding]) -> str:
    """How bad it is, in one line."""
    states = [one.state for one in found]
    counts = [f"{states.count(state)} {state}" for state in ("broken", "repaired", "busy")]
    told = ", ".join(count for count in counts if not count.startswith("0 "))
    return f"found {told}" if told else "nothing wrong was found"


def _what(one: Discarded | Freed) -> str:
    branch = f"{one.volume}/{one.branch}"
    if one.verb in ("reset", "undo"):
        return f"state of {branch} before {one.verb}"
    if one.branch:
        return f"branch {branch}"
    if one.verb == "rm":
        return f"volume {one.volume}"
    return f"commit of {one.volume} that was in no list" if one.verb else "nobody can tell"


def _when(date: str) -> str:
    """In the reader's own time zone: nobody else looks at it."""
    try:
        return f"{datetime.fromisoformat(date).astimezone():%Y-%m-%d %H:%M:%S %z}"
    except (ValueError, OverflowError):
        return date


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns with three spaces between, the last one as long as it likes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return "".join(
        "   ".join(
            [*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]
        ).rstrip(" ")
        + "\n"
        for row in rows
    )


def _commit(commit: Commit) -> str:
    """Commits of the original have no author and no date, and it said so in these words."""
    message = "".join(f"    {line}\n" for line in commit.message.split("\n"))
    author = commit.author or "Who knows <mystery@person>"
    when = _date(commit.date) if commit.date else "Whenever"
    more = f"State:  {_STATES[commit.state]}\n" if commit.state in _STATES else ""
    more += f"Group:  {commit.group[:7]}\n" if commit.group else ""
    return f"commit {commit.id}\nAuthor: {author}\nDate:   {when}\n{more}\n{message}"


_STATES = {  # what stopped in order is not worth a line
    "paused": "taken while paused, as after a crash",
    "live": "taken while written to, as after a crash",
    "killed": "taken after a kill, as after a crash",
}


def _date(date: str) -> str:
    """git's default format, in the author's own time zone."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return date
    return f"{moment:%a %b} {moment.day} {moment:%H:%M:%S %Y %z}"
