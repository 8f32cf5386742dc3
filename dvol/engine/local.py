"""Pool: the keeper of the promise on a disk. Each verb is a short paragraph here.

Verbs that need a tree to be quiet are in `changes`, what that takes in `quiescence`: both are
imported late, since reading needs neither.

Locks, always in this order: a volume's lock (one verb at a time), its containers' locks, its gate
(closed while its trees must be quiet; Docker's `Mount` passes through it), the pool's lock (its
list of volumes).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dvol import __version__, names
from dvol.containers import Containers, NoContainers
from dvol.engine import PROTOCOL, silent
from dvol.engine.docker_volumes import Door
from dvol.errors import (
    ActiveVolumeGone,
    BranchActive,
    BranchNotFound,
    CannotRemoveMissing,
    Corrupt,
    DockerUnusable,
    DvolError,
    InvalidRequest,
    NoActiveVolume,
    ProjectNotFound,
    TakenByDocker,
    VolumeExists,
    VolumeInUse,
    VolumeNotFound,
    disk_failed,
)
from dvol.history.commits import new_commit, new_id
from dvol.layout import PoolLayout
from dvol.model import (
    AS_USUAL,
    Branch,
    Commit,
    Discarded,
    Finding,
    Freed,
    Restored,
    Version,
    Volume,
    Wishes,
)
from dvol.pool import config
from dvol.pool.files import PoolFiles

if TYPE_CHECKING:
    from dvol.engine.gc import Collector
    from dvol.engine.transaction import Changes


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
        wishes: Wishes = AS_USUAL,
    ) -> None:
        self.root = root
        self.containers = NoContainers() if containers is None else containers
        self.tell = tell
        self.patience = patience
        self.start_sweep = start_sweep
        self.wishes = wishes
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
            users = self._running()
            return [
                volume._replace(containers=",".join(users.get(volume.name, [])))
                for volume in described
                if volume
            ]

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
        with suppress(DockerUnusable):  # nobody is ended, so one that is away hinders nobody
            if self.containers.local(volume):
                raise TakenByDocker(volume)
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
        from dvol.engine.quiesce import gates_closed

        try:
            with self._files.changing(volume, "rm", tolerant=True) as files:
                with gates_closed([files.layout], "rm"):
                    referring = self.containers.having([volume])
                    if referring:
                        raise VolumeInUse(volume, ",".join(sorted(referring.values())))
                    with self._files.changing_pool("rm"):
                        self._files.discard(volume, self._files.layout.trash)
        except VolumeNotFound:
            raise CannotRemoveMissing(volume) from None

    def commit(
        self, volume: str, message: str, author: str, date: str = "", full: bool = False
    ) -> Commit:
        words = new_commit(message, author, date)
        return self._changes.commit([volume], words, full)[volume]

    def commit_together(
        self,
        volumes: list[str],
        project: str,
        message: str,
        author: str,
        date: str = "",
        full: bool = False,
    ) -> dict[str, Commit]:
        words = new_commit(message, author, date)._replace(group=new_id())
        return self._changes.commit(self._together(volumes, project), words, full)

    def log(self, volume: str, revision: str = "HEAD") -> list[Commit]:
        with self._files.reading(volume):
            history = self._files.settled(volume).history
            _, line = history.current_line()
            if line or revision != "HEAD":
                line = history.resolve(revision)
        return list(reversed(line))

    def reset(self, volume: str, revision: str = "HEAD") -> Commit:
        with self._sweeping() as changes:
            lines = changes.reset([volume], revision)
        return lines[volume][-1]

    def reset_together(
        self, volumes: list[str], project: str, revision: str = "HEAD"
    ) -> dict[str, Commit]:
        with self._sweeping() as changes:
            lines = changes.reset(self._together(volumes, project), revision)
        return {name: line[-1] for name, line in lines.items()}

    def undo(self, volume: str) -> Commit:
        with self._sweeping() as changes:
            line = changes.undo(volume)
        return line[-1] if line else Commit("", "")

    def config(self, volume: str, key: str, value: str = "", unset: bool = False) -> str:
        config.check(key, value or None)
        if value and unset:
            raise InvalidRequest(f"{key} is to be set and forgotten at once")
        if value or unset:
            self._set(volume, key, value)
        with self._files.reading(volume):
            own = [self._files.find(volume).config] if volume else []
            return config.effective(key, *own, self._files.layout.config)

    def branches(self, volume: str) -> list[Branch]:
        with self._files.reading(volume):
            history = self._files.settled(volume).history
            current, _ = history.current_line()
            return [Branch(name, _head(history[name]), name == current) for name in history]

    def branch(self, volume: str, name: str) -> Branch:
        names.check_branch(name)
        return self._changes.branch(volume, name)

    def checkout(self, volume: str, name: str) -> Branch:
        return self._changes.checkout(volume, name)

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
        from dvol.engine.restore import discarded  # late, as below

        with self._files.reading():
            return discarded(self._files)

    def restore(self, entry: str, name: str = "") -> Restored:
        from dvol.engine.restore import Restoring  # late, as below

        restored = Restoring(self._files).restore(entry, name)
        self._sweep()
        return restored

    def gc(self, now: bool = False, dry_run: bool = False) -> list[Freed]:
        return self._collector.collect(now, dry_run)

    def fsck(self, volume: str = "", repair: bool = False) -> list[Finding]:
        from dvol.fsck import Fsck  # late, as below

        return Fsck(self._files, repair).run(volume)

    # ------------------------------------------------------------------------------------------

    def bring_back(self) -> bool:
        """Start what verbs have left stopped, in the volumes that no verb is at work on: what a
        server does unasked, now and then. Whether all of it runs."""
        from dvol.engine import quiesce

        with self._files.reading():
            volumes = list(map(self._files.layout.volume, self._files.names()))
            left = [volume.name for volume in volumes if quiesce.left_stopped(volume)]
        return False not in [self._brought_back(volume) for volume in left]  # each is tried

    def _brought_back(self, volume: str) -> bool:
        from dvol.engine import quiesce

        try:
            with self._files.changing(volume, "recovery", tolerant=True, patience=0.0) as files:
                return quiesce.recover(self.containers, files.layout, self.tell, patience=0.0)
        except DvolError:  # a verb is at work, and will see to it
            return False

    @cached_property
    def _collector(self) -> Collector:
        from dvol.engine.gc import Collector  # late: most commands never need it

        return Collector(self._files)

    def _set(self, volume: str, key: str, value: str) -> None:
        if volume:
            with self._files.changing(volume, "config") as files:
                config.change(files.layout.config, key, value, files.layout.staging)
        else:
            with self._files.changing_pool("config"):
                config.change(self._files.layout.config, key, value, self._files.layout.staging)

    @property
    def _changes(self) -> Changes:
        from dvol.engine.transaction import Changes

        return Changes(self._files, self.containers, self.wishes, self.tell)

    @contextmanager
    def _sweeping(self) -> Iterator[Changes]:
        """Afterwards what the changes have doomed is deleted."""
        changes = self._changes
        yield changes
        if changes.doomed:
            self._sweep()

    def _together(self, volumes: list[str], project: str) -> list[str]:
        """The volumes that are named, and those of a project of Compose."""
        found = list(volumes)
        if project:
            with self._files.reading():
                made = self.containers.volumes_of(project)
                of_project = list(filter(self._files.exists, made))
            if not of_project:
                raise ProjectNotFound(project)
            found += of_project
        if not found:
            raise InvalidRequest("no volume is named, and no project")
        return found

    def _sweep(self) -> None:
        if self.start_sweep:
            self.start_sweep()
        else:
            with suppress(DvolError):  # the verb is done; whoever comes next takes it up
                self._files.sweep()

    def _running(self) -> dict[str, list[str]]:
        """Only for show, so a Docker that does not answer is told and no refusal."""
        try:
            return self.containers.running()
        except DvolError as error:
            self.tell(f"warning: {error}")
            return {}

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
