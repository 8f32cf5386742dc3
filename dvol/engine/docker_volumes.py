"""What Docker's door needs of a pool besides the promise, and what its server does unasked.

None of it asks Docker anything. It knows files, locks and gates; the calls in Docker's own words
are the server's.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from dvol import names
from dvol.errors import Busy, DvolError, TreeMissing, VolumeBusy, VolumeNotFound, disk_failed
from dvol.fs.directories import is_directory
from dvol.fs.locks import held, holder, in_a_slot, shared
from dvol.journal.journal import Journal
from dvol.layout import VolumeLayout
from dvol.pool.files import PoolFiles
from dvol.pool.volume import VolumeFiles

MOUNT_PATIENCE = 18.0  # seconds; Docker's own limit may be 30, and it retries with empty bodies
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")  # what Docker calls a volume that nobody named


class Door:
    """Docker's side of a pool."""

    def __init__(self, files: PoolFiles) -> None:
        self._files = files

    def create(self, volume: str) -> None:
        """Make a volume if none has that name: Docker asks again after any failed `Get`."""
        names.check_volume(volume)
        with self._files.changing_pool("create"):
            if not self._files.exists(volume):
                self._files.create(volume, active=False)

    def remove(self, volume: str) -> None:
        """Move a volume to the trash; doom it if nobody named it nor committed to it.

        Busy at once rather than slow; a volume that is not there is removed already.
        """
        layout = self._files.layout
        with suppress(VolumeNotFound):
            with self._files.changing(volume, "rm", tolerant=True, patience=0.0) as files:
                passing = _ANONYMOUS.fullmatch(volume) and not _has_commits(files)
                with self._files.changing_pool("rm", patience=1.0):
                    self._files.discard(volume, layout.doomed if passing else layout.trash)

    def names(self) -> list[str]:
        """The names of all volumes, in whatever state they are."""
        with self._files.reading():
            return self._files.names()

    def tree(self, volume: str) -> Path:
        """The live tree that Docker mounts. Takes no lock and waits for nobody."""
        with self._files.reading(volume):
            return self._live_tree(self._files.find(volume))

    def created(self, volume: str) -> str:
        """When the volume was made, RFC 3339 with a zone."""
        with self._files.reading(volume):
            return self._files.volume(self._files.find(volume)).created()

    def mount(self, volume: str, patience: float = MOUNT_PATIENCE) -> Path:
        """The live tree, once no verb needs it quiet; VolumeBusy after `patience` seconds."""
        deadline = time.monotonic() + patience
        with self._files.reading():
            while True:
                files = self._files.volume(self._files.find(volume))
                with _through(files.layout, deadline - time.monotonic()) as had:
                    if not had:
                        raise VolumeBusy(volume, holder(files.layout.gate))
                    if not files.journal.pending() and not self._files.journal.pending():
                        return self._live_tree(files.layout)
                self._complete(volume, files.journal, files.layout.lock, deadline)
                self._complete(volume, self._files.journal, self._files.layout.lock, deadline)

    def _complete(self, volume: str, journal: Journal, lock: Path, deadline: float) -> None:
        """Take the steps that a dead process left, or wait for the one that takes them."""
        if journal.pending():
            with held(lock, "recovery", deadline - time.monotonic()) as had:
                if not had:
                    raise VolumeBusy(volume, holder(lock))
                journal.complete()

    def recover(self) -> Iterator[DvolError]:
        """Complete what died under way, in every volume; yields what stays as it is."""
        with self._files.reading():
            for name in self._files.names():
                try:
                    self._files.settled(name)
                except OSError as error:
                    yield disk_failed(error)
                except DvolError as error:
                    yield error

    def clear_leavings(self) -> Iterator[DvolError]:
        """Doom what dead verbs had only staged, where no verb is at work: half a copy may be large,
        and the next verb a long time coming. Locks are held for renames only; yields what stays."""
        clears: list[Callable[[], None]] = [self._clear_pool]
        clears += [partial(self._clear, name) for name in self.names()]
        for clear in clears:
            try:
                with suppress(Busy, VolumeNotFound):
                    clear()
            except OSError as error:
                yield disk_failed(error)
            except DvolError as error:
                yield error

    def _clear(self, volume: str) -> None:
        if self._files.volume(self._files.layout.volume(volume)).journal.staged():
            with self._files.looking(volume, "recovery", patience=0.0) as files:
                files.recover(self._files.doom)

    def _clear_pool(self) -> None:
        if self._files.journal.staged():
            with self._files.looking_at_pool("recovery", patience=0.0):
                self._files.journal.recover(self._files.doom)

    def sweep(self) -> None:
        """Delete what is doomed. Slow, so never within a call that Docker waits for."""
        self._files.sweep()

    def _live_tree(self, layout: VolumeLayout) -> Path:
        tree = layout.tree(self._files.volume(layout).history.current())
        if not is_directory(tree):
            raise TreeMissing(str(tree))
        return tree


@contextmanager
def _through(layout: VolumeLayout, patience: float) -> Iterator[bool]:
    """Pass the gate as `shared` does; who has to wait there can be seen by who closed it."""
    with shared(layout.gate, 0.0) as had:
        if had:
            yield True
            return
    with in_a_slot(layout.waiting), shared(layout.gate, patience) as had:
        yield had


def _has_commits(files: VolumeFiles) -> bool:
    """In doubt, yes."""
    try:
        lists = any(name.endswith(".json") for name in os.listdir(files.layout.branches))
        return lists or bool(os.listdir(files.layout.commits))
    except OSError:
        return True
