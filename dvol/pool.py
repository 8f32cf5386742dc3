"""Pool: the keeper of the promise on a disk. Each verb is a short paragraph here.

It is the one place that composes storage and containers: it has the volume found and locked,
closes its gate, asks which containers use it, and has the steps taken.

Locks, always in this order: a volume's lock (one verb at a time), its gate (closed while its
trees must be quiet; Docker's `Mount` passes through it), the pool's lock (its list of volumes).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dvol import __version__, names
from dvol.authorship import new_commit
from dvol.containers import Containers, NoContainers
from dvol.engine import PROTOCOL
from dvol.errors import (
    ActiveVolumeGone,
    BranchActive,
    BranchExists,
    BranchNotFound,
    CannotRemoveMissing,
    CannotSwitchToMissing,
    Corrupt,
    DvolError,
    NoActiveVolume,
    NothingCommitted,
    TreeMissing,
    VolumeBusy,
    VolumeExists,
    VolumeInUse,
    VolumeNotFound,
    VolumeReferred,
    disk_failed,
)
from dvol.history import is_directory
from dvol.layout import PoolLayout, VolumeLayout
from dvol.locks import held, holder, shared
from dvol.model import Branch, Commit, Version, Volume
from dvol.pool_files import PoolFiles
from dvol.volume_files import VolumeFiles

MOUNT_PATIENCE = 18.0  # seconds; Docker's own limit may be 30, and it retries with empty bodies
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")  # what Docker calls a volume that nobody named


def _silent(text: str) -> None:
    """Nobody listens."""


@dataclass
class Pool:
    """The volumes below `root`, and the containers that use them.

    `tell` hears what a verb waits for; `patience` is how many seconds it waits for a lock.
    """

    root: Path
    containers: Containers = field(default_factory=NoContainers)
    tell: Callable[[str], None] = _silent
    patience: float = 60.0

    def __post_init__(self) -> None:
        try:
            layout = PoolLayout(Path(os.path.realpath(self.root)))
        except OSError as error:  # a relative path in a directory that is gone
            raise disk_failed(error, self.root) from error
        self._files = PoolFiles(layout, self.tell, self.patience)

    # -- the promise, see engine.py ------------------------------------------------------------

    def version(self) -> Version:
        return Version(__version__, PROTOCOL, str(self._files.layout.root))

    def volumes(self) -> list[Volume]:
        with self._files.reading():
            active = self._files.active()
            described = [self._describe(name, active) for name in self._files.names()]
            return [volume for volume in described if volume]

    def get(self, volume: str) -> Volume:
        with self._files.reading(volume):
            active = ""
            with suppress(Corrupt):  # which concerns no volume
                active = self._files.active()
            return self._facts(volume, active)

    def active(self) -> str:
        with self._files.reading():
            name = self._files.active()
            if not name:
                raise NoActiveVolume()
            if not self._files.exists(name):
                raise ActiveVolumeGone(name)
        return name

    def init(self, volume: str) -> Volume:
        names.check_volume(volume)
        with self._files.changing_pool("init"):
            if self._files.exists(volume):
                raise VolumeExists(volume)
            self._files.create(volume, active=True)
        return self.get(volume)

    def switch(self, volume: str) -> Volume:
        with self._files.reading():
            self._files.find(volume)
        with self._files.changing_pool("switch"):
            self._files.point_at(volume)
        return self.get(volume)

    def rm(self, volume: str) -> None:
        try:
            with self._files.changing(volume, "rm", tolerant=True) as files:
                with self._gate_closed(files.layout, "rm"):
                    referring = self.containers.referring(volume)
                    if referring:
                        raise VolumeReferred(volume, ",".join(referring))
                    with self._files.changing_pool("rm"):
                        self._files.discard(volume, self._files.layout.trash)
        except VolumeNotFound:
            raise CannotRemoveMissing(volume) from None

    def commit(self, volume: str, message: str, author: str, date: str = "") -> Commit:
        commit = new_commit(message, author, date)
        with self._files.changing(volume, "commit") as files:
            branch, line = files.history.current_line()
            with files.durably():  # while the gate is open again
                with self._quiet(files.layout, "commit"):
                    files.freeze(branch, line, commit)
            files.publish(branch, commit)
        return commit

    def log(self, volume: str, revision: str = "HEAD") -> list[Commit]:
        with self._files.reading(volume):
            history = self._files.settled(volume).history
            _, line = history.current_line()
            if line or revision != "HEAD":
                line = history.resolve(revision)
        return list(reversed(line))

    def reset(self, volume: str, revision: str = "HEAD") -> Commit:
        with self._files.changing(volume, "reset") as files:
            branch, _ = files.history.current_line()
            line = files.history.resolve(revision)
            self._refuse_users(files.layout, "reset")  # before the work, not after it
            steps = files.prepare_reset(branch, line)
            with self._quiet(files.layout, "reset"):
                files.journal.run("reset", steps)
        return line[-1]

    def branches(self, volume: str) -> list[Branch]:
        with self._files.reading(volume):
            history = self._files.settled(volume).history
            current, _ = history.current_line()
            return [Branch(name, _head(history[name]), name == current) for name in history]

    def branch(self, volume: str, name: str) -> Branch:
        names.check_branch(name)
        with self._files.changing(volume, "checkout") as files:
            if name in files.history:
                raise BranchExists(name)
            _, line = files.history.current_line()
            if not line:
                raise NothingCommitted()
            self._refuse_users(files.layout, "checkout")
            steps = files.prepare_branch(name, line)
            with self._quiet(files.layout, "checkout"):
                files.journal.run("checkout", steps)
        return Branch(name, _head(line), current=True)

    def checkout(self, volume: str, name: str) -> Branch:
        with self._files.changing(volume, "checkout") as files:
            history = files.history
            if name not in history:
                raise CannotSwitchToMissing(name)
            if name != history.current():
                with self._quiet(files.layout, "checkout"):
                    files.point_at(name)
            return Branch(name, _head(history[name]), current=True)

    def delete_branch(self, volume: str, name: str) -> None:
        with self._files.changing(volume, "branch") as files:
            if name not in files.history:
                raise BranchNotFound(name)
            if name == files.history.current():
                raise BranchActive(name)
            files.journal.run("branch", files.prepare_branch_deletion(name))

    # -- what Docker's door needs besides ------------------------------------------------------

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
                with shared(files.layout.gate, deadline - time.monotonic()) as had:
                    if not had:
                        raise VolumeBusy(volume, holder(files.layout.gate))
                    if not files.journal.pending():
                        return self._live_tree(files.layout)
                with held(files.layout.lock, "recovery", deadline - time.monotonic()) as had:
                    if not had:
                        raise VolumeBusy(volume, holder(files.layout.lock))
                    files.journal.complete()

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

    def sweep(self) -> None:
        """Delete what is doomed. Slow, so never within a call that Docker waits for."""
        self._files.sweep()

    # ------------------------------------------------------------------------------------------

    @contextmanager
    def _quiet(self, layout: VolumeLayout, verb: str) -> Iterator[None]:
        """Close the gate, then make sure that no container writes.

        In this order: a container that passed the gate before it closed is found by the
        question after it.
        """
        with self._gate_closed(layout, verb):
            self._refuse_users(layout, verb)
            yield

    @contextmanager
    def _gate_closed(self, layout: VolumeLayout, verb: str) -> Iterator[None]:
        with held(layout.gate, verb, MOUNT_PATIENCE) as had:
            if not had:
                raise VolumeBusy(layout.name, ": a container is being started on it")
            yield

    def _refuse_users(self, layout: VolumeLayout, verb: str) -> None:
        users = self.containers.using(layout.name)
        if users:
            raise VolumeInUse(verb, layout.name, ",".join(users))

    def _describe(self, name: str, active: str) -> Volume | None:
        """None if it went away under our eyes."""
        try:
            return self._facts(name, active)
        except (DvolError, OSError) as error:
            if not self._files.exists(name):
                return None
            problem = disk_failed(error) if isinstance(error, OSError) else error
            return Volume(name, "", "", 0, name == active, str(problem))

    def _facts(self, volume: str, active: str) -> Volume:
        branch, line = self._files.settled(volume).history.current_line()
        return Volume(volume, branch, _head(line), len(line), volume == active)

    def _live_tree(self, layout: VolumeLayout) -> Path:
        tree = layout.tree(self._files.volume(layout).history.current())
        if not is_directory(tree):
            raise TreeMissing(str(tree))
        return tree


def _head(line: tuple[Commit, ...]) -> str:
    return line[-1].id if line else ""


def _has_commits(files: VolumeFiles) -> bool:
    """In doubt, yes."""
    try:
        lists = any(name.endswith(".json") for name in os.listdir(files.layout.branches))
        return lists or bool(os.listdir(files.layout.commits))
    except OSError:
        return True
