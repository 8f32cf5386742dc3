"""Finding what is wrong in a pool, and repairing what can be without loss; no prevention, and no
recovery after a crash.

`Fsck` looks at the pool's own files, `volume` at each volume, `damage` and `contents` at its
commits.
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
from dvol.fsck.contents import DataChecks
from dvol.fsck.problem import Problem
from dvol.fsck.volume import VolumeChecks, stranger
from dvol.layout import OWN
from dvol.model import Finding
from dvol.pool import format
from dvol.pool.access import Access
from dvol.trash.entry import in_trash

_OWN = {"pool.json", "config.json", "locks", "journal.json", "staging", "trash", "garbage"}
_OWN |= {"expired.json"}
_FORMAT_1 = {"doomed"}
_LOCKS = {"pool", "garbage", "volumes", "gates", "waiting", "containers", "sweep"}  # as in format 1
_SHORTLY = 0.3  # seconds to wait for a lock, where all volumes are checked


class Fsck:
    """Checks a pool; with `data` also the content of commits. With `repair` it repairs what can be
    repaired without loss."""

    def __init__(self, access: Access, repair: bool, data: bool) -> None:
        self.access = access
        self.repair = repair
        self.data = data

    def run(self, volume: str = "") -> list[Finding]:
        """See `Engine.fsck`."""
        with self.access.reading(volume):
            if self.repair:  # most repairs only delete, and must work on a full disk
                format.ensure(self.access.pool.layout, upgrade=False)
            if volume:
                return list(self._volume(volume, self.access.timeout))
            found = list(self._unless_busy("", self._pool()))
            for name in self.access.pool.names():
                found += self._unless_busy(name, self._volume(name, _SHORTLY))
            return found

    def _unless_busy(self, volume: str, found: Iterator[Finding]) -> Iterator[Finding]:
        try:
            yield from found
        except Busy as error:
            yield Finding(volume, str(error), "busy")
        except VolumeNotFound:  # it was deleted meanwhile
            return

    def _volume(self, volume: str, timeout: float) -> Iterator[Finding]:
        try:
            with self.access.inspecting(volume, "fsck", timeout) as found:
                checks = VolumeChecks(found, self.access.pool.journal, self.data)
                yield from self._findings(volume, checks.run())
            if self.data:
                contents = DataChecks(self.access, checks.damage)
                yield from self._findings(volume, contents.run())
        except Corrupt as error:  # no other check of the volume is possible
            yield Finding(volume, str(error), "broken")

    def _pool(self) -> Iterator[Finding]:
        try:
            with self.access.inspecting_pool("fsck", _SHORTLY):
                yield from self._findings("", self._problems())
        except Corrupt as error:
            yield Finding("", str(error), "broken")

    def _findings(self, volume: str, problems: Iterable[Problem]) -> Iterator[Finding]:
        for problem in problems:
            text, state = problem.text, problem.state
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
        yield from self._staged_files()
        yield from self._locks()
        for entry in in_trash(self.access.pool.layout):
            if not entry.note:
                yield Problem(f".dvol/trash/{entry.path.name} has no entry.json that can be read")
        for name in sorted(names_in(self.access.pool.layout.root)):
            if name != OWN and name not in names.POOL_FILES and not self.access.pool.exists(name):
                yield Problem(f"{name} is no file of dvol's")
        for name in sorted(names_in(self.access.pool.layout.own)):
            yield from stranger(name, _OWN | _FORMAT_1)

    def _active(self) -> Iterator[Problem]:
        try:
            self.access.pool.active()
        except Corrupt as error:
            yield Problem(str(error))

    def _staged_files(self) -> Iterator[Problem]:
        for name in self.access.pool.journal.staged():
            repair = partial(
                self.access.pool.backend.delete, self.access.pool.layout.staging / name
            )
            text = f".dvol/staging/{name} was left by a command that died"
            yield Problem(text, repair, state="leftover")

    def _locks(self) -> Iterator[Problem]:
        locks = self.access.pool.layout.lock.parent
        for name in sorted(names_in(locks)):
            if name not in _LOCKS:
                yield Problem(f".dvol/locks/{name} is no file of dvol's")
        for directory in ("volumes", "gates"):
            for name in sorted(names_in(locks / directory)):
                yield from self._lock(locks / directory / name)
        for name in ("pool", "garbage", "sweep"):
            yield from self._lock(locks / name)

    def _lock(self, path: Path) -> Iterator[Problem]:
        """A lock file must be a regular file of the pool's owner: another owner could hold the lock
        for ever, or delete it."""
        layout = self.access.pool.layout
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return
        where = path.relative_to(layout.root)
        if not stat.S_ISREG(status.st_mode):
            yield Problem(f"{where} is no lock file")
        elif status.st_uid != os.lstat(layout.root).st_uid:
            yield Problem(f"{where} belongs to user {status.st_uid}, not to the pool's owner")
