"""`gc`: delete entries of trash and undo, and dropped commits, that are past their time or named.

They are moved to the garbage first, durably, and deleted there; the next process continues a
deletion that was interrupted. What is deleted is decided in `trash.selection`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from dvol import dates
from dvol.engine.deletion import Deletion, delete
from dvol.errors import (
    BadDocument,
    Busy,
    Corrupt,
    InvalidRequest,
    NoSpace,
    VolumeNotFound,
)
from dvol.fs.clock import Moment
from dvol.fs.clock import moment as current
from dvol.fs.documents import read_json, replace_json
from dvol.fs.durable import durably
from dvol.history import dropped, reflog
from dvol.layout import OWN, VolumeLayout
from dvol.model import Freed
from dvol.pool import config
from dvol.pool.access import Access
from dvol.trash.entry import Entry, in_trash, in_volume, of_volume, one_of
from dvol.trash.expiry import Expiry
from dvol.trash.selection import NOW, Selection, Wanted
from dvol.tree.usage import DiskUsage

_TIMEOUT = 0.3  # seconds to wait for a volume, before it is left for the next gc


def collect(
    access: Access, now: bool, dry_run: bool, entry: str, volume: str, older_than: str
) -> list[Freed]:
    """See `Engine.gc`."""
    collector, age = Collector(access), NOW if now else None
    if older_than:
        try:
            age = dates.duration(older_than)
        except ValueError:
            raise InvalidRequest(f"'{older_than}' is no time such as 30d, 12h or 8w") from None
    with access.reading():
        ids = collector.named(entry, volume) if entry else frozenset()
    return collector.collect(Wanted(ids, age), volume, dry_run)


def collect_expired(access: Access, moment: Moment | None = None) -> list[Freed]:
    """What the server does once a day: delete what is past its time, and was so in earlier runs,
    except of volumes whose setting `gc.auto` is off."""
    return Collector(access, moment).collect(Wanted(auto=True))


class Collector:
    """Deletes entries and dropped commits of one pool, at a `moment`, by default the current."""

    def __init__(self, access: Access, moment: Moment | None = None) -> None:
        self._access = access
        self._pool = access.pool
        self._moment = moment or current()
        self._usage = DiskUsage()

    def collect(self, wanted: Wanted, volume: str = "", dry_run: bool = False) -> list[Freed]:
        """See `Engine.gc`."""
        found: list[Freed] = []
        with self._access.reading(volume):
            if volume:
                self._pool.find(volume)
            for name in [volume] if volume else [*self._pool.names(), ""]:
                found += self._of_volume(name, wanted, dry_run)
            if not dry_run:
                self._tell_locked(self._pool.collect_garbage())
        return found

    def _tell_locked(self, locked: list[Path]) -> None:
        for path in locked:
            told = f"{path} can't be deleted, since a file in it is append-only or immutable"
            cure = f"'sudo chattr -R -f -i -a {path}' lets the next gc delete it"
            self._access.on_progress(f"warning: {told}; {cure}")

    def named(self, typed: str, volume: str) -> frozenset[str]:
        """The id of the entry or commit, of one volume or of any, that begins with what a user has
        typed. Raises EntryNotFound, AmbiguousEntry."""
        entries = self._access.entries()
        known = {one.id for one in entries if volume in ("", one.volume)}
        for name in [volume] if volume else self._pool.names():
            with suppress(Corrupt, VolumeNotFound):
                known |= {one.id for one in self._access.recovered(name).history.known()}
        return frozenset({one_of(typed, known)})

    def _of_volume(self, volume: str, wanted: Wanted, dry_run: bool) -> list[Freed]:
        """Delete what is wanted of one volume, or, for "", of volumes that no longer exist."""
        try:
            if dry_run or not self._concerns(volume, wanted):
                return self._selection(volume, wanted).report(self._usage)
            with self._holding(volume):
                selection = self._selection(volume, wanted)
                report = selection.report(self._usage)
                self._delete(volume, selection, wanted)
                if volume and wanted == Wanted():
                    self._expire_reflog(self._pool.layout.volume(volume))
                return report
        except (Busy, Corrupt) as error:
            what = volume or "removed volumes"
            self._access.on_progress(f"nothing of {what} is freed: {error}")
        except VolumeNotFound:  # it was removed meanwhile
            pass
        return []

    # -- what is deleted -----------------------------------------------------------------------

    def _concerns(self, volume: str, wanted: Wanted) -> bool:
        """Whether there may be something to delete: else no lock is needed."""
        if wanted.ids:
            return self._selection(volume, wanted).is_any
        if not volume:
            return bool(in_trash(self._pool.layout))
        layout = self._pool.layout.volume(volume)
        mine = self._mine(volume, in_trash(self._pool.layout))
        kept = mine or dropped.documents(layout) or os.path.lexists(layout.reflog)
        return bool(kept)

    def _mine(self, volume: str, trash: list[Entry]) -> list[Entry]:
        if volume:
            return in_volume(self._pool.layout.volume(volume)) + of_volume(volume, trash)
        return [one for one in trash if one.is_volume or not self._pool.exists(one.volume)]

    def _selection(self, volume: str, wanted: Wanted) -> Selection:
        layout, trash = self._pool.layout, in_trash(self._pool.layout)
        mine = self._mine(volume, trash)
        files = [layout.volume(volume).config] if volume else []

        def kept_for(entry: Entry | None) -> timedelta:
            if entry and not entry.home:
                return self._kept_for_removed(entry, trash)
            return config.keep(*files, layout.config)

        expiry = Expiry(_read(self._expired(volume)), self._moment)
        history = self._pool.volume(layout.volume(volume)).history if volume else None
        selection = Selection(wanted, expiry, kept_for, history)
        if wanted.auto and config.effective(config.GC_AUTO, *files, layout.config) == "off":
            return selection
        others = [one for one in self._access.entries() if one not in mine]
        selection.select_entries(mine, others)
        if volume:
            staying = (one for one in [*others, *mine] if one not in selection.entries)
            journals = self._pool.volume(layout.volume(volume)).journal, self._pool.journal
            selection.select_commits(staying, journals)
        return selection

    def _kept_for_removed(self, entry: Entry, trash: list[Entry]) -> timedelta:
        """How long a removed volume or branch is kept: as long as any volume says that has, or had,
        that name. A setting that can't be read keeps nothing else."""
        layout, name = self._pool.layout, entry.volume
        removed = [one for one in trash if one.is_volume and one.volume == name]
        files = [one.path / "volume" / OWN / "config.json" for one in removed]
        if entry.is_volume:
            files = [entry.path / "volume" / OWN / "config.json"]
        elif self._pool.exists(name):
            files.append(layout.volume(name).config)
        found = []
        for path in files:
            with suppress(Corrupt, OSError):
                found.append(config.keep(path, layout.config))
        return max(found, default=config.keep(layout.config))

    def _expired(self, volume: str) -> Path:
        return self._pool.layout.volume(volume).expired if volume else self._pool.layout.expired

    # -- deleting: the lock is held ------------------------------------------------------------

    def _delete(self, volume: str, selection: Selection, wanted: Wanted) -> None:
        going = [entry.path for entry in selection.entries]
        commits = {one.commit.id for one in selection.commits}
        if selection.history:
            found = self._pool.volume(self._pool.layout.volume(volume))
            delete(self._pool, found, Deletion(going, commits), selection.history)
        else:
            with durably(self._pool.layout.root):
                for path in going:
                    self._pool.delete_later(path)
        for id in commits | {entry.id for entry in selection.entries}:
            selection.expiry.forget(id)
        if not wanted.ids and wanted.older_than is None:  # else it has judged by another measure
            self._remember(volume, selection.expiry)

    def _expire_reflog(self, layout: VolumeLayout) -> None:
        """Delete the lines of the reflog that are older than `gc.keep`. A failure only delays that.
        `gc.auto` leaves them: their dates are the wall clock's word alone."""
        kept_for = config.keep(layout.config, layout.pool.config)
        if kept_for < timedelta.max:  # else they are kept for ever
            with suppress(OSError, BadDocument):
                reflog.expire(layout, self._moment.wall - kept_for)

    def _remember(self, volume: str, expiry: Expiry) -> None:
        """Keep what was found for the next run. A failure only delays that."""
        path = self._expired(volume)
        with suppress(OSError):
            if expiry.document() != _read(path):
                replace_json(path, expiry.document(), path.parent / "staging")

    @contextmanager
    def _holding(self, volume: str) -> Iterator[None]:
        """Hold the lock. The pool gets the newest format first, if the disk has room for that."""
        with ExitStack() as lock:
            try:
                lock.enter_context(self._locked(volume, upgrade=True))
            except NoSpace:
                lock.enter_context(self._locked(volume, upgrade=False))
            yield

    def _locked(self, volume: str, upgrade: bool) -> AbstractContextManager[object]:
        if volume:
            return self._access.changing(volume, "gc", True, _TIMEOUT, upgrade)
        return self._access.changing_pool("gc", _TIMEOUT, upgrade)


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (FileNotFoundError, BadDocument):
        return {}
