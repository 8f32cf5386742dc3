"""The trash: what verbs discard is moved there whole, with a note of what it was.

An entry is a directory that a verb prepares in its staging and moves here last:

    entry.json      what happened: verb, volume, branch, date, the list of commits as it was
    tree/           the discarded live tree (reset, branch -d)
    commits/<id>/   frozen trees that no branch has any more (reset, branch -d)
    volume/         a whole volume (rm)

Only the notes are made here; the moves are steps of a journal.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dvol.atomic import sync_directory, write_json
from dvol.authorship import now
from dvol.errors import InTheWay


def new_entry(staging: Path, into: Path, **facts: Any) -> Path:
    """Make an entry in `staging`, named so that entries sort by age; `facts` are its note.

    It is durable, and so is the note. Where it will be moved `into` is made sure of now: once
    the steps are journalled, nothing may stand in their way.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    entry = staging / f"{stamp}-{os.urandom(6).hex()}"
    entry.mkdir(parents=True)
    (entry / "commits").mkdir()
    into.mkdir(parents=True, exist_ok=True)
    if os.lstat(into).st_dev != os.lstat(entry).st_dev:
        raise InTheWay(f"the file system mounted at {into}")
    write_json(entry / "entry.json", {"format": 1, "date": now(), **facts})
    sync_directory(entry)
    sync_directory(staging)
    return entry
