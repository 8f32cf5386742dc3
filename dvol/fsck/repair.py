"""How `fsck` repairs a volume: trees and lists that nothing needs go to the trash, and no data is
lost.

The caller holds the volume's lock. The problems are found in `volume`.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol.errors import Corrupt
from dvol.history.commits import as_document
from dvol.journal.journal import Journal
from dvol.journal.steps import Step
from dvol.model import Commit, Commits
from dvol.pool import format
from dvol.pool.volume import VolumeDir
from dvol.trash.notes import new_entry
from dvol.trash.reachability import only_in


def delete_staged(volume: VolumeDir, pool_journal: Journal, name: str) -> None:
    """Delete the files that a dead verb has staged. Raises Corrupt while a list can't be read: the
    files may belong to a commit in it."""
    volume.recover(pool_journal)
    left = volume.layout.staging / name
    if os.path.lexists(left):
        raise Corrupt(f"{left} is kept until every list of commits can be read")


def trash_commit(volume: VolumeDir, id: str) -> None:
    """Move a frozen tree to the trash, as the one commit of a new list, so that it can be restored
    as a branch."""
    commits = (Commit(id, "found by fsck"),)
    _trash(volume, "", commits, {volume.layout.commit(id): f"commits/{id}"})


def trash_list(volume: VolumeDir, branch: str, commits: Commits) -> None:
    """Move the list of a branch that has no tree to the trash, with the commits that no other
    branch has."""
    own = only_in(commits, branch, volume.history)
    moves = {volume.layout.commit(id): f"commits/{id}" for id in own}
    listed = volume.layout.commit_list(branch)
    _trash(volume, branch, commits, {listed: "commits.json", **moves})


def _trash(volume: VolumeDir, branch: str, commits: Commits, moves: dict[Path, str]) -> None:
    trash = volume.layout.pool.trash
    format.ensure(volume.layout.pool)  # an entry is written in the newest format
    with volume.durably():
        entry = new_entry(volume.layout.staging, trash)
        facts = {"volume": volume.name, "branch": branch, "commits": as_document(commits)}
        volume.write_note(entry, verb="fsck", **facts)
        steps: list[Step] = [volume.move_step(path, entry / name) for path, name in moves.items()]
        steps.append(volume.move_step(entry, trash / entry.name))
        volume.journal.stage("fsck", steps)
    volume.journal.run(steps)
