"""The hooks of a commit: commands that containers with its volumes ask for, before the freeze and
after; and those that a dead commit still owes.

A hook is a label of a container (`containers.hooks`). Each that has the volume may have hooks, also
one that only reads it, and is asked once for all volumes of the commit. It must run: in a container
that is paused, or between two runs, no command can be executed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from dvol.containers import DOWN, GONE, RESET, SWITCH, Containers
from dvol.containers.container import RUNNING, Container
from dvol.containers.hooks import POST_COMMIT, PRE_COMMIT, Owed
from dvol.containers.start_order import in_order
from dvol.engine.session import Session
from dvol.errors import BadDocument, ContainerBusy, DvolError, PreCommitFailed
from dvol.fs.locks import exclusive
from dvol.layout import VolumeLayout
from dvol.pool import config, suspended


class Hooks:
    """The hooks of one verb on some volumes; none if its `purpose` is not a mode of commit.
    `due` are the containers whose hooks come next; `failed` is the subject of PostCommitFailed, ()
    if no hook has failed after the freeze."""

    def __init__(self, session: Session, volumes: Sequence[VolumeLayout], purpose: str) -> None:
        self.due: list[Container] = []
        self.failed: tuple[str, ...] = ()
        self._containers = session.containers
        self._on_progress = session.access.on_progress
        self._volumes = volumes
        self._wanted = purpose not in (RESET, SWITCH)
        self._asked: set[tuple[str, str]] = set()  # ids, and times of start
        self._owing: dict[str, Container] = {}  # by id: who was asked
        self._recorded: dict[str, VolumeLayout] = {}  # by id

    def plan(self, found: list[Container]) -> None:
        """Find out which of the containers that have the volumes, in the order of their start, are
        to be asked now. One that was started again since is asked again."""
        known = (one for one in found if one.hooks.pre or one.hooks.post)
        runs = [one for one in known if self._wanted and one.state == RUNNING]
        self.due = [one for one in runs if (one.id, one.started) not in self._asked]

    def require_valid(self) -> None:
        """Raise PreCommitFailed if the labels of a container can't be understood."""
        for one in self.due:
            if one.hooks.problem:
                raise PreCommitFailed(one.name, one.hooks.problem)

    def before_freeze(self) -> None:
        """Run the hooks PRE_COMMIT, dependents first. Before that each volume records on disk whose
        POST_COMMIT is owed then. Raises PreCommitFailed."""
        self.require_valid()
        self._record()
        due, self.due = self.due, []
        for one in reversed(due):
            self._asked.add((one.id, one.started))
            self._owing[one.id] = one
            if one.hooks.pre and (reason := self._run(one, PRE_COMMIT)):
                if reason != DOWN:
                    raise PreCommitFailed(one.name, reason)
                del self._owing[one.id]  # it has ended meanwhile: nobody is to be asked

    def owes(self, id: str) -> bool:
        """Whether a container is to be told that the freeze is over."""
        return id in self._owing and bool(self._owing[id].hooks.post)

    def after_freeze(self) -> None:
        """Run the hooks POST_COMMIT of those whose turn came before the freeze, also if that
        failed; never raises. What can't be begun stays in the record."""
        told = in_order(one for one in self._owing.values() if one.hooks.post)
        left = {one.id for one in told if not self._is_told(one)}
        for id, volume in self._recorded.items():
            if id not in left:
                suspended.forget_owed(volume, (id,))

    def _is_told(self, one: Container) -> bool:
        try:
            reason = self._run(one, POST_COMMIT)
        except DvolError as error:
            self._on_progress(f"warning: {POST_COMMIT} of {one.name} is still to be run: {error}")
            return False
        if reason == DOWN:
            later = f"is run when it runs: {reason} now"
            self._on_progress(f"warning: {POST_COMMIT} of {one.name} {later}")
            return False
        if reason:
            self.failed = self.failed or (one.name, reason)
            self._on_progress(f"warning: {POST_COMMIT} of {one.name} failed: {reason}")
        return True

    def _run(self, one: Container, label: str) -> str:
        began = time.monotonic()
        reason = self._containers.run_hook(one, label)
        if not reason:
            taken = time.monotonic() - began
            self._on_progress(f"ran {label} of {one.name} ({taken:.1f} s)")
        return reason

    def _record(self) -> None:
        """Each in the first volume of its own: else it would be run once for each after a crash."""
        for volume in self._volumes:
            own = [
                one
                for one in self.due
                if one.hooks.post
                and one.id not in self._recorded
                and any(mount.volume == volume.name for mount in one.mounts)
            ]
            if own:
                self._recorded |= dict.fromkeys((one.id for one in own), volume)
                suspended.record_owed(volume, [Owed(one.id, one.name) for one in own])


def run_owed(
    containers: Containers,
    volume: VolumeLayout,
    owed: Collection[Owed],
    on_progress: Callable[[str], None],
    timeout: float,
) -> bool:
    """Run the hooks POST_COMMIT that a dead commit owes. The caller holds the volume's lock; the
    rest as `recovery.resume`. Those of containers that do not run stay in the record; returns False
    if Docker can't say."""
    answered = True
    ready = ("", "")
    with suppress(BadDocument, OSError):
        ready = config.ready(volume.config, volume.pool.config)
    for one in owed:
        with exclusive(volume.pool.container_lock(one.id), "recovery", timeout) as had:
            if not had:
                raise ContainerBusy(one.name)
            try:
                reason = containers.run_owed(one, volume.name, ready)
            except DvolError as error:
                answered = False
                on_progress(f"warning: {POST_COMMIT} of {one.name} is still to be run: {error}")
                continue
        if reason == DOWN:
            continue
        if reason != GONE:
            what = f"{POST_COMMIT} of {one.name}, which a dvol command owed when it died,"
            on_progress(f"warning: {what} failed: {reason}" if reason else f"{what} was run")
        suspended.forget_owed(volume, (one.id,))
    return answered
