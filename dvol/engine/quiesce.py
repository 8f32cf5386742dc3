"""The quiet part of a verb: its gates closed, its containers ended, and all of it undone again.

The one place that composes containers and volumes. Whom a verb ends is noted on disk first, so
that whoever comes after a crash can bring them back; the gates open before that, since a
container's start passes them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from dvol.containers import GONE, KILL, PAUSE, STOP, Containers
from dvol.engine.docker_volumes import MOUNT_PATIENCE
from dvol.errors import ContainerBusy, ContainerStarting, DvolError, NotBroughtBack, VolumeBusy
from dvol.fs.locks import held, slots_held
from dvol.layout import VolumeLayout
from dvol.model import Wishes

if TYPE_CHECKING:
    from dvol.containers.container import Container, Ended

_PATIENCE = 60.0  # seconds for a container to end by itself; ten are too few for databases
_DAY = 86_400.0
_ATTEMPTS = 5
_LONG = 2.0  # seconds without a word, that people take for a hang
OTHERS_PATIENCE = 60.0  # seconds for another verb that has ended one of our containers


class Quiescence:
    """The quiet part of `verb` on some volumes, whose locks are held; `tell` hears each step.

    `purpose` is as in `containers.treatment`. `before_end` is called when it is clear that
    containers will be ended, and none is yet: what it refuses has no consequences. `last_moment`
    is called when all else is done, gates are closed, and the next thing is to end them.
    """

    def __init__(
        self,
        containers: Containers,
        volumes: Sequence[VolumeLayout],
        verb: str,
        purpose: str,
        wishes: Wishes,
        tell: Callable[[str], None],
        before_end: Callable[[], None] = lambda: None,
        last_moment: Callable[[], None] = lambda: None,
    ) -> None:
        self.containers = containers
        self.volumes = volumes
        self.verb = verb
        self.purpose = purpose
        self.wishes = wishes
        self.tell = tell
        self.before_end = before_end
        self.last_moment = last_moment
        self.state = ""  # of what is frozen: "", or how the last of its writers was quieted
        self._names = frozenset(volume.name for volume in volumes)
        self._noted: set[str] = set()  # ids
        self._health: dict[str, str] = {}  # by id: "", or what is wrong with one started again
        self._ended: list[Ended] = []
        self._known: list[Container] = []
        self._in_doubt = False
        self._failed = ""

    def require_possible(self) -> None:
        """Raise now what `quiet` would, as far as that can be told before the gates are closed."""
        self._treated(self._using())

    @contextmanager
    def quiet(self) -> Iterator[bool]:
        """Yields whether it is certain that every writer has ended. Afterwards the gates are open
        again and what ran before runs, or `finish` will say what does not."""
        with ExitStack() as locks:
            try:
                with ExitStack() as gates:
                    self._known = self._hold(locks, gates)
                    yield self._end_containers()
            finally:
                self._bring_back()

    @property
    def waited_for(self) -> bool:
        """Whether containers are down, or paused, until it is over."""
        return bool(self._ended)

    def refuse_latecomers(self) -> None:
        """To be called while it is quiet, before anything happens that can't be taken back: where
        somebody waited at the gate another container may have been starting."""
        if self._in_doubt:
            running = self.containers.having(self._names, running=True)
            for id in running.keys() - {one.id for one in self._known}:
                raise ContainerStarting(running[id])

    def finish(self) -> None:
        """Once the verb is done: wait for health; NotBroughtBack if a container is missing."""
        if self._failed:
            raise NotBroughtBack(self.verb, self._failed)
        waiting = self._ended if self.wishes.wait else []
        _together([partial(self._await_health, one) for one in waiting])
        for one in waiting:
            if reason := self._health[one.id]:
                self.tell(f"warning: {one.name} was started again, but {reason}")

    def _await_health(self, one: Ended) -> bool:
        """Once; whether it is well."""
        if one.id not in self._health:
            try:
                self._health[one.id] = self.containers.await_health(one)
            except DvolError as error:
                self._health[one.id] = f"it is not known to be well: {error}"
        return not self._health[one.id]

    def _hold(self, locks: ExitStack, gates: ExitStack) -> list[Container]:
        """Lock the containers that use the volumes, close the gates, and ask again: one that
        passed a gate before it closed is found by that. All of them are returned."""
        for _ in range(_ATTEMPTS):
            expected = self._claim(locks)
            gates.enter_context(gates_closed(self.volumes, self.verb))
            found = self._using()
            new = [one.name for one in found if one.id not in expected]
            if not new:
                return found
            gates.close()
            locks.close()
        raise ContainerStarting(new[0])

    def _claim(self, locks: ExitStack) -> set[str]:
        """The ids of the containers that have the volumes, once no other verb is at work on one.

        It may have ended one for another of its volumes, which does not run now, and will start it
        again. The gates are still open meanwhile, since that start has to pass them.
        """
        treated = self._treated(self._using())
        if any(one.how for one in treated):
            self.before_end()
            self.containers.require_startable([one for one in treated if one.how in (STOP, KILL)])
        found = self.containers.having(self._names)
        pool = self.volumes[0].pool
        names = {pool.container_lock(id): name for id, name in found.items()}
        for lock in sorted(names):
            if not locks.enter_context(held(lock, self.verb, OTHERS_PATIENCE)):
                raise ContainerBusy(names[lock])
        return {*found}

    def _using(self) -> list[Container]:
        return self.containers.using(sorted(self._names), self._waiting_at_gate)

    def _waiting_at_gate(self) -> int:
        waiting = sum(slots_held(volume.waiting) for volume in self.volumes)
        self._in_doubt |= waiting > 0
        return waiting

    def _end_containers(self) -> bool:
        """Whether it is certain that all writers have ended."""
        found = self._known
        if not found:
            return self.containers.certain
        treated = self._treated(found)
        wanted = [one for one in treated if one.how]
        by_id = {one.id: one for one in found}
        self._note([one for one in wanted if _comes_back(one, by_id[one.id])])
        killed = self._end_all(found, {one.id: one for one in wanted})
        writers = {one.id for one in found if one.writes_to(self._names)}
        self.state = _state([one for one in treated if one.id in writers], killed)
        return self.state in ("", "stopped", "killed")

    def _treated(self, found: list[Container]) -> list[Ended]:
        """What is to be done to each, in the order of their start; those that are left alone have
        no `how`."""
        if not found:
            return []
        from dvol.containers.container import Ended
        from dvol.containers.policy import treatment

        how = partial(treatment, volumes=self._names, purpose=self.purpose, force=self.wishes.force)
        return [Ended(one.id, one.name, how(one), one.state, one.started) for one in found]

    def _note(self, wanted: list[Ended]) -> None:
        if wanted:
            from dvol.pool.suspended import note

            self._noted = {one.id for one in wanted}
            for volume in self.volumes:
                note(volume, wanted)

    def _end_all(self, found: list[Container], wanted: dict[str, Ended]) -> bool:
        """Whether any had to be killed. Those that need no other of them end at the same time."""
        from dvol.containers.start_order import waves

        if wanted:
            self.last_moment()
        killed: list[bool] = []
        for wave in reversed(waves(found)):
            ends = [partial(self._end, wanted[one.id], one) for one in wave if one.id in wanted]
            killed += _together(ends)
        return any(killed)

    def _end(self, one: Ended, container: Container) -> bool:
        """Whether it had to be killed."""
        wanted = (self.wishes.patience, container.stop_timeout, _PATIENCE)
        patience = min(_DAY, next(seconds for seconds in wanted if seconds >= 0))
        began = time.monotonic()
        if _comes_back(one, container):
            self._ended.append(one)  # before: what was asked may happen, whatever is answered
        with self._told_if_long(f"stopping {one.name}, which may take {patience:.0f} s"):
            killed = self.containers.end(one, patience)
        self._told(_DONE[one.how], one.name, began)
        if killed:
            self.tell(f"warning: {one.name} was killed, since it did not stop in {patience:.0f} s")
        if one.how == PAUSE and self.purpose == STOP:
            self.tell(f"warning: {one.name} was only paused, since --rm would remove it: see 'log'")
        return killed

    def _bring_back(self) -> None:
        """In the order of their start. Those that do not come back stay noted."""
        ended = {one.id: one for one in self._ended}
        self._ended = [ended[one.id] for one in self._known if one.id in ended]
        missing = {one.id for one in self._ended if not self._is_back(one)}
        if self._noted:
            from dvol.pool.suspended import forget

            for volume in self.volumes:
                forget(volume, self._noted - missing)

    def _is_back(self, one: Ended) -> bool:
        self._await_needed(one)
        began = time.monotonic()
        from dvol.pool.suspended import brought_back

        reason = brought_back(self.containers, one)
        if reason:
            self._failed = self._failed or f"{one.name} ({reason})"
            self.tell(f"warning: {one.name} could not be started again: {reason}")
        else:
            self._told(_UNDONE[one.how], one.name, began)
        return reason in ("", GONE)

    def _await_needed(self, one: Ended) -> None:
        """Compose's `service_healthy`: else it might give up at once. What is not well in the end
        is told by `finish`."""
        from dvol.containers.start_order import to_be_well

        [container] = [each for each in self._known if each.id == one.id]
        needed = {each.id for each in to_be_well(container, self._known)}
        _together([partial(self._await_health, each) for each in self._ended if each.id in needed])

    @contextmanager
    def _told_if_long(self, what: str) -> Iterator[None]:
        timer = threading.Timer(_LONG, self.tell, [what])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _told(self, what: str, name: str, began: float) -> None:
        self.tell(f"{what} {name} ({time.monotonic() - began:.1f} s)")


_DONE = {"stop": "stopped", "kill": "killed", "pause": "paused"}
_UNDONE = {"stop": "started", "kill": "started", "pause": "unpaused"}


@contextmanager
def gates_closed(volumes: Sequence[VolumeLayout], verb: str) -> Iterator[None]:
    """Nobody mounts them meanwhile."""
    with ExitStack() as gates:
        for volume in volumes:
            if not gates.enter_context(held(volume.gate, verb, MOUNT_PATIENCE)):
                raise VolumeBusy(volume.name, ": a container is being started on it")
        yield


def recover(
    containers: Containers, volume: VolumeLayout, tell: Callable[[str], None], patience: float
) -> bool:
    """Bring back what a dead verb has ended, see `ended.bring_back`."""
    if not left_stopped(volume):
        return True
    from dvol.pool.suspended import bring_back

    return bring_back(containers, volume, tell, patience)


def left_stopped(volume: VolumeLayout) -> bool:
    """Whether a verb has ended something there that is not known to run again."""
    return os.path.lexists(volume.ended)


def _comes_back(one: Ended, container: Container) -> bool:
    """Not one that removes itself when it ends."""
    return one.how == "pause" or not container.removes_itself


def _together(works: Sequence[Callable[[], bool]]) -> list[bool]:
    """Do them at the same time; the first failure is raised when all have ended."""
    if len(works) < 2:
        return [work() for work in works]
    from concurrent.futures import ThreadPoolExecutor  # late: one container is the rule

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


def _state(writers: list[Ended], killed: bool) -> str:
    """How those that write to a tree were quieted: the weakest counts."""
    if any(not one.how and one.was != "paused" for one in writers):
        return "live"
    if any(one.how in ("", "pause") for one in writers):
        return "paused"
    return "" if not writers else "killed" if killed else "stopped"
