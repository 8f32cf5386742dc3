"""The quiet part of a verb: its gates are closed and its containers suspended; afterwards the gates
are opened and the containers started again.

Only this module and `recovery` combine containers and volumes. Its phases are called in this order:

    with quiesce.closing():               # afterwards gates are open, and containers run again
        for _ in quiesce.plan():          # ask Docker, refuse; in the body the gates are still open
            ...
        quiesce.record()                  # on disk, so that a crash can't leave them stopped
        stopped = quiesce.suspend()
        ...                               # the trees are quiet
        quiesce.refuse_newcomers()        # before the first step that can't be reverted
        ...
    quiesce.finish()                      # wait for health

`hold` does the first four, for a verb that does nothing between them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from dvol.containers import GONE, KILL, PAUSE, STOP
from dvol.engine import gate
from dvol.engine.recovery import try_resume
from dvol.engine.session import Session
from dvol.errors import Bug, ContainerBusy, ContainerStarting, DvolError, NotRestarted
from dvol.fs.locks import exclusive
from dvol.layout import VolumeLayout

if TYPE_CHECKING:  # what only containers need is imported late: most volumes have none running
    from dvol.containers.container import Container, Suspension

_TIMEOUT = 60.0  # seconds for a container to stop by itself; ten are too few for databases
_DAY = 86_400.0
_ATTEMPTS = 5  # to close the gates before another container passes one
_LONG = 2.0  # seconds without a message, which people take for a hang
OTHERS_TIMEOUT = 60.0  # seconds to wait for another verb that has suspended a container of ours


class Quiesce:
    """The quiet part of `verb` on some volumes, whose locks are held.

    `purpose` is that of `containers.policy.action_for`.
    """

    def __init__(
        self, session: Session, volumes: Sequence[VolumeLayout], verb: str, purpose: str
    ) -> None:
        self.containers = session.containers
        self.options = session.options
        self.on_progress = session.access.on_progress
        self.volumes = volumes
        self.verb = verb
        self.purpose = purpose
        self.state = ""  # the `state` of a commit that is made now
        self._names = frozenset(volume.name for volume in volumes)
        self._locks, self._gates = ExitStack(), ExitStack()
        self._found: list[Container] = []  # in the order of their start
        self._planned: list[Suspension] = []  # one for each of them
        self._recorded: set[str] = set()  # ids
        self._suspended: list[Suspension] = []  # the containers that are to be resumed
        self._health: dict[str, str] = {}  # by id: "", or why a resumed container is not healthy
        self._closed = False
        self._in_doubt = False
        self._failed = ""

    # -- phases --------------------------------------------------------------------------------

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Around the other phases. Afterwards the gates are open again, and the containers that ran
        before run again; if one does not, `finish` raises NotRestarted. While a volume's journal is
        unfinished they can't mount it: they stay suspended, and in the record, until a later verb
        has completed the journal."""
        with self._locks:
            try:
                with self._gates:
                    yield
            finally:
                if any(os.path.lexists(volume.journal) for volume in self.volumes):
                    self._leave_suspended()
                else:
                    self._resume()

    def require_possible(self) -> None:
        """Raise now what `plan` would raise, as far as is known before the gates close."""
        self._ask()

    def plan(self) -> Iterator[None]:
        """Ask Docker which containers use the volumes, and raise what forbids suspending them; then
        lock these containers, close the gates, and ask again. If that finds a container that passed
        a gate before it closed, the gates are opened and all of it is repeated, five times at most;
        then ContainerStarting is raised.

        Yields in each round before the gates close; `suspends` then says what is planned.
        """
        new: list[str] = []
        for _ in range(_ATTEMPTS):
            self._ask()
            stops = [one for one in self._planned if one.action in (STOP, KILL)]
            self.containers.require_startable(stops)
            yield
            expected = self._lock_containers()
            self._gates.enter_context(gate.closed(self.volumes, self.verb))
            self._ask()
            new = [one.name for one in self._found if one.id not in expected]
            if not new:
                self._closed = True
                return
            self._gates.close()
            self._locks.close()
        raise ContainerStarting(new[0])

    @property
    def suspends(self) -> bool:
        """Whether a container is to be stopped, killed or paused."""
        return any(one.action for one in self._planned)

    def record(self) -> None:
        """Record on disk, in each volume, which containers will be suspended."""
        if not self._closed:
            raise Bug("containers are to be suspended before the gates have closed")
        wanted = [one for one in self._planned if one.action and self._can_resume(one)]
        if wanted:
            from dvol.pool import suspended

            self._recorded = {one.id for one in wanted}
            for volume in self.volumes:
                suspended.record(volume, wanted)

    def suspend(self) -> bool:
        """Stop, kill or pause the containers. Returns whether it is certain that no process of a
        container can still write to the trees."""
        if not self._found:
            return self.containers.certain
        killed = self._suspend_all()
        writers = {one.id for one in self._found if one.writes_to(self._names)}
        self.state = _state([one for one in self._planned if one.id in writers], killed)
        return self.state in ("", "stopped", "killed")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Close the gates and suspend the containers."""
        with self.closing():
            for _ in self.plan():
                pass  # this verb does nothing before the gates close
            self.record()
            self.suspend()
            yield

    @property
    def waited_for(self) -> bool:
        """Whether containers are suspended until the quiet part is over."""
        return bool(self._suspended)

    def refuse_newcomers(self) -> None:
        """Raise ContainerStarting if a container runs that was not known when the gates closed. To
        be called before the first step that can't be reverted. Docker is asked only if a container
        waited at a gate: then `plan` may have overlooked one that was starting."""
        if self._in_doubt:
            running = self.containers.having(self._names, running=True)
            for id in running.keys() - {one.id for one in self._found}:
                raise ContainerStarting(running[id])

    def finish(self) -> None:
        """Once the verb is done: wait until the resumed containers are healthy, and warn if one is
        not. Raises NotRestarted if a container could not be started again."""
        if self._failed:
            raise NotRestarted(self.verb, self._failed)
        waiting = self._suspended if self.options.wait else []
        _in_parallel([partial(self._is_healthy, one) for one in waiting])
        for one in waiting:
            if reason := self._health[one.id]:
                self.on_progress(f"warning: {one.name} was started again, but {reason}")

    # -- asking --------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask Docker which containers use the volumes, and plan what to do to each; an empty action
        leaves a container alone."""
        self._found = self.containers.using(sorted(self._names), self._waiting_at_gates)
        self._planned = list(map(self._plan_for, self._found))

    def _plan_for(self, one: Container) -> Suspension:
        from dvol.containers.container import Suspension
        from dvol.containers.policy import action_for

        action = action_for(one, self._names, self.purpose, self.options.force)
        return Suspension(one.id, one.name, action, one.state, one.started)

    def _waiting_at_gates(self) -> int:
        found = sum(map(gate.waiting, self.volumes))
        self._in_doubt |= found > 0
        return found

    def _lock_containers(self) -> set[str]:
        """Lock all containers that have the volumes, running or not; returns their ids. Raises
        ContainerBusy.

        Another verb may have stopped a container because of another volume, and will start it
        again. The gates are still open meanwhile, since that start has to pass them.
        """
        found = self.containers.having(self._names)
        pool = self.volumes[0].pool
        names = {pool.container_lock(id): name for id, name in found.items()}
        for lock in sorted(names):
            if not self._locks.enter_context(exclusive(lock, self.verb, OTHERS_TIMEOUT)):
                raise ContainerBusy(names[lock])
        return {*found}

    def _container(self, one: Suspension) -> Container:
        [container] = [each for each in self._found if each.id == one.id]
        return container

    def _can_resume(self, one: Suspension) -> bool:
        """False if Docker removes the container when it stops."""
        return one.action == PAUSE or not self._container(one).removes_itself

    # -- suspending ----------------------------------------------------------------------------

    def _suspend_all(self) -> bool:
        """Suspend the planned containers, those first that others do not depend on, and those at
        the same time that do not depend on each other. Returns whether any had to be killed."""
        from dvol.containers.start_order import waves

        wanted = {one.id: one for one in self._planned if one.action}
        killed: list[bool] = []
        for wave in reversed(waves(self._found)):
            works = [partial(self._suspend, wanted[one.id]) for one in wave if one.id in wanted]
            killed += _in_parallel(works)
        return any(killed)

    def _suspend(self, one: Suspension) -> bool:
        """Suspend one container. Returns whether it had to be killed."""
        wanted = (self.options.timeout, self._container(one).stop_timeout, _TIMEOUT)
        timeout = min(_DAY, next(seconds for seconds in wanted if seconds >= 0))
        began = time.monotonic()
        if self._can_resume(one):
            self._suspended.append(one)  # first: Docker may stop it also if it answers an error
        with self._announced_if_long(f"stopping {one.name}, which may take {timeout:.0f} s"):
            killed = self.containers.suspend(one, timeout)
        self._report(_DONE[one.action], one.name, began)
        if killed:
            late = f"it did not stop in {timeout:.0f} s"
            self.on_progress(f"warning: {one.name} was killed, since {late}")
        if one.action == PAUSE and self.purpose == STOP:
            paused = f"{one.name} was only paused, since --rm would remove it"
            self.on_progress(f"warning: {paused}; the commit is as after a crash")
        return killed

    # -- resuming ------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Resume the containers in the order of their start. Those that do not start stay in the
        record."""
        wanted = {one.id: one for one in self._suspended}
        self._suspended = [wanted[one.id] for one in self._found if one.id in wanted]
        missing = {one.id for one in self._suspended if not self._is_resumed(one)}
        if self._recorded:
            from dvol.pool import suspended

            for volume in self.volumes:
                suspended.forget(volume, self._recorded - missing)

    def _leave_suspended(self) -> None:
        for one in self._suspended:
            until = f"until the {self.verb} of {self.volumes[0].name} is completed"
            self.on_progress(f"warning: {one.name} is not started again {until}")

    def _is_resumed(self, one: Suspension) -> bool:
        self._await_needed(one)
        began = time.monotonic()
        reason = try_resume(self.containers, one)
        if reason:
            self._failed = self._failed or f"{one.name} ({reason})"
            self.on_progress(f"warning: {one.name} could not be started again: {reason}")
        else:
            self._report(_UNDONE[one.action], one.name, began)
        return reason in ("", GONE)

    def _await_needed(self, one: Suspension) -> None:
        """Wait until the containers are healthy on which this one depends by Compose's condition
        `service_healthy`: it might exit at once if they are not. `finish` warns of containers that
        do not become healthy."""
        from dvol.containers.start_order import must_be_healthy

        needed = {each.id for each in must_be_healthy(self._container(one), self._found)}
        waiting = [each for each in self._suspended if each.id in needed]
        _in_parallel([partial(self._is_healthy, each) for each in waiting])

    def _is_healthy(self, one: Suspension) -> bool:
        """Wait until a container is healthy or fails to be; Docker is asked once for each."""
        if one.id not in self._health:
            try:
                self._health[one.id] = self.containers.await_health(one)
            except DvolError as error:
                self._health[one.id] = f"its health is not known: {error}"
        return not self._health[one.id]

    @contextmanager
    def _announced_if_long(self, what: str) -> Iterator[None]:
        import threading  # late, as above

        timer = threading.Timer(_LONG, self.on_progress, [what])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _report(self, what: str, name: str, began: float) -> None:
        self.on_progress(f"{what} {name} ({time.monotonic() - began:.1f} s)")


_DONE = {"stop": "stopped", "kill": "killed", "pause": "paused"}
_UNDONE = {"stop": "started", "kill": "started", "pause": "unpaused"}


def _in_parallel(works: Sequence[Callable[[], bool]]) -> list[bool]:
    """Do all works at the same time; the first failure is raised when all have finished."""
    if len(works) < 2:
        return [work() for work in works]
    from concurrent.futures import ThreadPoolExecutor  # late: mostly there is one container

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


def _state(writers: list[Suspension], killed: bool) -> str:
    """The `state` of a commit: of its writers the one that was quiesced least counts."""
    if any(not one.action and one.was != "paused" for one in writers):
        return "live"
    if any(one.action in ("", "pause") for one in writers):
        return "paused"
    return "" if not writers else "killed" if killed else "stopped"
