"""What was discarded: listed, brought back, and deleted for good (`restore`, `gc`).

Deleting is moving to the doom of the pool, durably, and a sweep, which whoever comes next takes
up again. What belongs to what, and what may go, is `discarded`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from pathlib import Path

from dvol import names
from dvol.atomic import durably
from dvol.discarded import Entry, about, in_trash, in_volume, may_go
from dvol.errors import (
    AmbiguousEntry,
    BranchExists,
    Busy,
    Corrupt,
    EntryNotFound,
    HalfwayDiscarded,
    NameRequired,
    VolumeExists,
    VolumeGone,
    VolumeNotFound,
)
from dvol.history import is_directory
from dvol.layout import OWN, VolumeLayout
from dvol.model import Discarded, Freed, Restored
from dvol.pool_files import PoolFiles
from dvol.revival import Revival
from dvol.trash import new_name
from dvol.weighing import Scales

KEPT_FOR = timedelta(days=7)
_AT_ONCE = 0.3  # seconds to wait for a volume, before it is left for the next time
_SHORTEST = 4  # digits of an id


class Recycling:
    """The verbs about what was discarded in one pool."""

    def __init__(self, files: PoolFiles) -> None:
        self.files = files

    def discarded(self) -> list[Discarded]:
        with self.files.reading():
            facts = [entry.fact() for entry in self._all() if entry.note]
        facts.sort(key=lambda fact: fact.date)
        facts.reverse()  # of one second, the later first
        return facts

    # -- bringing back -------------------------------------------------------------------------

    def restore(self, typed: str, name: str) -> Restored:
        with self.files.reading():
            entry = self._find(typed)
        if entry.is_volume:
            return self._restore_volume(entry, name)
        return self._restore_branch(entry, name)

    def _find(self, typed: str) -> Entry:
        wanted = typed.lower()
        found = [entry for entry in self._all() if entry.note and entry.id.startswith(wanted)]
        if not found or len(wanted) < _SHORTEST:
            raise EntryNotFound(typed)
        if len(found) > 1:
            raise AmbiguousEntry(typed, ", ".join(sorted(entry.id for entry in found)))
        return found[0]

    def _restore_volume(self, entry: Entry, name: str) -> Restored:
        if name or not names.is_component(entry.volume) or entry.volume in names.POOL_FILES:
            names.check_volume(name or entry.volume)
        name = name or entry.volume
        with self.files.changing_pool("restore"):
            if not is_directory(entry.path / "volume"):  # somebody was quicker
                raise EntryNotFound(entry.id)
            if self.files.exists(name):
                raise VolumeExists(name)
            journal = entry.path / "volume" / OWN / "journal.json"
            if name != entry.volume and os.path.lexists(journal):
                raise HalfwayDiscarded(entry.id, entry.volume)
            self.files.bring_back(entry.path, name)
        return Restored(name, "")

    def _restore_branch(self, entry: Entry, name: str) -> Restored:
        if not self.files.exists(entry.volume):
            raise VolumeGone(entry.id, entry.volume)
        own = "" if entry.home else entry.branch  # that of a state is still there
        if not name and not own:
            raise NameRequired(entry.id)
        if name or not names.is_component(own):
            names.check_branch(name or own)
        name = name or own
        with self.files.changing(entry.volume, "restore") as files:
            if not is_directory(entry.path):  # somebody was quicker
                raise EntryNotFound(entry.id)
            if name in files.history:
                raise BranchExists(name)
            with files.durably():
                steps = Revival(files, entry, name).prepare()
            files.journal.run(steps)
        return Restored(entry.volume, name)

    # -- deleting ------------------------------------------------------------------------------

    def gc(self, now: bool, dry_run: bool) -> list[Freed]:
        freed: list[Freed] = []
        scales, age = Scales(), None if now else KEPT_FOR
        with self.files.reading():
            for volume in [*self.files.names(), ""]:
                freed += self._free(volume, age, scales, dry_run)
        if not dry_run:
            self.files.sweep()
        return freed

    def doom_surplus(self, layout: VolumeLayout, surplus: list[Path]) -> bool:
        """Doom those states of a branch, which are more than are kept; whether any could go.
        Whoever calls holds the volume's lock."""
        known = [*in_volume(layout), *in_trash(layout.pool)]
        going = [entry for entry in known if entry.path in surplus]
        going = may_go(going, (entry for entry in known if entry not in going))
        self._doom(going)
        return bool(going)

    def _free(
        self, volume: str, age: timedelta | None, scales: Scales, dry_run: bool
    ) -> list[Freed]:
        """Doom what may go of one volume, or, for "", of those that are gone."""
        going = self._going(volume, age)
        try:
            if going and not dry_run:
                with self._holding(volume):
                    going = self._going(volume, age)
                    freed = [_weighed(entry, scales) for entry in going]
                    with durably(self.files.layout.root):
                        self._doom(going)
                    return freed
            return [_weighed(entry, scales) for entry in going]
        except (Busy, Corrupt) as error:
            self.files.tell(f"nothing of {volume or 'removed volumes'} is freed: {error}")
        except VolumeNotFound:  # went away under our eyes
            pass
        return []

    def _holding(self, volume: str) -> AbstractContextManager[object]:
        if volume:
            return self.files.changing(volume, "gc", patience=_AT_ONCE)
        return self.files.changing_pool("gc", patience=_AT_ONCE)

    def _going(self, volume: str, age: timedelta | None) -> list[Entry]:
        """What is older than `age` and needed by nothing that stays; without `age`, all."""
        trash = in_trash(self.files.layout)
        if volume:
            mine = in_volume(self.files.layout.volume(volume)) + about(volume, trash)
        else:
            mine = [one for one in trash if one.is_volume or not self.files.exists(one.volume)]
        if age is None:
            return mine
        going = [entry for entry in mine if entry.is_older_than(age)]
        return may_go(going, (entry for entry in self._all() if entry not in going))

    def _doom(self, going: Iterable[Entry]) -> None:
        doomed = self.files.layout.doomed
        doomed.mkdir(parents=True, exist_ok=True)
        for entry in going:
            self.files.backend.move(entry.path, doomed / new_name())

    # ------------------------------------------------------------------------------------------

    def _all(self) -> Iterator[Entry]:
        """Every entry in the pool. Dead verbs are completed first, where they can be."""
        for volume in self.files.names():
            with suppress(Corrupt, VolumeNotFound):
                yield from in_volume(self.files.settled(volume).layout)
        yield from in_trash(self.files.layout)


def _weighed(entry: Entry, scales: Scales) -> Freed:
    return Freed(**entry.fact()._asdict(), size=scales.weigh(entry.path))
