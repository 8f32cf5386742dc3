"""The volume plugin's calls on a pool, in dvol's terms; Docker's requests and answers are in
`plugin/volumedriver.py`.

No call here asks Docker anything: they use files, locks and gates only.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from dvol import names
from dvol.engine import gate
from dvol.engine.gate import MOUNT_TIMEOUT
from dvol.errors import TreeMissing, UnfinishedDiscard, VolumeBusy, VolumeNotFound
from dvol.fs.directories import is_directory
from dvol.fs.locks import exclusive, holder
from dvol.journal.journal import Journal
from dvol.layout import VolumeLayout
from dvol.model import Volume
from dvol.pool.access import Access
from dvol.pool.volume import VolumeDir

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")  # the name that Docker gives to an anonymous volume


class DockerVolumes:
    """The volumes of a pool, for Docker."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._pool = access.pool

    def create(self, volume: str) -> None:
        """Make a volume if none has that name: Docker asks again after any failed `Get`."""
        names.check_volume(volume)
        with self._access.changing_pool("create"):
            if not self._pool.exists(volume):
                self._pool.create(volume, active=False)

    def remove(self, volume: str) -> None:
        """Move a volume to the trash; an anonymous one without commits is deleted.

        Raises VolumeBusy at once instead of waiting, since Docker waits for the answer; does
        nothing if the volume does not exist.
        """
        layout = self._pool.layout
        with suppress(VolumeNotFound):
            with self._access.changing(volume, "rm", tolerant=True, timeout=0.0) as found:
                worthless = _ANONYMOUS.fullmatch(volume) and not _has_commits(found)
                with self._access.changing_pool("rm", timeout=1.0):
                    self._pool.remove(volume, layout.garbage if worthless else layout.trash)

    def is_removed(self, volume: str) -> bool:
        """Whether there is no volume of that name, and one in the trash."""
        from dvol.trash.entry import in_trash  # late: few calls of Docker's need it

        with self._access.reading():
            removed = (one.volume for one in in_trash(self._pool.layout) if one.is_volume)
            return not self._pool.exists(volume) and volume in removed

    def names(self) -> list[str]:
        """The names of all volumes, also of corrupt ones."""
        with self._access.reading():
            return self._pool.names()

    def describe(self, volume: str) -> Volume:
        """One volume; `active` is not filled in, since Docker does not use it."""
        with self._access.reading(volume):
            return self._access.recovered(volume).facts()

    def tree(self, volume: str) -> Path:
        """The live tree that Docker mounts. Takes no lock and waits for nothing."""
        with self._access.reading(volume):
            return self._live_tree(self._pool.find(volume))

    def created(self, volume: str) -> str:
        """When the volume was made, RFC 3339 in UTC."""
        with self._access.reading(volume):
            return self._pool.volume(self._pool.find(volume)).created()

    def mount(self, volume: str, timeout: float = MOUNT_TIMEOUT) -> Path:
        """The live tree, once no verb needs it quiet, and no journal is left. Raises VolumeBusy
        after `timeout` seconds; UnfinishedDiscard where completing a journal means to copy files,
        which may take longer than Docker waits."""
        deadline = time.monotonic() + timeout
        with self._access.reading():
            while True:
                found = self._pool.volume(self._pool.find(volume))
                with gate.passing(found.layout, deadline - time.monotonic()) as had:
                    if not had:
                        raise VolumeBusy(volume, holder(found.layout.gate))
                    if not found.journal.pending() and not self._pool.journal.pending():
                        return self._live_tree(found.layout)
                _complete(volume, found.journal, found.layout.lock, deadline)
                _complete(volume, self._pool.journal, self._pool.layout.lock, deadline)

    def _live_tree(self, layout: VolumeLayout) -> Path:
        tree = layout.tree(self._pool.volume(layout).history.current())
        if not is_directory(tree):
            raise TreeMissing(str(tree))
        return tree


def _complete(volume: str, journal: Journal, lock: Path, deadline: float) -> None:
    """Complete a journal that a dead process left, or wait for the process that applies it."""
    if journal.pending():
        with exclusive(lock, "recovery", deadline - time.monotonic()) as had:
            if not had:
                raise VolumeBusy(volume, holder(lock))
            if journal.refilling():
                raise UnfinishedDiscard(volume)
            journal.complete()


def _has_commits(volume: VolumeDir) -> bool:
    """Returns True also if the volume cannot be read, so that nothing is deleted by mistake."""
    try:
        lists = any(name.endswith(".json") for name in os.listdir(volume.layout.branches))
        return lists or bool(os.listdir(volume.layout.commits))
    except OSError:
        return True
