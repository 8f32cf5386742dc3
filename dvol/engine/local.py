"""The engine on a local pool. Each verb is a short paragraph here; the longer ones have a module.

Verbs that need a tree to be quiet are in `commit`, `reset` and `branch`, which are imported late:
reading needs neither them nor a backend.

Locks, always in this order: a volume's lock (one verb at a time), its containers' locks, its gate
(closed while its trees must be quiet; Docker's `Mount` passes through it), the pool's lock (its
list of volumes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dvol import names
from dvol.containers import Containers, NoContainers
from dvol.engine import PROTOCOL, silent
from dvol.errors import (
    ActiveVolumeGone,
    BranchNotFound,
    CannotRemoveMissing,
    Corrupt,
    DockerUnusable,
    DvolError,
    InvalidRequest,
    NameUsedByDocker,
    NoActiveVolume,
    ProjectNotFound,
    VolumeExists,
    VolumeInUse,
    VolumeNotFound,
    disk_failed,
)
from dvol.history.commits import message_for, new_id
from dvol.history.revisions import HEADS
from dvol.model import (
    DEFAULTS,
    VERSION,
    Branch,
    Commit,
    ContainerOptions,
    Discarded,
    Finding,
    Freed,
    Pruned,
    ReflogEntry,
    Restored,
    Tag,
    Version,
    Volume,
)
from dvol.pool import config
from dvol.pool.access import open_pool

NONE = Commit("", "")  # before the first commit

if TYPE_CHECKING:
    from dvol.engine.session import Session


class LocalEngine:
    """The volumes below `root`, and the containers that use them.

    `on_progress` is called with one line of text for each step that takes a while; `timeout` is how
    many seconds a verb waits for a lock. `collect_later` is called when a verb has left garbage;
    without it the verb deletes the garbage itself, when all else is done.
    """

    def __init__(
        self,
        root: Path,
        containers: Containers | None = None,
        on_progress: Callable[[str], None] = silent,
        timeout: float = 60.0,
        collect_later: Callable[[], None] | None = None,
        options: ContainerOptions = DEFAULTS,
    ) -> None:
        self.root = root
        self.containers = NoContainers() if containers is None else containers
        self.collect_later = collect_later
        self.options = options
        self.access = open_pool(root, on_progress, timeout)
        self._pool = self.access.pool

    # -- the promise, see engine/__init__.py ---------------------------------------------------

    def version(self) -> Version:
        return Version(VERSION, PROTOCOL, str(self._pool.layout.root))

    def volumes(self) -> list[Volume]:
        with self.access.reading():
            active = self._pool.active()
            described = [self._described(name, active) for name in self._pool.names()]
            users = self._running([volume.name for volume in described if volume])
            return [
                volume._replace(containers=",".join(users.get(volume.name, [])))
                for volume in described
                if volume
            ]

    def get(self, volume: str) -> Volume:
        with self.access.reading(volume):
            active = ""
            with suppress(Corrupt):  # a corrupt current_volume.json is no problem of this volume
                active = self._pool.active()
            return self.access.recovered(volume).facts(volume == active)

    def active(self) -> str:
        with self.access.reading():
            name = self._pool.active()
            if not name:
                raise NoActiveVolume()
            if not self._pool.exists(name):
                raise ActiveVolumeGone(name)
        return name

    def init(self, volume: str) -> Volume:
        names.check_volume(volume)
        with suppress(DockerUnusable):  # init stops no container, so it works without Docker too
            if volume in self.containers.local():
                raise NameUsedByDocker(volume)
        with self.access.changing_pool("init"):
            if self._pool.exists(volume):
                raise VolumeExists(volume)
            self._pool.create(volume, active=True)
        return self.get(volume)

    def switch(self, volume: str) -> Volume:
        with self.access.reading():
            self._pool.find(volume)
        with self.access.changing_pool("switch"):
            self._pool.point_at(volume)
        return self.get(volume)

    def rm(self, volume: str) -> None:
        from dvol.engine import gate

        try:
            with self.access.changing(volume, "rm", tolerant=True) as found:
                with gate.closed([found.layout], "rm"):
                    referring = self.containers.having([volume])
                    if referring:
                        raise VolumeInUse(volume, ",".join(sorted(referring.values())))
                    with self.access.changing_pool("rm"):
                        self._pool.remove(volume, self._pool.layout.trash)
        except VolumeNotFound:
            raise CannotRemoveMissing(volume) from None

    def commit(
        self, volume: str, message: str, author: str, date: str = "", full: bool = False
    ) -> Commit:
        from dvol.engine.commit import commit

        checked = message_for(message, author, date)
        return commit(self._session, [volume], checked, full)[volume]

    def commit_group(
        self,
        volumes: list[str],
        project: str,
        message: str,
        author: str,
        date: str = "",
        full: bool = False,
    ) -> dict[str, Commit]:
        from dvol.engine.commit import commit

        checked = message_for(message, author, date, group=new_id())
        return commit(self._session, self._named(volumes, project), checked, full)

    def log(self, volume: str, revision: str = "HEAD") -> list[Commit]:
        with self.access.reading(volume):
            history = self.access.recovered(volume).history
            _, commits = history.head()
            if commits or revision != "HEAD":
                commits = history.resolve(revision)
        return list(reversed(commits))

    def reflog(self, volume: str, branch: str = "") -> list[ReflogEntry]:
        with self.access.reading(volume):
            history = self.access.recovered(volume).history
            entries = list(history.reflog(branch or "HEAD"))
            if not entries and branch not in ("", *HEADS, *history):
                raise BranchNotFound(branch)
        return entries

    def reset(self, volume: str, revision: str = "HEAD", discard: bool = False) -> Commit:
        from dvol.engine.reset import reset

        with self._collecting() as session:
            histories = reset(session, [volume], revision, discard)
        return histories[volume][-1]

    def reset_group(
        self, volumes: list[str], project: str, revision: str = "HEAD", discard: bool = False
    ) -> dict[str, Commit]:
        from dvol.engine.reset import reset

        with self._collecting() as session:
            histories = reset(session, self._named(volumes, project), revision, discard)
        return {name: commits[-1] for name, commits in histories.items()}

    def undo(self, volume: str, count: int = 1) -> Commit:
        from dvol.engine.reset import undo

        if count < 1:
            raise InvalidRequest(f"undo goes back 1 or more states, not {count}")
        with self._collecting() as session:
            commits = undo(session, volume, count)
        return commits[-1] if commits else NONE

    def undo_group(self, volumes: list[str], project: str) -> dict[str, Commit]:
        from dvol.engine.reset import undo_group

        with self._collecting() as session:
            histories = undo_group(session, self._named(volumes, project))
        return {name: commits[-1] if commits else NONE for name, commits in histories.items()}

    def config(self, volume: str, key: str, value: str = "", unset: bool = False) -> str:
        config.check(key, value or None)
        if value and unset:
            raise InvalidRequest(f"{key} can't be set and unset at once")
        if value or unset:
            self._set(volume, key, value)
        with self.access.reading(volume):
            own = [self._pool.find(volume).config] if volume else []
            return config.effective(key, *own, self._pool.layout.config)

    def branches(self, volume: str) -> list[Branch]:
        with self.access.reading(volume):
            history = self.access.recovered(volume).history
            current, _ = history.head()
            heads = {name: history[name][-1:] for name in history}
            return [
                Branch(name, head[0].id if head else "", name == current)
                for name, head in heads.items()
            ]

    def branch(self, volume: str, name: str, revision: str = "HEAD") -> Branch:
        from dvol.engine import branch

        names.check_branch(name)
        return branch.create(self._session, volume, name, revision)

    def checkout(self, volume: str, name: str) -> Branch:
        from dvol.engine import branch

        return branch.checkout(self._session, volume, name)

    def delete_branch(self, volume: str, name: str) -> None:
        from dvol.engine import branch

        branch.delete(self.access, volume, name)

    def stash(
        self, volumes: list[str], branch: str, message: str, author: str
    ) -> dict[str, Commit]:
        from dvol.engine.stash import stash

        names.check_branch(branch)
        checked = message_for(message, author, "", group=new_id() if len(volumes) > 1 else "")
        return stash(self._session, self._named(volumes, ""), branch, checked)

    def tag(self, volume: str, name: str, revision: str = "HEAD") -> Tag:
        from dvol.engine import tag

        return tag.create(self.access, volume, name, revision)

    def tags(self, volume: str) -> list[Tag]:
        from dvol.engine import tag

        with self.access.reading(volume):
            return tag.listed(self.access.recovered(volume).history)

    def delete_tag(self, volume: str, name: str) -> Tag:
        from dvol.engine import tag

        return tag.delete(self.access, volume, name)

    def drop(self, volume: str, revision: str) -> Commit:
        from dvol.engine import prune

        return prune.drop(self.access, volume, revision)

    def prune(
        self,
        volume: str,
        last: int = 0,
        hourly: int = 0,
        daily: int = 0,
        weekly: int = 0,
        tags: str = "",
        groups: bool = False,
        dry_run: bool = False,
    ) -> list[Pruned]:
        from dvol.engine.prune import checked, prune

        policy = checked(last, hourly, daily, weekly, tags)
        return prune(self.access, volume, policy, groups, dry_run)

    def discarded(self, sizes: bool = False) -> list[Discarded]:
        from dvol.engine.restore import discarded

        with self.access.reading():
            return discarded(self.access, sizes)

    def restore(self, entry: str, name: str = "") -> Restored:
        from dvol.engine.restore import restore

        restored = restore(self.access, entry, name)
        self._collect_garbage()
        return restored

    def gc(
        self,
        now: bool = False,
        dry_run: bool = False,
        entry: str = "",
        volume: str = "",
        older_than: str = "",
    ) -> list[Freed]:
        from dvol.engine.gc import collect

        return collect(self.access, now, dry_run, entry, volume, older_than)

    def fsck(self, volume: str = "", repair: bool = False, data: bool = False) -> list[Finding]:
        from dvol.fsck import Fsck

        return Fsck(self.access, repair, data).run(volume)

    # ------------------------------------------------------------------------------------------

    @property
    def _session(self) -> Session:
        from dvol.engine.session import Session

        return Session(self.access, self.containers, self.options)

    @contextmanager
    def _collecting(self) -> Iterator[Session]:
        """A session; when the verb is done, the garbage that it has left is collected."""
        session = self._session
        yield session
        if session.garbage:
            self._collect_garbage()

    def _collect_garbage(self) -> None:
        if self.collect_later:
            self.collect_later()
        else:
            with suppress(DvolError), self.access.reading():  # else the next verb deletes it
                self._pool.collect_garbage()

    def _set(self, volume: str, key: str, value: str) -> None:
        if volume:
            with self.access.changing(volume, "config") as found:
                config.change(found.layout.config, key, value, found.layout.staging)
        else:
            with self.access.changing_pool("config"):
                config.change(self._pool.layout.config, key, value, self._pool.layout.staging)

    def _named(self, volumes: list[str], project: str) -> list[str]:
        """The volumes that are named, and those of a Compose project that are in this pool. Raises
        ProjectNotFound, InvalidRequest."""
        found = list(volumes)
        if project:
            with self.access.reading():
                made = self.containers.volumes_of(project, self._pool.names())
                of_project = list(filter(self._pool.exists, made))
            if not of_project:
                raise ProjectNotFound(project)
            found += of_project
        if not found:
            raise InvalidRequest("name at least one volume, or a Compose project")
        return found

    def _running(self, volumes: list[str]) -> dict[str, list[str]]:
        """Used for display only: if Docker does not answer, warn and go on."""
        try:
            self._session.warn_of_local(volumes)
            return self.containers.running()
        except DvolError as error:
            self.access.on_progress(f"warning: {error}")
            return {}

    def _described(self, name: str, active: str) -> Volume | None:
        """None if the volume was deleted meanwhile."""
        try:
            return self.access.recovered(name).facts(name == active)
        except (DvolError, OSError) as error:
            if not self._pool.exists(name):
                return None
            problem = disk_failed(error) if isinstance(error, OSError) else error
            return Volume(name, "", "", 0, name == active, str(problem))
