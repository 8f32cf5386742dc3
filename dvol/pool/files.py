"""A pool's files: which volumes there are, which is active, and who may change them now.

Volumes are found, made and thrown away here; what happens inside one is `volume_files`, what a
verb means is `pool`. Nothing here knows a container.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property, partial
from pathlib import Path

from dvol import names
from dvol.backends import Backend, Step, choose
from dvol.errors import (
    BadDocument,
    Busy,
    Corrupt,
    DvolError,
    InTheWay,
    NoSpace,
    PoolBusy,
    VolumeBusy,
    VolumeNotFound,
    disk_failed,
)
from dvol.fs.directories import is_directory, names_in
from dvol.fs.durable import durably, read_json, replace_json, sync_directory, write_json
from dvol.fs.locks import held, holder
from dvol.history.commits import now
from dvol.journal.journal import Journal
from dvol.journal.steps import putting
from dvol.layout import DEFAULT_BRANCH, OWN, PoolLayout, VolumeLayout
from dvol.pool import format
from dvol.pool.volume import VolumeFiles
from dvol.sizes import readable
from dvol.trash.entries import describe, new_entry, new_name
from dvol.tree.usage import freeable

_SETTLES = 1.0  # seconds; a journal is a few renames
_AT_ONCE = 0.3  # seconds one waits for a lock without a word about it


class PoolFiles:
    """The pool with these paths.

    `tell` hears what is waited for; `patience` is how many seconds one waits for a lock.
    """

    def __init__(self, layout: PoolLayout, tell: Callable[[str], None], patience: float) -> None:
        self.layout = layout
        self.tell = tell
        self.patience = patience

    @cached_property
    def backend(self) -> Backend:
        return choose(self.layout.root)

    @property
    def journal(self) -> Journal:
        layout = self.layout
        return Journal(layout.journal, layout.root, layout.staging, self.backend)

    def volume(self, layout: VolumeLayout) -> VolumeFiles:
        return VolumeFiles(layout, self.backend)

    # -- finding -------------------------------------------------------------------------------

    def exists(self, volume: str) -> bool:
        """A volume is a directory of the pool, whatever state it is in."""
        return (
            names.is_component(volume)
            and volume not in names.POOL_FILES
            and is_directory(self.layout.root / volume)
        )

    def names(self) -> list[str]:
        return sorted(filter(self.exists, os.listdir(self.layout.root)))

    def find(self, volume: str) -> VolumeLayout:
        """The paths of a volume that exists. A name that no new volume may have is refused as
        such, unless the original dvol made one of that name."""
        if not self.exists(volume):
            names.check_volume(volume)
            raise VolumeNotFound(volume)
        layout = self.layout.volume(volume)
        for path in layout.directories:
            if path.is_symlink():
                raise BadDocument(str(path), "it is a symbolic link, which may lead elsewhere")
        return layout

    def settled(self, volume: str) -> VolumeFiles:
        """A volume as it is before or after a verb, and not in the midst of a dead one."""
        files = self.volume(self.find(volume))
        _complete_if_dead(files.journal, files.layout.lock)
        return files

    def active(self) -> str:
        """The name of the active volume, "" if there is none; it may be gone."""
        path = self.layout.active
        try:
            document = read_json(path)
        except FileNotFoundError:
            return ""
        name = document.get("current_volume") if isinstance(document, dict) else None
        if not isinstance(name, str):
            raise BadDocument(str(path), "it names no volume")
        return name

    # -- holding -------------------------------------------------------------------------------

    @contextmanager
    def reading(self, volume: str = "") -> Iterator[None]:
        """Around every verb: is there a pool, is it sound, and what did the kernel say. A volume
        that went away under our eyes is not found rather than corrupt."""
        with _disk_errors():
            format.check(self.layout)
            _complete_if_dead(self.journal, self.layout.lock)
            try:
                yield
            except Corrupt:
                if volume and not self.exists(volume):
                    raise VolumeNotFound(volume) from None
                raise

    @contextmanager
    def changing(
        self, volume: str, verb: str, tolerant: bool = False, patience: float | None = None
    ) -> Iterator[VolumeFiles]:
        """Hold a volume's lock, once what died in it is recovered (`tolerant`: or corrupt)."""
        with self.reading():
            layout = self.find(volume)
            format.ensure(self.layout)
            busy = partial(VolumeBusy, volume)
            with self._locked(layout.lock, verb, busy, patience):
                files = self.volume(self.find(volume))  # it may have gone while we waited
                with suppress(Corrupt, OSError) if tolerant else nullcontext():
                    self._settle(verb, patience)
                    files.recover()
                recover = partial(self._recover, files)
                with _left_clean(recover), self._weighing_space(f"{verb} of '{volume}'"):
                    yield files

    def _recover(self, files: VolumeFiles) -> None:
        """What is staged in it may be needed for a verb of several volumes that is not completed:
        then the next verb sees to both."""
        if not self.journal.pending():
            files.recover()

    @contextmanager
    def looking(self, volume: str, verb: str, patience: float) -> Iterator[VolumeFiles]:
        """Hold a volume's lock as `changing` does, but delete nothing and mark no pool."""
        with self.reading():
            layout = self.find(volume)
            with self._locked(layout.lock, verb, partial(VolumeBusy, volume), patience):
                files = self.volume(self.find(volume))
                self._settle(verb, patience)
                files.journal.complete()
                yield files

    @contextmanager
    def changing_pool(self, verb: str, patience: float | None = None) -> Iterator[None]:
        """Hold the pool's lock, making the pool first where there is none."""
        with _disk_errors():
            format.ensure(self.layout)
            with self._locked(self.layout.lock, verb, PoolBusy, patience):
                self.journal.recover()
                with _left_clean(self.journal.recover):
                    yield

    def _settle(self, verb: str, patience: float | None) -> None:
        """Wait for a verb of several volumes, which goes through the pool's journal, or complete
        it: until then what is staged in its volumes is needed."""
        if self.journal.pending():
            patience = self.patience if patience is None else max(patience, _SETTLES)
            with self._locked(self.layout.lock, verb, PoolBusy, patience):
                self.journal.complete()

    @contextmanager
    def looking_at_pool(self, verb: str, patience: float) -> Iterator[None]:
        """Hold the pool's lock in the same way."""
        with self._locked(self.layout.lock, verb, PoolBusy, patience):
            self.journal.complete()
            yield

    @contextmanager
    def _weighing_space(self, what: str) -> Iterator[None]:
        """A backend says only how many bytes it wanted; people want to know what to do."""
        try:
            yield
        except NoSpace as error:
            if not all(number.isdigit() for number in error.subject[1:3]):
                raise  # it is told already: several volumes are held
            needs, free = map(int, error.subject[1:3])
            back = freeable(self.layout, self.names())
            raise NoSpace(what, *map(readable, (needs, free, back))) from error

    @contextmanager
    def _locked(
        self, lock: Path, verb: str, busy: Callable[[str], Busy], patience: float | None = None
    ) -> Iterator[None]:
        patience = self.patience if patience is None else patience
        with held(lock, verb, min(patience, _AT_ONCE)) as had:
            if had:
                yield
                return
            who = holder(lock)
        if patience > _AT_ONCE:
            self.tell(f"waiting{who}")
        with held(lock, verb, patience) as had:
            if not had:
                raise busy(who)
            yield

    # -- changing: the caller holds the pool's lock ----------------------------------------------

    def create(self, volume: str, active: bool) -> None:
        """Build a volume aside, then move it into place: it is there whole or not at all."""
        if os.path.lexists(self.layout.root / volume):
            raise InTheWay(str(self.layout.root / volume))
        if active and self.layout.active.is_dir():
            raise InTheWay(str(self.layout.active))
        staged = self.layout.staging / "volume"
        with durably(self.layout.root):
            steps = [*self._build(staged, volume, active), ["discard", self._at(staged)]]
            self.journal.stage("init", steps)
        self.journal.run(steps)

    def _build(self, staged: Path, volume: str, active: bool) -> list[Step]:
        root = staged / "root"
        for directory in (root, root / OWN, root / "branches", root / "commits"):
            directory.mkdir(parents=True, mode=0o755)
        self.backend.create(root / "branches" / DEFAULT_BRANCH)
        write_json(root / OWN / "volume.json", {"created": now()}, durable=False)
        steps: list[Step] = [["move", self._at(root), volume]]
        if active:
            document = {"current_volume": volume}
            write_json(staged / "active.json", document, durable=False)
            steps += putting(self.layout.root, staged / "active.json", self.layout.active)
        return steps

    def discard(self, volume: str, into: Path) -> None:
        """Move a whole volume to the trash or to its doom; the volume's lock is held too."""
        with durably(self.layout.root):
            entry = new_entry(self.layout.staging, into)
            describe(entry, durable=False, verb="rm", volume=volume)
            steps: list[Step] = [
                ["move", volume, self._at(entry / "volume")],
                ["move", self._at(entry), self._at(into / entry.name)],
            ]
            self.journal.stage("rm", steps)
        self.journal.run(steps)

    def bring_back(self, entry: Path, volume: str) -> None:
        """Move the volume in an entry of the trash back, under that name, which is free."""
        if os.path.lexists(self.layout.root / volume):
            raise InTheWay(str(self.layout.root / volume))
        self.layout.doomed.mkdir(exist_ok=True)
        steps: list[Step] = [
            ["move", self._at(entry / "volume"), volume],
            ["move", self._at(entry), self._at(self.layout.doomed / entry.name)],
        ]
        with durably(self.layout.root):
            self.journal.stage("restore", steps)
        self.journal.run(steps)

    def point_at(self, volume: str) -> None:
        """Make a volume the active one: one rename."""
        replace_json(self.layout.active, {"current_volume": volume}, self.layout.staging)

    def doom(self, path: Path) -> None:
        """Move what lies at a path, if anything does, to where the sweep deletes it."""
        if os.path.lexists(path):
            self.layout.doomed.mkdir(parents=True, exist_ok=True)
            self.backend.move(path, self.layout.doomed / new_name())

    def sweep(self) -> None:
        """Delete what is doomed; what can't be deleted keeps nothing else from it.

        Slow, so never within a call that Docker waits for. Raises the last failure."""
        failures: dict[str, OSError] = {}
        format.check(self.layout)
        with _disk_errors(), held(self.layout.sweep_lock, "sweep", 0.0) as had:
            while had and (left := {*names_in(self.layout.doomed)} - failures.keys()):
                sync_directory(self.layout.doomed)  # or a power cut brings half of it back
                for name in left:
                    try:
                        self.backend.delete(self.layout.doomed / name)
                    except OSError as error:
                        failures[name] = error
            for failure in failures.values():
                raise failure

    def _at(self, path: Path) -> str:
        return str(path.relative_to(self.layout.root))


def _complete_if_dead(journal: Journal, lock: Path) -> None:
    """A journal whose lock is free is a dead process's; one whose lock is held is at work.

    Where the disk does not let it be completed now, reading goes on: each document is whole.
    """
    if journal.pending():
        with suppress(OSError), held(lock, "recovery", 0.0) as had:
            if had:
                journal.complete()


@contextmanager
def _disk_errors() -> Iterator[None]:
    """What the kernel says becomes a refusal."""
    try:
        yield
    except OSError as error:
        raise disk_failed(error) from error


@contextmanager
def _left_clean(recover: Callable[[], None]) -> Iterator[None]:
    """When a verb fails or is interrupted, complete what it had journalled, and free the space
    of what it had only staged. What cannot be done now, the next verb does."""
    try:
        yield
    except BaseException:
        with suppress(DvolError, OSError):
            recover()
        raise
