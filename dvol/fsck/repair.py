"""How `fsck` mends a volume: what nobody misses goes to the trash, and nothing is lost.

Whoever calls holds the volume's lock. What is found is `volume`'s.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol.backends import Step
from dvol.errors import Corrupt
from dvol.history.history import as_document
from dvol.history.revisions import Line
from dvol.model import Commit
from dvol.pool.volume import VolumeFiles
from dvol.trash.entries import new_entry


def delete_leaving(files: VolumeFiles, name: str) -> None:
    """Delete what a dead verb has staged; Corrupt while it is not known what that is."""
    files.recover()
    left = files.layout.staging / name
    if os.path.lexists(left):
        raise Corrupt(f"{left} stays until every list of commits can be read")


def discard_commit(files: VolumeFiles, id: str) -> None:
    """Move a frozen tree to the trash, with a history of its own, so that it can be restored."""
    line = (Commit(id, "found by fsck"),)
    _discard(files, "", line, {files.layout.commit(id): f"commits/{id}"})


def discard_list(files: VolumeFiles, branch: str, line: Line) -> None:
    """Move the list of a branch that has no tree to the trash, with the commits only it has."""
    dropped = files.dropped(line, branch, files.history)
    moves = {files.layout.commit(id): f"commits/{id}" for id in dropped}
    _discard(files, branch, line, {files.layout.line(branch): "line.json", **moves})


def _discard(files: VolumeFiles, branch: str, line: Line, moves: dict[Path, str]) -> None:
    trash = files.layout.pool.trash
    with files.durably():
        entry = new_entry(files.layout.staging, trash)
        volume, document = files.layout.name, as_document(line)
        files.describe(entry, verb="fsck", volume=volume, branch=branch, line=document)
        steps: list[Step] = [
            ["move", files.at(path), files.at(entry / name)] for path, name in moves.items()
        ]
        steps.append(["move", files.at(entry), files.at(trash / entry.name)])
        files.journal.stage("fsck", steps)
    files.journal.run(steps)
