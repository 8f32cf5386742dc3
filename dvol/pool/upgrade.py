"""Bringing a volume of an earlier format to the newest one, when a verb first changes it.

Before format 3 a verb moved the commits that it dropped from the lists to its entry, in the trash
or in the volume's undo, and they were deleted with that. They return to `commits`, with a record of
when they were dropped. A volume that has the directory `.dvol/dropped` needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dvol import dates
from dvol.errors import Corrupt
from dvol.fs.create import make_directory
from dvol.fs.directories import is_directory
from dvol.history.dropped import as_record, with_before
from dvol.journal.steps import Delete, Step
from dvol.model import Commit, Commits
from dvol.pool.volume import VolumeDir
from dvol.trash.entry import Entry, in_trash, in_volume, of_volume
from dvol.trash.notes import entries


def upgrade(volume: VolumeDir) -> None:
    """Move the commits in entries of the volume back to its commits, in one journal. The caller
    holds the volume's lock, and its journal is completed."""
    layout = volume.layout
    if is_directory(layout.dropped):
        return
    with volume.durably():
        staged = volume.staging_dir("upgrade")
        make_directory(staged / "dropped")
        steps = list(_steps(volume, staged / "dropped"))
        steps.append(volume.move_step(staged / "dropped", layout.dropped))
        steps.append(Delete(volume.relative(staged)))
        steps = volume.journal.stage("upgrade", steps)
    volume.journal.run(steps)


def _steps(volume: VolumeDir, records: Path) -> Iterator[Step]:
    layout = volume.layout
    moved: set[str] = set()
    removed = of_volume(layout.name, in_trash(layout.pool))
    found = [*in_volume(layout), *(one for one in removed if _is_younger(one, volume))]
    for number, entry in enumerate(sorted(found, key=lambda one: one.fact().date), 1):
        held = {id: path for id, path in entry.holds().items() if id not in moved}
        for id, path in held.items():
            if not is_directory(layout.commit(id)):
                yield volume.move_step(path, layout.commit(id))
        if held:
            moved |= held.keys()
            record = as_record(_described(entry, held), entry.branch, entry.fact().date)
            volume.write(records / f"{number:08d}.json", record)


def _is_younger(entry: Entry, volume: VolumeDir) -> bool:
    """Whether an entry of the trash is younger than the volume: an older one is of a removed volume
    of that name, and keeps what it holds."""
    try:
        return dates.parse(entry.fact().date) >= dates.parse(volume.created())
    except (ValueError, OverflowError):
        return False


def _described(entry: Entry, held: dict[str, Path]) -> list[tuple[Commit, str]]:
    """The commits that an entry holds, as the lists in its notes describe them, each with the one
    before it."""
    found: dict[str, tuple[Commit, str]] = {}
    for one in (entry, *map(Entry, entries(entry.path / "undo"))):
        for commit, before in with_before(_listed(one), held.keys()):
            found.setdefault(commit.id, (commit, before))
    return [found.get(id, (Commit(id, ""), "")) for id in held]


def _listed(entry: Entry) -> Commits:
    try:
        return entry.commits
    except Corrupt:
        return ()
