"""Pool: the keeper of the promise on a disk. Each verb is a short paragraph here.

It is the one place that composes storage and containers: it has the volume found and locked,
closes its gate, asks which containers use it, and has the steps taken.

Locks, always in this order: a volume's lock (one verb at a time), its gate (closed while its
trees must be quiet; Docker's `Mount` passes through it), the pool's lock (its list of volumes).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dvol import __version__, names
from dvol.authorship import new_commit
from dvol.containers import Containers, NoContainers
from dvol.door import MOUNT_PATIENCE, Door
from dvol.engine import PROTOCOL, silent
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
    VolumeBusy,
    VolumeExists,
    VolumeInUse,
    VolumeNotFound,
    VolumeReferred,
    disk_failed,
)
from dvol.layout import PoolLayout, VolumeLayout
from dvol.locks import held
from dvol.model import Branch, Commit, Discarded, Finding, Freed, Restored, Version, Volume
from dvol.pool_files import PoolFiles
from dvol.resets import Resets
from dvol.volume_files import Quiet

if TYPE_CHECKING:
    from dvol.gc import Collector


class Pool:
    """The volumes below `root`, and the containers that use them.

    `tell` hears what a verb waits for; `patience` is how many seconds it waits for a lock.
    `start_sweep` is called when a verb has left something to be swept; else it sweeps itself, last.
    """

    def __init__(
        self,
        root: Path,
        containers: Containers | None = None,
        tell: Callable[[str], None] = silent,
        patience: float = 60.0,
        start_sweep: Callable[[], None] | None = None,
    ) -> None:
        self.root = root
        self.containers = NoContainers() if containers is None else containers
        self.tell = tell
        self.patience = patience
        self.start_sweep = start_sweep
        try:
            layout = PoolLayout(Path(os.path.realpath(self.root)))
        except OSError as error:  # a relative path in a directory that is gone
            raise disk_failed(error, self.root) from error
        self._files = PoolFiles(layout, self.tell, self.patience)
        self.door = Door(self._files)

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

    def commit(
        self, volume: str, message: str, author: str, date: str = "", full: bool = False
    ) -> Commit:
        commit = new_commit(message, author, date)
        with self._files.changing(volume, "commit") as files:
            branch, line = files.history.current_line()
            files.require_space(branch, line)
            with files.durably():  # while the gate is open again
                with self._quiet(files.layout, "commit") as ended:
                    memory = files.freeze(branch, line, commit, Quiet(ended, full))
            files.publish(branch, commit, memory)
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
            with self._quiet(files.layout, "reset") as ended:
                resets = Resets(files, branch, Quiet(ended))
                with files.durably():
                    plan = resets.prepare(line)
                resets.take(plan)
            surplus = self._doom_surplus(resets)
        if surplus:
            self._sweep()
        return line[-1]

    def undo(self, volume: str) -> Commit:
        with self._files.changing(volume, "undo") as files:
            branch, _ = files.history.current_line()
            with self._quiet(files.layout, "undo") as ended:
                resets = Resets(files, branch, Quiet(ended))
                with files.durably():
                    plan = resets.prepare_undo()
                resets.take(plan)
            self._doom_surplus(resets)
        self._sweep()
        return plan.line[-1] if plan.line else Commit("", "")

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
            self._refuse_users(files.layout, "checkout")  # before the work, not after it
            with files.durably():
                steps, memory = files.prepare_branch(name, line)
                files.journal.stage("checkout", steps)
            with self._quiet(files.layout, "checkout"):
                files.journal.run(steps)
                files.remember(name, memory, files.frozen(line))
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
            with files.durably():
                steps = files.prepare_branch_deletion(name)
                files.journal.stage("branch", steps)
            files.journal.run(steps)

    def discarded(self) -> list[Discarded]:
        from dvol.restore import discarded  # late, as below

        with self._files.reading():
            return discarded(self._files)

    def restore(self, entry: str, name: str = "") -> Restored:
        from dvol.restore import Restoring  # late, as below

        restored = Restoring(self._files).restore(entry, name)
        self._sweep()
        return restored

    def gc(self, now: bool = False, dry_run: bool = False) -> list[Freed]:
        return self._collector.collect(now, dry_run)

    def fsck(self, volume: str = "", repair: bool = False) -> list[Finding]:
        from dvol.fsck import Fsck  # late, as below

        return Fsck(self._files, repair).run(volume)

    # ------------------------------------------------------------------------------------------

    @cached_property
    def _collector(self) -> Collector:
        from dvol.gc import Collector  # late: most commands never need it

        return Collector(self._files)

    @contextmanager
    def _quiet(self, layout: VolumeLayout, verb: str) -> Iterator[bool]:
        """Close the gate, then make sure that no container writes; yields whether that is
        certain, and not merely assumed because there is no Docker to ask.

        In this order: a container that passed the gate before it closed is found by the
        question after it.
        """
        with self._gate_closed(layout, verb):
            self._refuse_users(layout, verb)
            yield self.containers.certain

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

    def _doom_surplus(self, resets: Resets) -> bool:
        """The verb is done: what fails here is left for the next one, or for gc."""
        with suppress(DvolError, OSError):
            surplus = resets.old_entries()
            return bool(surplus) and self._collector.doom_surplus(resets.files.layout, surplus)
        return False

    def _sweep(self) -> None:
        if self.start_sweep:
            self.start_sweep()
        else:
            with suppress(DvolError):  # the verb is done; whoever comes next takes it up
                self._files.sweep()

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


def _head(line: tuple[Commit, ...]) -> str:
    return line[-1].id if line else ""
