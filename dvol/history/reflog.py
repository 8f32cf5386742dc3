"""The reflog: where HEAD and each branch of a volume pointed, and which verb made it point there.

One file for each volume. Each line is a JSON object, see `Line`. A verb appends its line before it
publishes its change, so that the sync of the file system that it needs anyway makes the line
durable too. So a verb that was refused or killed leaves a line of a change that never happened; a
full disk or a power cut costs a line, and tears one at most. Reading goes back from where HEAD or
the branch points now. It leaves out lines of changes that never happened, and shows where lines are
missing. No verb depends on the reflog.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from dvol import dates
from dvol.fs import projects
from dvol.fs.create import create, make_directory
from dvol.fs.log import append_line, read_end
from dvol.history.commits import ID
from dvol.layout import VolumeLayout
from dvol.model import ReflogEntry, first_line

CHECKOUT = "checkout"  # the verb of a line that is HEAD's alone
_MOST = 4 << 20  # bytes that are read, and that stay when twice as many are there: 20,000 lines
_LONGEST = 100  # characters of a message


class Line(NamedTuple):
    """A change of where a branch pointed, from the commit `old` to the commit `new`, "" being
    none.

    If `head` is true the branch was the current one, or became so: such lines are the log of HEAD.
    The line of a checkout is the new branch's: `old` is the head of the branch before, `new` its
    own. `date` is that of `append` if it is "".
    """

    branch: str
    old: str
    new: str
    verb: str
    message: str
    head: bool
    date: str = ""


def append(layout: VolumeLayout, line: Line) -> None:
    """Append a line; of its message only the beginning of the first line. The caller holds the
    volume's lock. An error of the disk is ignored; BadDocument is raised for a symbolic link."""
    title = first_line(line.message)[:_LONGEST]
    line = line._replace(message=title, date=line.date or dates.now())
    with suppress(OSError):
        if append_line(layout.reflog, _encoded(line)) > 2 * _MOST:
            _replace(layout, read_end(layout.reflog, _MOST))


def entries(layout: VolumeLayout, branch: str, head_now: str) -> Iterator[ReflogEntry]:
    """Where a branch pointed, or HEAD if `branch` is "": newest first, the first being the present
    commit `head_now`. Each line is read when its entry is asked for. Raises BadDocument if the
    reflog is no file."""
    name = branch or "HEAD"
    lines = (line for line in _newest_first(layout) if _is_of(branch, line))
    for n, line in enumerate(walk(lines, head_now)):
        named = (line.verb, line.date, line.message, line.branch)
        yield ReflogEntry(f"{name}@{{{n}}}", line.new, *named)


def walk(newest_first: Iterable[Line], head_now: str) -> Iterator[Line]:
    """The lines of the changes that led to `head_now`, from the newest to the oldest. Where lines
    are missing, a line without verb tells what the next change began with."""
    expected = head_now
    for line in newest_first:
        if line.new != expected and line.old == expected:
            continue  # the change never happened
        if line.new != expected:
            yield _missing(expected, line.date)
        yield line
        expected = line.old
    if expected:  # of a volume that is older than its reflog, or whose older lines have expired
        yield _missing(expected, "")


def at(entries: Iterable[ReflogEntry], n: int) -> str | None:
    """The commit of entry `n`; None if there is no such entry, or none was pointed at."""
    return next((entry.id or None for entry in islice(entries, n, None)), None)


def at_time(entries: Iterable[ReflogEntry], moment: datetime) -> str | None:
    """The commit that was pointed at at that moment; None if there was none, or if the reflog does
    not go back to it."""
    for entry in entries:
        if entry.date and dates.parse(entry.date) <= moment:
            return entry.id or None
    return None


def expire(layout: VolumeLayout, before: datetime) -> None:
    """Delete the lines that are older than that moment. The caller holds the volume's lock."""
    lines = list(_newest_first(layout))
    kept = [_encoded(line) + b"\n" for line in lines if dates.parse(line.date) >= before]
    if len(kept) < len(lines):
        _replace(layout, b"".join(reversed(kept)))


def _is_of(branch: str, line: Line) -> bool:
    return line.branch == branch and line.verb != CHECKOUT if branch else line.head


def _missing(id: str, date: str) -> Line:
    return Line("", "", id, "", "", False, date)


def _newest_first(layout: VolumeLayout) -> Iterator[Line]:
    found = read_end(layout.reflog, _MOST).decode("ascii", "replace").split("\n")
    return filter(None, map(_decoded, reversed(found)))


def _encoded(line: Line) -> bytes:
    return json.dumps(line._asdict()).encode("ascii")


def _decoded(text: str) -> Line | None:
    """None for what is no line: a torn one, or what an earlier or later build may write."""
    try:
        document = json.loads(text)
        line = Line(*(document[name] for name in Line._fields))
        dates.parse(line.date)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return line if _is_valid(line) else None


def _is_valid(line: Line) -> bool:
    texts = (line.branch, line.verb, line.message)
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(line.head, bool)
        and all(isinstance(id, str) and (not id or ID.fullmatch(id)) for id in line[1:3])
    )


def _replace(layout: VolumeLayout, content: bytes) -> None:
    """Replace the reflog whole. Its new content is durable before it gets its name: no power cut
    leaves less than one of the two."""
    make_directory(layout.staging)
    staged = layout.staging / layout.reflog.name
    with os.fdopen(create(staged), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    projects.rename(staged, layout.reflog)
