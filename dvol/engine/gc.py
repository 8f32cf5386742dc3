"""`gc`: delete the entries of the trash and of undo; also a branch's surplus of undo entries.

Entries are moved to the garbage, durably, and deleted there; the next process continues a deletion
that was interrupted. Which entries may be deleted is decided in `trash.reachability`.
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
from dvol.pool.access import Access
from dvol.trash.entry import Entry, in_trash, in_volume, of_volume
from dvol.trash.reachability import deletable
from dvol.tree.usage import DiskUsage

KEPT_FOR = timedelta(days=7)
_TIMEOUT = 0.3  # seconds to wait for a volume, before it is left for the next gc


class Collector:
    """Deletes entries of one pool."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._pool = access.pool

    def collect(self, now: bool, dry_run: bool) -> list[Freed]:
        """See `Engine.gc`."""
        freed: list[Freed] = []
        usage, age = DiskUsage(), None if now else KEPT_FOR
        with self._access.reading():
            for volume in [*self._pool.names(), ""]:
                freed += self._free(volume, age, usage, dry_run)
            if not dry_run:
                self._pool.collect_garbage()
        return freed

    def delete_surplus(self, layout: VolumeLayout, surplus: list[Path]) -> bool:
        """Move these undo entries of a branch to the garbage, except those that a remaining entry
        needs; returns whether there were any. The caller holds the volume's lock."""
        known = [*in_volume(layout), *in_trash(layout.pool)]
        going = [entry for entry in known if entry.path in surplus]
        going = deletable(going, (entry for entry in known if entry not in going))
        self._delete_later(going)
        return bool(going)

    def _free(
        self, volume: str, age: timedelta | None, usage: DiskUsage, dry_run: bool
    ) -> list[Freed]:
        """Delete the entries of one volume, or, for "", those of volumes that no longer exist."""
        going = self._going(volume, age)
        try:
            if going and not dry_run:
                with self._holding(volume):
                    going = self._going(volume, age)
                    freed = [_freed(entry, usage) for entry in going]
                    with durably(self._pool.layout.root):
                        self._delete_later(going)
                    return freed
            return [_freed(entry, usage) for entry in going]
        except (Busy, Corrupt) as error:
            what = volume or "removed volumes"
            self._access.on_progress(f"nothing of {what} is freed: {error}")
        except VolumeNotFound:  # it was removed meanwhile
            pass
        return []

    def _holding(self, volume: str) -> AbstractContextManager[object]:
        if volume:
            return self._access.changing(volume, "gc", timeout=_TIMEOUT, upgrade=False)
        return self._access.changing_pool("gc", timeout=_TIMEOUT, upgrade=False)

    def _going(self, volume: str, age: timedelta | None) -> list[Entry]:
        """The entries that are to be deleted: older than `age`, and needed by no remaining entry;
        without `age`, all."""
        trash = in_trash(self._pool.layout)
        if volume:
            mine = in_volume(self._pool.layout.volume(volume)) + of_volume(volume, trash)
        else:
            mine = [one for one in trash if one.is_volume or not self._pool.exists(one.volume)]
        if age is None:
            return mine
        going = [entry for entry in mine if entry.is_older_than(age)]
        staying = (entry for entry in self._access.entries() if entry not in going)
        return deletable(going, staying)

    def _delete_later(self, going: Iterable[Entry]) -> None:
        for entry in going:
            self._pool.delete_later(entry.path)


def _freed(entry: Entry, usage: DiskUsage) -> Freed:
    return Freed(**entry.fact()._asdict(), size=usage.add(entry.path))
