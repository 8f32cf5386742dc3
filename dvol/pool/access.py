"""Who may read or change a pool or a volume now: locks, and what must be recovered first.

A verb reads within `reading`, and writes within `changing` or `changing_pool`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dvol.errors import (
    Busy,
    Corrupt,
    DvolError,
    NoSpace,
    NoSpaceToFinish,
    PoolBusy,
    UnfinishedDiscard,
    VolumeBusy,
    VolumeNotFound,
    disk_failed,
)
from dvol.fs import refusals
from dvol.fs.directories import is_directory
from dvol.fs.locks import exclusive, holder
from dvol.journal.journal import Journal
from dvol.layout import PoolLayout
from dvol.pool import format
from dvol.pool.files import PoolDir
from dvol.pool.volume import VolumeDir
from dvol.sizes import readable

if TYPE_CHECKING:
    from dvol.trash.entry import Entry

_COMPLETED_WITHIN = 1.0  # seconds to complete a journal, which is a few renames
_UNANNOUNCED = 0.3  # seconds to wait for a lock without a message


class Access:
    """Access to one pool.

    `on_progress` is called with one line of text before a long wait for a lock; `timeout` is how
    many seconds a verb waits for a lock.
    """

    def __init__(self, pool: PoolDir, on_progress: Callable[[str], None], timeout: float) -> None:
        self.pool = pool
        self.on_progress = on_progress
        self.timeout = timeout
        self._layout = pool.layout

    @contextmanager
    def reading(self, volume: str = "") -> Iterator[None]:
        """Around every verb: check that the pool exists, and complete the pool's journal if a dead
        process left one. An OSError becomes DiskFailed. If `volume` is deleted meanwhile,
        VolumeNotFound is raised rather than Corrupt. Raises PoolNotFound, NewerFormat."""
        with _disk_errors():
            format.check(self._layout)
            _complete_if_dead(self.pool.journal, self._layout.lock)
            try:
                yield
            except Corrupt:
                if volume and not self.pool.exists(volume):
                    raise VolumeNotFound(volume) from None
                raise

    @contextmanager
    def changing(
        self,
        volume: str,
        verb: str,
        tolerant: bool = False,
        timeout: float | None = None,
        upgrade: bool = True,
        finish: bool = True,
    ) -> Iterator[VolumeDir]:
        """Hold a volume's lock, and first recover what dead processes left in the volume; if that
        fails, a `tolerant` verb goes on all the same. Raises VolumeBusy after `timeout` seconds.
        The pool gets the newest format, unless the verb does not `upgrade` it.

        A verb that does not `finish` leaves a discarding reset unfinished, as does a `tolerant`
        one: the verb may be what makes room for it. Else NoSpaceToFinish or DiscardStopped may be
        raised."""
        with self.reading():
            layout = self.pool.find(volume)
            self._ensure(upgrade)
            busy = partial(VolumeBusy, volume)
            explained = self._explained_space(f"{verb} of '{volume}'")
            with self._locked(layout.lock, verb, busy, timeout), explained:
                found = self.pool.volume(self.pool.find(volume))  # it may be deleted by now
                with suppress(Corrupt, OSError) if tolerant else nullcontext():
                    self._await_pool_journal(verb, timeout)
                    self._recover(found, finish and not tolerant)
                    if upgrade and not found.journal.pending():
                        self._upgrade(found)
                with _left_clean(partial(self._recover, found, finish=False)):
                    yield found

    @contextmanager
    def changing_pool(
        self, verb: str, timeout: float | None = None, upgrade: bool = True
    ) -> Iterator[None]:
        """Hold the pool's lock; the pool is made first if there is none, or gets the newest format,
        unless the verb does not `upgrade` it. Raises PoolBusy after `timeout` seconds."""
        with _disk_errors():
            self._ensure(upgrade)
            with self._locked(self._layout.lock, verb, PoolBusy, timeout):
                self.pool.journal.recover()
                with _left_clean(self.pool.journal.recover):
                    yield

    @contextmanager
    def inspecting(
        self, volume: str, verb: str, timeout: float, finish: bool = False
    ) -> Iterator[VolumeDir]:
        """Hold a volume's lock as `changing` does, but delete nothing and upgrade no pool. Unless
        the verb is to `finish` it, UnfinishedDiscard is raised where a discarding reset is
        unfinished."""
        with self.reading():
            layout = self.pool.find(volume)
            explained = self._explained_space(f"{verb} of '{volume}'")
            with self._locked(layout.lock, verb, partial(VolumeBusy, volume), timeout), explained:
                found = self.pool.volume(self.pool.find(volume))
                self._await_pool_journal(verb, timeout)
                if not finish and found.journal.refilling():
                    raise UnfinishedDiscard(volume)
                found.journal.complete()
                yield found

    @contextmanager
    def inspecting_pool(self, verb: str, timeout: float) -> Iterator[None]:
        """Hold the pool's lock as `changing_pool` does, but delete nothing and make no pool."""
        with self._locked(self._layout.lock, verb, PoolBusy, timeout):
            self.pool.journal.complete()
            yield

    def recovered(self, volume: str) -> VolumeDir:
        """A volume for reading, once the journal that a dead process left in it is completed; not
        if that takes long, because it copies files."""
        found = self.pool.volume(self.pool.find(volume))
        _complete_if_dead(found.journal, found.layout.lock)
        return found

    def entries(self) -> Iterator[Entry]:
        """Every entry of the pool: those of its volumes, then those of the trash. Journals of dead
        processes are completed first, where they can be."""
        from dvol.trash.entry import in_trash, in_volume  # late: most verbs need no entry

        for volume in self.pool.names():
            with suppress(Corrupt, VolumeNotFound):
                yield from in_volume(self.recovered(volume).layout)
        yield from in_trash(self._layout)

    def _ensure(self, upgrade: bool) -> None:
        with self._explained_space(f"the newest format of the pool {self._layout.root}"):
            format.ensure(self._layout, upgrade)

    def _upgrade(self, volume: VolumeDir) -> None:
        if not is_directory(volume.layout.dropped):
            from dvol.pool.upgrade import upgrade  # late: only once for each volume

            upgrade(volume)

    def _recover(self, volume: VolumeDir, finish: bool) -> None:
        if volume.journal.refilling():
            if not finish:
                return
            self.on_progress(f"completing the discarding reset of {volume.name}")
        volume.recover(self.pool.journal)

    def _await_pool_journal(self, verb: str, timeout: float | None) -> None:
        """Wait for a verb on several volumes, whose steps are in the pool's journal, or complete
        that journal: until then the files that the verb staged in each volume are needed."""
        if self.pool.journal.pending():
            timeout = self.timeout if timeout is None else max(timeout, _COMPLETED_WITHIN)
            with self._locked(self._layout.lock, verb, PoolBusy, timeout):
                self.pool.journal.complete()

    @contextmanager
    def _explained_space(self, what: str) -> Iterator[None]:
        """Add to a backend's NoSpace, which has two numbers of bytes, the name of the verb and how
        much space gc would give back."""
        try:
            yield
        except NoSpace as error:
            if not all(number.isdigit() for number in error.subject[1:3]):
                raise  # the lock of another volume is held too, and that explained it already
            needs, free = map(int, error.subject[1:3])
            from dvol.trash.freeable import freeable  # late: only where space is short

            gc_frees = freeable(self._layout, self.pool.names())
            named = error.subject[0] if isinstance(error, NoSpaceToFinish) else what
            raise type(error)(named, readable(needs), readable(free), gc_frees) from error

    @contextmanager
    def _locked(
        self, lock: Path, verb: str, busy: Callable[[str], Busy], timeout: float | None = None
    ) -> Iterator[None]:
        timeout = self.timeout if timeout is None else timeout
        with exclusive(lock, verb, min(timeout, _UNANNOUNCED)) as had:
            if had:
                yield
                return
            who = holder(lock)
        if timeout > _UNANNOUNCED:
            self.on_progress(f"waiting{who}")
        with exclusive(lock, verb, timeout) as had:
            if not had:
                raise busy(who)
            yield


def open_pool(root: Path, on_progress: Callable[[str], None], timeout: float) -> Access:
    """Access to the pool at `root`, which need not exist yet."""
    try:
        layout = PoolLayout(Path(os.path.realpath(root)))
    except OSError as error:  # the path is relative, and the working directory was deleted
        raise disk_failed(error, root) from error
    return Access(PoolDir(layout), on_progress, timeout)


def _complete_if_dead(journal: Journal, lock: Path) -> None:
    """Complete a journal whose lock is free: its process has died. While the lock is held, a living
    process applies the journal.

    If the disk fails, or completing it means to copy files, reading goes on without: each document
    is whole.
    """
    if journal.pending():
        with suppress(OSError), exclusive(lock, "recovery", 0.0) as had:
            if had and not journal.refilling():
                journal.complete()


@contextmanager
def _disk_errors() -> Iterator[None]:
    """An OSError becomes DiskFailed, or the error that says why."""
    try:
        yield
    except OSError as error:
        raise refusals.named(error) from error


@contextmanager
def _left_clean(recover: Callable[[], None]) -> Iterator[None]:
    """When a verb fails or is interrupted, complete its journal if it was written, and delete the
    files that were only staged. If that fails, the next verb does it."""
    try:
        yield
    except BaseException:
        with suppress(DvolError, OSError):
            recover()
        raise
