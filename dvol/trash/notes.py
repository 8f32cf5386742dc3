"""The entries of the trash, as they are on disk: directories, each with a note.

An entry is a directory that a verb prepares in its staging and moves to the trash last:

    entry.json      the note: id, verb, volume, branch, date, the list of commits before the verb
    commits/<id>/   before format 3: frozen trees that no branch has any more
    tree/           the live tree (branch -d; reset where trees are exchanged whole)
    commits.json    the branch's list (branch -d)
    undo/<n>/       the branch's undo entries (branch -d)
    files/<n>       files of the live tree (reset in place), see the note's `changes`
    base/           the frozen tree that the changes are against, if no commit is (undo)
    volume/         a whole volume (rm)

Entries of `rm`, `branch -d` and `fsck` are the pool's, those of `reset` and `undo` the volume's.
Only the notes are made and read here; the moves are steps of a journal. Which commits an entry
holds and needs is in `entry`, which entries need each other in `reachability`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dvol import dates
from dvol.errors import BadDocument, PathOccupied
from dvol.fs.create import make_directory
from dvol.fs.documents import read_json, write_json

FORMAT = 2
_READ = (1, FORMAT)  # format 1 called `commits` `line`


def new_name() -> str:
    """A unique name for an entry; entries sort by age."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{stamp}-{os.urandom(6).hex()}"


def id_in(name: str) -> str:
    """The entry's id, which is a part of its name."""
    return name.rpartition("-")[2]


def new_entry(staging: Path, into: Path) -> Path:
    """Make an entry in `staging`.

    The directory `into` which it will be moved is made now, since journalled steps must not fail.
    Raises PathOccupied if another file system is mounted there.
    """
    entry = staging / new_name()
    make_directory(entry)
    make_directory(into)
    if os.lstat(into).st_dev != os.lstat(entry).st_dev:
        raise PathOccupied(f"the file system mounted at {into}")
    return entry


def write_note(entry: Path, *, durable: bool, **facts: Any) -> None:
    """Write the note of an entry: durably if `durable`, else with the other staged files."""
    note = {"format": FORMAT, "id": id_in(entry.name), "date": dates.now(), **facts}
    write_json(entry / "entry.json", note, durable=durable)


def read_note(entry: Path) -> dict[str, Any]:
    """The note of an entry. Raises BadDocument if it is corrupt or of a later format."""
    path = entry / "entry.json"
    note = read_json(path)
    if not isinstance(note, dict) or note.get("format") not in _READ or "verb" not in note:
        raise BadDocument(str(path), "not a note that this dvol knows")
    return {("commits" if name == "line" else name): value for name, value in note.items()}


def base_id(note: dict[str, Any]) -> str:
    """The id of the commit that an entry's changes are against; no id if that is a tree in the
    entry, or if none is named."""
    return str(note.get("base", "")).rpartition("/")[2]


def entries(trash: Path) -> list[Path]:
    """The entries of a trash, oldest first."""
    try:
        return sorted(trash.iterdir())
    except FileNotFoundError:
        return []


def next_number(trash: Path) -> str:
    """The name of the next undo entry of a branch: numbered, since a clock may be set back."""
    last = max((int(path.name) for path in entries(trash) if path.name.isdecimal()), default=0)
    return f"{last + 1:08d}"
