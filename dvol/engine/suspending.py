"""The containers that a verb suspends for its quiet part and resumes afterwards: what is planned,
recorded, done and undone.

Loaded only where a container uses the volumes. Which containers those are, their locks and the
gates are in `quiesce`; the decision about each container is in `containers.policy`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from dvol.containers import GONE, KILL, PAUSE, STOP
from dvol.containers.container import PAUSED, RUNNING, Container, Suspension
from dvol.containers.events import STOPPED, Call
from dvol.containers.policy import action_for, lost_sharers, with_sharers
from dvol.containers.start_order import in_order, must_be_healthy, waves
from dvol.engine.hooks import Hooks
from dvol.engine.ready import Ready
from dvol.engine.recovery import try_resume
from dvol.engine.session import Session
from dvol.errors import ContainerWoken
from dvol.layout import VolumeLayout
from dvol.pool import suspended

_TIMEOUT = 60.0  # seconds for a container to stop by itself; ten are too few for databases
_DAY = 86_400.0
_LONG = 2.0  # seconds without a message, which people take for a hang


class Suspending:
    """The containers of `verb` on some volumes. `planned` is what `suspend` will do; `suspended`
    has what was done and is to be undone, by id; `failed` names a container that did not start
    again, and why. `hooks` are those of the containers that have the volumes."""

    def __init__(
        self, session: Session, volumes: Sequence[VolumeLayout], verb: str, purpose: str
    ) -> None:
        self.planned: list[Suspension] = []
        self.suspended: dict[str, Suspension] = {}
        self.failed = ""
        self._session = session
        self._containers = session.containers
        self._volumes = volumes
        self._names = frozenset(volume.name for volume in volumes)
        self._verb = verb
        self._purpose = purpose
        self._on_progress = session.access.on_progress
        self._known: dict[str, Container] = {}  # all that were ever found, by id
        self._recorded: dict[str, Suspension] = {}  # by id
        self._calls: dict[str, list[Call]] = {}  # by id: what was done
        self._since = self._asked = time.time_ns()
        self._killed: set[str] = set()  # ids of those that did not stop in time
        self._lost: list[tuple[Container, Container]] = []  # with the owners that they have lost
        self._ready = Ready(session, volumes)
        self.hooks = Hooks(session, volumes, purpose)

    # -- planning ------------------------------------------------------------------------------

    def plan(self, found: list[Container], asked: int) -> None:
        """Plan what to do to the containers that are alive and have the volumes, and to those that
        share namespaces with one that is ended. `asked` is when Docker was asked for them, in
        nanoseconds of the wall clock. Raises WouldBeRemoved."""
        self._asked = asked
        rules = (self._purpose, self._session.options.force)
        actions = {one.id: action_for(one, self._names, *rules) for one in found}
        alive = {one.id: one for one in found}
        known = self._known | alive
        ends = {id for id, action in (self._done() | actions).items() if action in (STOP, KILL)}
        if ends:
            owners = [known[id] for id in ends]
            alive |= {one.id: one for one in self._containers.sharers(owners)}
            shared = (owners, list(alive.values()))
            actions = with_sharers(actions, *shared, *rules)
            self._lost = lost_sharers(actions, *shared)
        self._known |= {id: alive[id] for id in actions}
        self.planned = [self._planned(alive[id], does) for id, does in actions.items() if does]
        self.hooks.plan(found)

    def _planned(self, one: Container, action: str) -> Suspension:
        has_volume = any(mount.volume in self._names for mount in one.mounts)
        owners = [other.id for other in self._known.values() if one.shares_with(other)]
        sharing_with = "" if has_volume else next(iter(owners), "")
        was = RUNNING if one.state == PAUSED and self._is_left_paused(one.id) else one.state
        return Suspension(one.id, one.name, action, was, one.started, sharing_with)

    def _is_left_paused(self, id: str) -> bool:
        """Whether it was a verb that has paused a container, because of any volume, and died."""
        pool = self._session.access.pool
        records = (suspended.recorded(pool.layout.volume(name))[0] for name in pool.names())
        left = [one for record in records for one in record.containers if one.id == id]
        return any(one.action == PAUSE and one.was == RUNNING for one in left)

    @property
    def pending(self) -> dict[str, str]:
        """The ids and names of the containers to which `suspend` will do something."""
        planned = {one.id: one.name for one in self.planned}
        return planned | {one.id: one.name for one in self.hooks.due}

    def require_possible(self) -> None:
        """Raise CannotSuspend where Docker would not start a container again, PreCommitFailed where
        a hook can't be run."""
        stops = [one for one in self.planned if one.action in (STOP, KILL)]
        self._containers.require_startable(stops)
        self.hooks.require_valid()

    def state(self, found: list[Container]) -> str:
        """The `state` of a commit that is made while those containers are still alive: the writer
        that was quiesced least counts."""
        done = self._done()
        writers = [one for one in self.with_volume(found) if one.writes_to(self._names)]
        actions = [(done.get(one.id, ""), one.state) for one in writers]
        if any(not action and was != PAUSED for action, was in actions):
            return "live"
        if any(action in ("", PAUSE) for action, was in actions):
            return "paused"
        killed = any(one.id in self._killed for one in writers)
        return "" if not writers else "killed" if killed else "stopped"

    def with_volume(self, found: list[Container]) -> list[Container]:
        """The containers that have the volumes: `found`, which are alive, and those that were
        suspended."""
        ids = dict.fromkeys([*self._calls, *(one.id for one in found)])
        known = (self._known[id] for id in ids)
        return [one for one in known if any(mount.volume in self._names for mount in one.mounts)]

    def require_paused(self, found: list[Container]) -> None:
        """Raise ContainerWoken if a container among `found` that writes, and is paused, has run
        since it was paused, or was last found so: what was copied meanwhile is of no one
        instant."""
        paused = [one for one in found if one.state == PAUSED and one.writes_to(self._names)]
        since = {id: calls[-1].began for id, calls in self._calls.items()}
        for id in self._containers.woken([(one, since.get(one.id, self._asked)) for one in paused]):
            raise ContainerWoken(self._known[id].name)

    def _done(self) -> dict[str, str]:
        """The last action on each container, by id."""
        return {id: calls[-1].action for id, calls in self._calls.items()}

    # -- suspending ----------------------------------------------------------------------------

    def suspend(self, before: Callable[[], object]) -> None:
        """Run the hooks that are due; then record what is planned, and do it, after a call of
        `before`. Raises CannotSuspend and PreCommitFailed."""
        self.require_possible()
        self.hooks.before_freeze()
        if not self.planned:
            return
        before()
        self._record()
        self._suspend_all()

    def _record(self) -> None:
        """Record on disk, in each volume, which containers will be suspended."""
        wanted = {one.id: one for one in self.planned if self._can_resume(one)}
        self._recorded |= wanted
        for volume in self._volumes if wanted else ():
            suspended.record(volume, self._in_order(self._recorded))

    def _can_resume(self, one: Suspension) -> bool:
        """False if Docker removes the container when it stops."""
        return one.action == PAUSE or not self._known[one.id].removes_itself

    def _in_order(self, found: dict[str, Suspension]) -> list[Suspension]:
        """In the order in which they are to be started."""
        return [found[one.id] for one in in_order(self._known.values()) if one.id in found]

    def _suspend_all(self) -> None:
        """Suspend the planned containers, those first that others do not depend on, and those at
        the same time that do not depend on each other."""
        wanted = {one.id: one for one in self.planned}
        for wave in reversed(waves(self._known.values())):
            works = [partial(self._suspend, wanted[one.id]) for one in wave if one.id in wanted]
            _in_parallel(works)

    def _suspend(self, one: Suspension) -> None:
        """Suspend one container."""
        given = (self._session.options.timeout, self._known[one.id].stop_timeout, _TIMEOUT)
        timeout = min(_DAY, next(seconds for seconds in given if seconds >= 0))
        if one.action == STOP and one.was == RUNNING:
            with self._announced_if_long(f"waiting until {one.name} is ready to be stopped"):
                self._ready.await_started(one, self._known[one.id])
        began = time.monotonic()
        if self._can_resume(one):
            self.suspended[one.id] = one  # first: Docker may stop it also if it answers an error
        self._calls.setdefault(one.id, []).append(Call(one.action, time.time_ns()))
        with self._announced_if_long(f"stopping {one.name}, which may take {timeout:.0f} s"):
            killed = self._containers.suspend(one, timeout)
        self._report(_DONE[one.action], one, began)
        if killed:
            self._killed.add(one.id)
        if killed and time.monotonic() - began >= timeout:
            late = f"it did not stop in {timeout:.0f} s"
            self._on_progress(f"warning: {one.name} was killed, since {late}")
        if one.action == PAUSE and self._purpose == STOP:
            self._warn_of_pause(one)

    def _warn_of_pause(self, one: Suspension) -> None:
        itself = self._known[one.id].removes_itself
        removed = "it" if itself else "a container that shares with it"
        paused = f"{one.name} was only paused, since --rm would remove {removed}"
        self._on_progress(f"warning: {paused}; the commit is as after a crash")

    # -- resuming ------------------------------------------------------------------------------

    def resume(self, certain: bool) -> None:
        """Resume the containers in the order of their start, and run the hooks that are owed. Those
        that do not start stay in the record, and `failed` names one."""
        missing = {one.id for one in self._to_resume(certain) if not self._is_resumed(one)}
        for volume in self._volumes if self._recorded else ():
            suspended.forget(volume, self._recorded.keys() - missing)
        for one in self._in_order(self.suspended):
            if one.action != PAUSE and one.id not in missing and self.hooks.owes(one.id):
                self._is_ready(one)  # else its hook may fail
        self.hooks.after_freeze()
        self._warn_of_lost()

    def leave(self) -> None:
        """Leave the containers suspended, and say so."""
        for one in self.suspended.values():
            until = f"until the {self._verb} of {self._volumes[0].name} is completed"
            self._on_progress(f"warning: {one.name} is not started again {until}")

    def await_ready(self) -> None:
        """Wait until the resumed containers are ready, and warn if one is not."""
        _in_parallel([partial(self._is_ready, one) for one in self.suspended.values()])
        for one in self.suspended.values():
            if reason := self._ready.reason(one):
                self._on_progress(f"warning: {one.name} was started again, but {reason}")

    def _to_resume(self, certain: bool) -> list[Suspension]:
        """Those that are to be resumed, in the order of their start. A container that another
        command has stopped or paused meanwhile stays so; but not if that is not `certain`, nor if
        another dvol may have stopped it, for a volume in its pool."""
        own = [id for id in self.suspended if not self._known[id].elsewhere]
        calls = {id: self._calls[id] for id in own} if certain else {}
        said = self._containers.changed_by_others(calls, self._since) if calls else {}
        for id, state in said.items():
            if state == STOPPED:
                name = self.suspended.pop(id).name
                self._on_progress(f"{name} stays stopped: another command has stopped it")
            elif state == PAUSED:
                self.suspended[id] = self.suspended[id]._replace(was=PAUSED)
        return self._in_order(self.suspended)

    def _is_resumed(self, one: Suspension) -> bool:
        self._await_needed(one)
        began = time.monotonic()
        reason = try_resume(self._containers, one)
        if reason == GONE:
            del self.suspended[one.id]
            self._on_progress(f"{one.name} is not started: another command has removed it")
        elif reason:
            self.failed = self.failed or f"{one.name} ({reason})"
            self._on_progress(f"warning: {one.name} could not be started again: {reason}")
        else:
            note = self._ready.note(one, self._known[one.id])
            self._report(_UNDONE[one.action], one, began, note)
        return reason in ("", GONE)

    def _await_needed(self, one: Suspension) -> None:
        """Wait until the containers are ready on which this one depends by Compose's condition
        `service_healthy`: it might exit at once if they are not. `await_ready` warns of containers
        that do not become ready."""
        needed = must_be_healthy(self._known[one.id], self._known.values())
        waiting = [self.suspended[each.id] for each in needed if each.id in self.suspended]
        _in_parallel([partial(self._is_ready, each) for each in waiting])

    def _is_ready(self, one: Suspension) -> bool:
        """Wait until a container is ready or fails to be; each is waited for once."""
        with self._announced_if_long(f"waiting until {one.name} is ready"):
            return self._ready.is_ready(one, self._known[one.id])

    # -- telling -------------------------------------------------------------------------------

    def _warn_of_lost(self) -> None:
        for one, owner in self._lost:
            came = f"which was started while {owner.name} was being stopped for the {self._verb}"
            what = "the network, processes or memory that it shared with it"
            self._on_progress(f"warning: {one.name}, {came}, has lost {what}; 'docker restart' it")

    @contextmanager
    def _announced_if_long(self, what: str) -> Iterator[None]:
        timer = threading.Timer(_LONG, self._on_progress, [what])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _report(self, done: str, one: Suspension, began: float, note: str = "") -> None:
        """Say what was done, and why to a container that has none of the volumes; with a `note`, or
        how long it took."""
        owner = self._known.get(one.sharing_with)
        name = f"{one.name}, which shares with {owner.name}," if owner else one.name
        self._on_progress(f"{done} {name} ({note or f'{time.monotonic() - began:.1f} s'})")


_DONE = {STOP: "stopped", KILL: "killed", PAUSE: "paused"}
_UNDONE = {STOP: "started", KILL: "started", PAUSE: "unpaused"}


def _in_parallel(works: Sequence[Callable[[], object]]) -> None:
    """Do all works at the same time; the first failure is raised when all have finished."""
    if len(works) < 2:  # mostly there is one container
        for work in works:
            work()
        return
    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(work) for work in works]:
            future.result()
