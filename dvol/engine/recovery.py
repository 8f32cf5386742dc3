"""What is done after a crash, by the next verb or by the server in the background: journals
completed, staged files deleted, suspended containers started again, garbage collected.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from dvol.containers import GONE, Containers
from dvol.errors import (
    Busy,
    ContainerBusy,
    DvolError,
    VolumeNotFound,
    disk_failed,
)
from dvol.fs.locks import exclusive
from dvol.layout import VolumeLayout
from dvol.pool.access import Access

if TYPE_CHECKING:
    from dvol.containers.container import Suspension


class Recovery:
    """Recovery of one pool. Never called while Docker waits for an answer."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._pool = access.pool

    def complete_journals(self) -> Iterator[DvolError]:
        """Complete the journals that dead processes left in the volumes, except those that copy
        files, which `clear_staging` completes; yields an error for each that can't be completed."""
        with self._access.reading():
            for name in self._pool.names():
                try:
                    self._access.recovered(name)
                except OSError as error:
                    yield disk_failed(error)
                except DvolError as error:
                    yield error

    def clear_staging(self) -> Iterator[DvolError]:
        """Move the files that dead verbs had only staged to the garbage, except in volumes on which
        a verb works: half a copy may be large, and the next verb, which would delete it, may come
        late. Locks are held for renames only, and while a discarding reset is finished. Yields an
        error for each volume where that fails."""
        with self._access.reading():
            names = self._pool.names()
        clears: list[Callable[[], None]] = [self._clear_pool]
        clears += [partial(self._clear, name) for name in names]
        for clear in clears:
            try:
                with suppress(Busy, VolumeNotFound):
                    clear()
            except OSError as error:
                yield disk_failed(error)
            except DvolError as error:
                yield error

    def resume(self, containers: Containers) -> bool:
        """Resume the containers that dead verbs have left suspended, except in volumes on which a
        verb works. Each volume is tried; returns whether all containers were resumed."""
        with self._access.reading():
            volumes = map(self._pool.layout.volume, self._pool.names())
            left = [volume.name for volume in volumes if _left_suspended(volume)]
        return False not in [self._resume(volume, containers) for volume in left]

    def collect_garbage(self) -> None:
        """Delete the garbage; slow."""
        with self._access.reading():
            self._pool.collect_garbage()

    def _clear(self, volume: str) -> None:
        if self._pool.volume(self._pool.layout.volume(volume)).journal.staged():
            with self._access.inspecting(volume, "recovery", timeout=0.0, finish=True) as found:
                found.recover(self._pool.journal, self._pool.delete_later)

    def _clear_pool(self) -> None:
        if self._pool.journal.staged():
            with self._access.inspecting_pool("recovery", timeout=0.0):
                self._pool.journal.recover(self._pool.delete_later)

    def _resume(self, volume: str, containers: Containers) -> bool:
        """Also on a full disk: a pool of an earlier format keeps it."""
        access = self._access
        try:
            with access.changing(
                volume, "recovery", tolerant=True, timeout=0.0, upgrade=False
            ) as found:
                if found.journal.refilling():  # they can't start before a verb has completed it
                    return False
                return resume(containers, found.layout, access.on_progress, timeout=0.0)
        except (Busy, VolumeNotFound):  # a verb is under way, and will start them
            return False
        except DvolError as error:
            access.on_progress(f"warning: {error}")
            return False


def resume(
    containers: Containers,
    volume: VolumeLayout,
    on_progress: Callable[[str], None],
    timeout: float,
    warn: bool = True,
) -> bool:
    """Resume the containers that a dead verb has suspended, and run the hooks that it owes. The
    caller holds the volume's lock. Returns False if any does not start, or if the record can't be
    read; it stays recorded, and `on_progress` is told why if `warn`.

    If another verb has locked a container, for another of its volumes, the lock is waited for,
    `timeout` seconds at most: until then the container must stay suspended. Raises ContainerBusy.
    """
    if not _left_suspended(volume):
        return True
    from dvol.engine.hooks import run_owed  # late: only after a crash
    from dvol.pool import suspended

    resumed = set()
    left, wrong = suspended.recorded(volume)
    for error in wrong if warn else ():
        on_progress(f"warning: {error}")
    for one in left.containers:
        with exclusive(volume.pool.container_lock(one.id), "recovery", timeout) as had:
            if not had:
                raise ContainerBusy(one.name)
            reason = try_resume(containers, one, volume.name)
        stopped = f"{one.name}, which a dvol command had stopped before it died,"
        if not reason:
            on_progress(f"{stopped} runs again")
        elif warn or reason == GONE:
            on_progress(f"warning: {stopped} does not run: {reason}")
        if reason in ("", GONE):
            resumed.add(one.id)
    suspended.forget(volume, resumed)
    told = not left.owed or run_owed(containers, volume, left.owed, on_progress, timeout)
    return told and not wrong and len(resumed) == len(left.containers)


def try_resume(containers: Containers, one: Suspension, recorded_in: str = "") -> str:
    """As `Containers.resume`, but return an error's text as the reason instead of raising it."""
    try:
        return containers.resume(one, recorded_in)
    except DvolError as error:
        return str(error)


def _left_suspended(volume: VolumeLayout) -> bool:
    """Whether there is a record of containers that are not known to run again."""
    return any(map(os.path.lexists, volume.suspended_files))
