"""What was discarded, deleted for good: by `gc`, or because a branch has more of it than is kept.

Deleting is moving to the doom of the pool, durably, and a sweep, which whoever comes next takes
up again. What belongs to what, and what may go, is `discarded`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from dvol.errors import Busy, Corrupt, VolumeNotFound
from dvol.fs.durable import durably
from dvol.layout import VolumeLayout
from dvol.model import Freed
from dvol.pool.files import PoolFiles
from dvol.trash.reachability import Entry, about, all_of, in_trash, in_volume, may_go
from dvol.tree.usage import Scales

KEPT_FOR = timedelta(days=7)
_PATIENCE = 0.3  # seconds to wait for a volume, before it is left for the next time


class Collector:
    """Deletes what was discarded in one pool."""

    def __init__(self, files: PoolFiles) -> None:
        self.files = files

    def collect(self, now: bool, dry_run: bool) -> list[Freed]:
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
            return self.files.changing(volume, "gc", patience=_PATIENCE)
        return self.files.changing_pool("gc", patience=_PATIENCE)

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
        return may_go(going, (entry for entry in all_of(self.files) if entry not in going))

    def _doom(self, going: Iterable[Entry]) -> None:
        for entry in going:
            self.files.doom(entry.path)


def _weighed(entry: Entry, scales: Scales) -> Freed:
    return Freed(**entry.fact()._asdict(), size=scales.weigh(entry.path))
