"""The trash: what verbs discard is moved there whole, with a note of what it was.

An entry is a directory that a verb prepares in its staging and moves here last:

    entry.json      what happened: id, verb, volume, branch, date, the list of commits as it was
    commits/<id>/   frozen trees that no branch has any more (reset, undo, branch -d, fsck)
    tree/           the live tree (branch -d; reset where trees are exchanged whole)
    line.json       its list (branch -d)
    undo/<n>/       what was discarded of it before (branch -d)
    files/<n>       what was set aside of it (reset in place), told by the note's `changes`
    base/           the frozen tree those changes are against, if no commit is (undo)
    volume/         a whole volume (rm)

Entries of `rm`, `branch -d` and `fsck` are the pool's, those of `reset` and `undo` the volume's.
Only the notes are made and read here; the moves are steps of a journal. What entries hold and need
of each other is `discarded`'s.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dvol.errors import BadDocument, InTheWay
from dvol.fs.durable import read_json, write_json
from dvol.history.commits import now

FORMAT = 1


def new_name() -> str:
    """A name for an entry that no other has, by which entries sort by age."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{os.urandom(6).hex()}"


def id_in(name: str) -> str:
    """The part of such a name by which people call the entry."""
    return name.rpartition("-")[2]


def new_entry(staging: Path, into: Path) -> Path:
    """Make an entry in `staging`.

    Where it will be moved `into` is made sure of now: once the steps are journalled, nothing may
    stand in their way.
    """
    entry = staging / new_name()
    entry.mkdir(parents=True)
    (entry / "commits").mkdir()
    into.mkdir(parents=True, exist_ok=True)
    if os.lstat(into).st_dev != os.lstat(entry).st_dev:
        raise InTheWay(f"the file system mounted at {into}")
    return entry


def describe(entry: Path, *, durable: bool, **facts: Any) -> None:
    """Write the note of an entry; it becomes durable with the rest of what is staged, or at
    once where the rest is `durable` already."""
    note = {"format": FORMAT, "id": id_in(entry.name), "date": now(), **facts}
    write_json(entry / "entry.json", note, durable=durable)


def described(entry: Path) -> dict[str, Any]:
    """The note of an entry; BadDocument where it makes no sense."""
    path = entry / "entry.json"
    note = read_json(path)
    if not isinstance(note, dict) or note.get("format") != FORMAT or "verb" not in note:
        raise BadDocument(str(path), "not a note that this dvol knows")
    return note


def entries(trash: Path) -> list[Path]:
    """What is in a trash, oldest first."""
    try:
        return sorted(trash.iterdir())
    except FileNotFoundError:
        return []


def next_number(trash: Path) -> str:
    """The name of the next entry of a branch: in order, whatever the clock does."""
    last = max((int(path.name) for path in entries(trash) if path.name.isdecimal()), default=0)
    return f"{last + 1:08d}"
