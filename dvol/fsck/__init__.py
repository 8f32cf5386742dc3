"""What is wrong with a pool: `fsck`, over the pool's own files and then over each volume.

What is wrong within a volume is `volume`'s.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from dvol import names
from dvol.errors import Busy, Corrupt, DvolError, VolumeNotFound
from dvol.fs.directories import names_in
from dvol.fsck.volume import Problem, VolumeChecks, stranger
from dvol.layout import OWN
from dvol.model import Finding
from dvol.pool import format
from dvol.pool.files import PoolFiles
from dvol.trash.reachability import in_trash

_OWN = {"pool.json", "config.json", "locks", "journal.json", "staging", "trash", "doomed"}
_LOCKS = {"pool", "sweep", "volumes", "gates", "waiting", "containers"}
_AT_ONCE = 0.3  # seconds to wait for a volume among many


class Fsck:
    """Checks a pool, and mends what can be mended if `repair` is asked for."""

    def __init__(self, files: PoolFiles, repair: bool) -> None:
        self.files = files
        self.repair = repair

    def run(self, volume: str = "") -> list[Finding]:
        """What is wrong with the volume, or with everything."""
        with self.files.reading(volume):
            if self.repair:
                format.ensure(self.files.layout)
            if volume:
                return list(self._volume(volume, self.files.patience))
            found = list(self._unless_busy("", self._pool()))
            for name in self.files.names():
                found += self._unless_busy(name, self._volume(name, _AT_ONCE))
            return found

    def _unless_busy(self, volume: str, found: Iterator[Finding]) -> Iterator[Finding]:
        try:
            yield from found
        except Busy as error:
            yield Finding(volume, str(error), "busy")
        except VolumeNotFound:  # it went away under our eyes
            return

    def _volume(self, volume: str, patience: float) -> Iterator[Finding]:
        try:
            with self.files.looking(volume, "fsck", patience) as files:
                yield from self._findings(volume, VolumeChecks(files).run())
        except Corrupt as error:  # so much that nothing else can be looked at
            yield Finding(volume, str(error), "broken")

    def _pool(self) -> Iterator[Finding]:
        try:
            with self.files.looking_at_pool("fsck", _AT_ONCE):
                yield from self._findings("", self._problems())
        except Corrupt as error:
            yield Finding("", str(error), "broken")

    def _findings(self, volume: str, problems: Iterable[Problem]) -> Iterator[Finding]:
        for problem in problems:
            text, state = problem.text, "broken"
            if self.repair and problem.repair:
                try:
                    problem.repair()
                    text, state = text + problem.rest, "broken" if problem.rest else "repaired"
                except (DvolError, OSError) as error:
                    text = f"{text} ({error})"
            yield Finding(volume, text, state)

    # -- the pool's own files ------------------------------------------------------------------

    def _problems(self) -> Iterator[Problem]:
        yield from self._active()
        yield from self._leavings()
        yield from self._locks()
        for entry in in_trash(self.files.layout):
            if not entry.note:
                yield Problem(f"nobody can tell what .dvol/trash/{entry.path.name} was")
        for name in sorted(names_in(self.files.layout.root)):
            if name != OWN and name not in names.POOL_FILES and not self.files.exists(name):
                yield Problem(f"{name} is nothing of dvol's")
        for name in sorted(names_in(self.files.layout.own)):
            yield from stranger(name, _OWN)

    def _active(self) -> Iterator[Problem]:
        try:
            self.files.active()
        except Corrupt as error:
            yield Problem(str(error))

    def _leavings(self) -> Iterator[Problem]:
        for name in self.files.journal.staged():
            mend = partial(self.files.backend.delete, self.files.layout.staging / name)
            yield Problem(f".dvol/staging/{name} was left by a dead verb", mend)

    def _locks(self) -> Iterator[Problem]:
        locks = self.files.layout.lock.parent
        for name in sorted(names_in(locks)):
            if name not in _LOCKS:
                yield Problem(f".dvol/locks/{name} is nothing of dvol's")
        for directory in ("volumes", "gates"):
            for name in sorted(names_in(locks / directory)):
                yield from self._lock(locks / directory / name)
        for name in ("pool", "sweep"):
            yield from self._lock(locks / name)

    def _lock(self, path: Path) -> Iterator[Problem]:
        """A lock of somebody else's could be held, or taken away, by somebody else."""
        layout = self.files.layout
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return
        where = path.relative_to(layout.root)
        if not stat.S_ISREG(status.st_mode):
            yield Problem(f"{where} is no lock file")
        elif status.st_uid != os.lstat(layout.root).st_uid:
            yield Problem(f"{where} belongs to user {status.st_uid}, not to the pool's owner")
