"""`gc`: delete entries of trash and undo, and dropped commits, that are past their time or named.

They are moved to the garbage first, durably, and deleted there; the next process continues a
deletion that was interrupted. What is deleted is decided in `trash.selection`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from dvol import dates
from dvol.errors import (
    AmbiguousEntry,
    BadDocument,
    Busy,
    Corrupt,
    EntryNotFound,
    InvalidRequest,
    NoSpace,
    VolumeNotFound,
)
from dvol.fs.clock import Moment
from dvol.fs.clock import moment as current
from dvol.fs.documents import read_json, replace_json
from dvol.fs.durable import durably, sync_directory
from dvol.history import dropped, reflog
from dvol.history.history import History
from dvol.layout import OWN, VolumeLayout
from dvol.model import Freed
from dvol.pool import config
from dvol.pool.access import Access
from dvol.trash.entry import Entry, in_trash, in_volume, of_volume
from dvol.trash.expiry import Expiry
from dvol.trash.selection import NOW, Selection, Wanted
from dvol.tree.usage import DiskUsage

_TIMEOUT = 0.3  # seconds to wait for a volume, before it is left for the next gc
_SHORTEST = 4  # digits of an id, at least


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
        ids = collector.named([entry]) if entry else frozenset()
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
                self._pool.collect_garbage()
        return found

    def named(self, typed: Iterable[str]) -> frozenset[str]:
        """The ids of the entries and commits that begin with what a user has typed. Raises
        EntryNotFound, AmbiguousEntry."""
        known = {one.id for one in self._access.entries()}
        for volume in self._pool.names():
            with suppress(Corrupt, VolumeNotFound):
                known |= {one.id for one in self._access.recovered(volume).history.known()}
        return frozenset(_one(each, known) for each in typed)

    def delete_surplus(self, surplus: list[Path]) -> None:
        """Move undo entries of a branch to the garbage. The caller holds the volume's lock."""
        for path in surplus:
            self._pool.delete_later(path)

    def _of_volume(self, volume: str, wanted: Wanted, dry_run: bool) -> list[Freed]:
        """Delete what is wanted of one volume, or, for "", of volumes that no longer exist."""
        try:
            if dry_run or not self._concerns(volume):
                return self._report(volume, self._selection(volume, wanted))
            with self._holding(volume):
                selection = self._selection(volume, wanted)
                report = self._report(volume, selection)
                self._delete(volume, selection)
                if volume and not wanted.auto:
                    self._expire_reflog(self._pool.layout.volume(volume))
                return report
        except (Busy, Corrupt) as error:
            what = volume or "removed volumes"
            self._access.on_progress(f"nothing of {what} is freed: {error}")
        except VolumeNotFound:  # it was removed meanwhile
            pass
        return []

    # -- what is deleted -----------------------------------------------------------------------

    def _concerns(self, volume: str) -> bool:
        """Whether anything was ever dropped or removed: else no lock is needed."""
        if not volume:
            return bool(in_trash(self._pool.layout))
        layout = self._pool.layout.volume(volume)
        return bool(self._mine(volume) or dropped.documents(layout))

    def _mine(self, volume: str) -> list[Entry]:
        trash = in_trash(self._pool.layout)
        if volume:
            return in_volume(self._pool.layout.volume(volume)) + of_volume(volume, trash)
        return [one for one in trash if one.is_volume or not self._pool.exists(one.volume)]

    def _selection(self, volume: str, wanted: Wanted) -> Selection:
        mine, layout = self._mine(volume), self._pool.layout
        files = [layout.volume(volume).config] if volume else []

        def kept_for(entry: Entry | None) -> timedelta:
            own = [entry.path / "volume" / OWN / "config.json"] if entry else []
            return config.keep(*files, *own, layout.config)

        expiry = Expiry(_read(self._expired(volume)), self._moment)
        selection = Selection(wanted, expiry, kept_for)
        if wanted.auto and config.effective(config.GC_AUTO, *files, layout.config) == "off":
            return selection
        others = [one for one in self._access.entries() if one not in mine]
        selection.select_entries(mine, others)
        if volume:
            staying = (one for one in [*others, *mine] if one not in selection.entries)
            journals = self._pool.volume(layout.volume(volume)).journal, self._pool.journal
            selection.select_commits(self._history(volume), staying, journals)
        return selection

    def _report(self, volume: str, selection: Selection) -> list[Freed]:
        return selection.report(self._usage, self._history(volume) if volume else None)

    def _history(self, volume: str) -> History:
        return self._pool.volume(self._pool.layout.volume(volume)).history

    def _expired(self, volume: str) -> Path:
        return self._pool.layout.volume(volume).expired if volume else self._pool.layout.expired

    # -- deleting: the lock is held ------------------------------------------------------------

    def _delete(self, volume: str, selection: Selection) -> None:
        layout = self._pool.layout.volume(volume) if volume else None
        with durably(self._pool.layout.root):
            for entry in selection.entries:
                self._pool.delete_later(entry.path)
                selection.expiry.forget(entry.id)
            if layout:
                self._delete_commits(layout, selection)
        self._remember(volume, selection.expiry)

    def _delete_commits(self, layout: VolumeLayout, selection: Selection) -> None:
        """The records go first: a tree that nothing tells of is harmless, a record without its tree
        would look like damage."""
        going = {one.commit.id for one in selection.commits}
        history = self._pool.volume(layout).history
        for path in dropped.documents(layout):
            _shorten(path, going, history, layout)
        if going:
            sync_directory(layout.dropped)
        for id in going:
            self._pool.delete_later(layout.commit(id))
            for path in layout.documents_of(id):
                path.unlink(missing_ok=True)
            selection.expiry.forget(id)

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
        staging = path.parent / "staging"
        with suppress(OSError):
            if expiry.document() != _read(path):
                replace_json(path, expiry.document(), staging)

    @contextmanager
    def _holding(self, volume: str) -> Iterator[None]:
        """Hold the lock. The pool gets the newest format first, if the disk has room for that."""
        with suppress(NoSpace), self._locked(volume, upgrade=True):
            pass
        with self._locked(volume, upgrade=False):
            yield

    def _locked(self, volume: str, upgrade: bool) -> AbstractContextManager[object]:
        if volume:
            return self._access.changing(volume, "gc", True, _TIMEOUT, upgrade)
        return self._access.changing_pool("gc", _TIMEOUT, upgrade)


def _shorten(path: Path, going: set[str], history: History, layout: VolumeLayout) -> None:
    """Take the commits that are `going` from a record, and those for which it means nothing any
    more: a branch has them, or a newer record."""
    with suppress(Corrupt):  # a record that can't be read stays, for fsck
        listed = dropped.read_record(path)
        left = [
            one._replace(before=_left_before(one.before, going, history))
            for one in listed
            if one.commit.id not in going
            and one.commit.id not in history.listed_ids
            and history.dropped[one.commit.id].document == path
        ]
        if not left:
            path.unlink()
        elif left != listed:
            pairs = [(one.commit, one.before) for one in left]
            record = dropped.as_record(pairs, listed[0].branch, listed[0].date)
            replace_json(path, record, layout.staging)


def _left_before(id: str, going: set[str], history: History) -> str:
    """The nearest commit before that is not deleted, so that a history does not end in between."""
    while id in going:
        id = history.dropped[id].before
    return id


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (FileNotFoundError, BadDocument):
        return {}


def _one(typed: str, known: set[str]) -> str:
    found = {id for id in known if id.startswith(typed.lower())}
    if not found or len(typed) < _SHORTEST:
        raise EntryNotFound(typed)
    if len(found) > 1:
        raise AmbiguousEntry(typed, ", ".join(sorted(id[:12] for id in found)))
    return found.pop()
