"""How `fsck` repairs a volume: lists that nothing needs go to the trash, trees that nothing tells
of become dropped commits, and no data is lost.

The caller holds the volume's lock. The problems are found in `volume`.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol.errors import Corrupt
from dvol.history.commits import as_document, ids
from dvol.history.dropped import as_record, next_document, with_before
from dvol.journal.journal import Journal
from dvol.journal.steps import Delete, Step
from dvol.model import Commit, Commits
from dvol.pool import format
from dvol.pool.upgrade import upgrade
from dvol.pool.volume import VolumeDir
from dvol.trash.notes import new_entry


def delete_staged(volume: VolumeDir, pool_journal: Journal, name: str) -> None:
    """Delete the files that a dead verb has staged. Raises Corrupt while a list can't be read: the
    files may belong to a commit in it."""
    volume.recover(pool_journal)
    left = volume.layout.staging / name
    if os.path.lexists(left):
        raise Corrupt(f"{left} is kept until every list of commits can be read")


def record_dropped(volume: VolumeDir, id: str) -> None:
    """Record a frozen tree that nothing tells of as a commit that was dropped now."""
    _upgrade(volume)
    with volume.durably():
        staged = volume.staging_dir("fsck")
        found = [(Commit(id, "found by fsck"), "")]
        record = _record_step(volume, staged, found, "")
        steps = [record, Delete(volume.relative(staged))]
        steps = volume.journal.stage("fsck", steps)
    volume.journal.run(steps)


def trash_list(volume: VolumeDir, branch: str, commits: Commits) -> None:
    """Move the list of a branch that has no tree to the trash; the commits that no other branch has
    stay, as dropped ones."""
    trash, layout = volume.layout.pool.trash, volume.layout
    _upgrade(volume)
    with volume.durably():
        entry = new_entry(layout.staging, trash)
        facts = {"volume": volume.name, "branch": branch, "commits": as_document(commits)}
        volume.write_note(entry, verb="fsck", **facts)
        steps: list[Step] = []
        if leaving := with_before(commits, ids(commits) - volume.history.listed_ids):
            steps.append(_record_step(volume, entry, leaving, branch))
        steps.append(volume.move_step(layout.commit_list(branch), entry / "commits.json"))
        steps.append(volume.move_step(entry, trash / entry.name))
        steps = volume.journal.stage("fsck", steps)
    volume.journal.run(steps)


def _record_step(
    volume: VolumeDir, staged: Path, leaving: list[tuple[Commit, str]], branch: str
) -> Step:
    volume.write(staged / "dropped.json", as_record(leaving, branch))
    return volume.move_step(staged / "dropped.json", next_document(volume.layout))


def _upgrade(volume: VolumeDir) -> None:
    """An earlier format has no records of dropped commits."""
    format.ensure(volume.layout.pool)
    upgrade(volume)
