"""The record of the containers that a verb has stopped or paused, and of those whose hooks are
owed: `suspended.json`, one in each of its volumes.

The record is written durably before any container is stopped, and removed once all run again. After
a crash the next process starts the containers that it names, and runs their hooks, which only their
own labels tell. The caller of each function that writes holds the volume's lock. Format 1 called it
`ended.json`, and `action` `how`: both files are read. Earlier builds do not see the hooks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from dvol.containers import KILL, PAUSE, STOP
from dvol.containers.container import ALIVE, Suspension
from dvol.containers.hooks import Owed
from dvol.errors import BadDocument
from dvol.fs.documents import read_json, replace_json
from dvol.fs.durable import sync_directory
from dvol.layout import VolumeLayout

_ID = re.compile(r"[0-9a-f]{64}")


class Record(NamedTuple):
    """The containers in a record, in the order of their start, and those whose hooks are owed."""

    containers: tuple[Suspension, ...] = ()
    owed: tuple[Owed, ...] = ()


def recorded(volume: VolumeLayout) -> tuple[Record, list[BadDocument]]:
    """The record of a volume, and what is wrong with a file of it that can't be read."""
    found: dict[str, Suspension] = {}
    owed: dict[str, Owed] = {}
    wrong = []
    for path in reversed(volume.suspended_files):
        try:
            one = read(path)
        except BadDocument as error:
            wrong.append(error)
        else:
            found |= {each.id: each for each in one.containers}
            owed |= {each.id: each for each in one.owed}
    return Record(tuple(found.values()), tuple(owed.values())), wrong


def record(volume: VolumeLayout, suspensions: list[Suspension]) -> None:
    """Add containers to the record, durably; containers that an earlier verb left suspended stay in
    it."""
    before, ids = read(volume.suspended), {one.id for one in suspensions}
    kept = (one for one in before.containers if one.id not in ids)
    _write(volume.suspended, before._replace(containers=(*kept, *suspensions)), volume)


def record_owed(volume: VolumeLayout, owed: Collection[Owed]) -> None:
    """Add containers whose hooks are owed to the record, durably."""
    before, ids = read(volume.suspended), {one.id for one in owed}
    kept = (one for one in before.owed if one.id not in ids)
    _write(volume.suspended, before._replace(owed=(*kept, *owed)), volume)


def forget(volume: VolumeLayout, ids: Collection[str]) -> None:
    """Remove these containers from the record: they run again or no longer exist. Their hooks stay
    owed. A file that can't be read stays."""
    for path, before in _readable(volume):
        left = tuple(one for one in before.containers if one.id not in ids)
        _rewrite(path, before, before._replace(containers=left), volume)


def forget_owed(volume: VolumeLayout, ids: Collection[str]) -> None:
    """Remove these containers from those whose hooks are owed. A file that can't be read stays."""
    for path, before in _readable(volume):
        left = tuple(one for one in before.owed if one.id not in ids)
        _rewrite(path, before, before._replace(owed=left), volume)


def read(path: Path) -> Record:
    """One file of the record, which is empty if that is not there; raises BadDocument."""
    try:
        document = read_json(path)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise BadDocument(str(path), "it is a symbolic link without a target") from None
        return Record()
    document = {"owed": [], **document} if isinstance(document, dict) else {}
    found = Record(
        tuple(map(_suspension, _listed(path, document, "containers"))),
        tuple(map(_owed, _listed(path, document, "owed"))),
    )
    if not all(map(_is_suspension, found.containers)) or not all(map(_is_named, found.owed)):
        raise BadDocument(str(path), "it holds an entry that is no container")
    return found


def _listed(path: Path, document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    listed = document.get(key)
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise BadDocument(str(path), "it names no containers")
    return listed


def _readable(volume: VolumeLayout) -> Iterator[tuple[Path, Record]]:
    for path in volume.suspended_files:
        with suppress(OSError, BadDocument):
            yield path, read(path)


def _rewrite(path: Path, before: Record, left: Record, volume: VolumeLayout) -> None:
    with suppress(OSError):  # else the next process finds that they run
        if left != before or left == Record():
            _write(path, left, volume)


def _write(path: Path, record: Record, volume: VolumeLayout) -> None:
    if record != Record():
        document = {"containers": [one._asdict() for one in record.containers]}
        if record.owed:
            document["owed"] = [one._asdict() for one in record.owed]
        replace_json(path, document, volume.staging)
    else:
        os.unlink(path)
        sync_directory(volume.own)


def _suspension(document: dict[str, Any]) -> Suspension:
    document = {"action": document.get("how", ""), **document}
    return Suspension(*(str(document.get(field, "")) for field in Suspension._fields))


def _owed(document: dict[str, Any]) -> Owed:
    return Owed(*(str(document.get(field, "")) for field in Owed._fields))


def _is_suspension(one: Suspension) -> bool:
    shared = one.sharing_with
    known = one.action in (STOP, PAUSE, KILL) and one.was in ALIVE
    return known and _is_named(one) and (not shared or bool(_ID.fullmatch(shared)))


def _is_named(one: Suspension | Owed) -> bool:
    """Checked because ids become parts of paths, and of requests to Docker."""
    return bool(_ID.fullmatch(one.id)) and one.name.isprintable()
