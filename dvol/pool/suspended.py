"""The record of the containers that a verb has stopped or paused: `suspended.json`, one in each of
its volumes.

The record is written durably before any container is stopped, and removed once all run again. After
a crash the next process starts the containers that it names. The caller of each function that
writes holds the volume's lock. Format 1 called it `ended.json`, and `action` `how`: both files are
read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvol.containers import KILL, PAUSE, STOP
from dvol.containers.container import ALIVE, Suspension
from dvol.errors import BadDocument
from dvol.fs.documents import read_json, replace_json
from dvol.fs.durable import sync_directory
from dvol.layout import VolumeLayout

_ID = re.compile(r"[0-9a-f]{64}")


def recorded(volume: VolumeLayout) -> tuple[list[Suspension], list[BadDocument]]:
    """The containers in the record, in the order of their start, and what is wrong with a file of
    it that can't be read."""
    found: dict[str, Suspension] = {}
    wrong = []
    for path in reversed(volume.suspended_files):
        try:
            found |= {one.id: one for one in read(path)}
        except BadDocument as error:
            wrong.append(error)
    return list(found.values()), wrong


def record(volume: VolumeLayout, suspensions: list[Suspension]) -> None:
    """Add containers to the record, durably; containers that an earlier verb left suspended stay in
    it."""
    ids = {one.id for one in suspensions}
    kept = [one for one in read(volume.suspended) if one.id not in ids]
    _write(volume.suspended, [*kept, *suspensions], volume)


def forget(volume: VolumeLayout, ids: Collection[str]) -> None:
    """Remove these containers from the record: they run again or no longer exist. A file that can't
    be read stays."""
    for path in volume.suspended_files:
        with suppress(OSError, BadDocument):  # else the next process finds that they run
            before = read(path)
            left = [one for one in before if one.id not in ids]
            if left != before or not left:
                _write(path, left, volume)


def read(path: Path) -> list[Suspension]:
    """The containers in one file of the record, none if it is not there; raises BadDocument."""
    try:
        document = read_json(path)
    except FileNotFoundError:
        if os.path.lexists(path):
            raise BadDocument(str(path), "it is a symbolic link without a target") from None
        return []
    listed = document.get("containers") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise BadDocument(str(path), "it names no containers")
    found = [_suspension(one) for one in listed]
    if not all(map(_is_valid, found)):
        raise BadDocument(str(path), "it holds an entry that is no container")
    return found


def _write(path: Path, suspensions: list[Suspension], volume: VolumeLayout) -> None:
    if suspensions:
        replace_json(path, {"containers": [one._asdict() for one in suspensions]}, volume.staging)
    else:
        os.unlink(path)
        sync_directory(volume.own)


def _suspension(document: dict[str, Any]) -> Suspension:
    document = {"action": document.get("how", ""), **document}
    return Suspension(*(str(document.get(field, "")) for field in Suspension._fields))


def _is_valid(one: Suspension) -> bool:
    """Checked because ids become parts of paths, and of requests to Docker."""
    known = one.action in (STOP, PAUSE, KILL) and one.was in ALIVE
    return known and bool(_ID.fullmatch(one.id)) and one.name.isprintable()
