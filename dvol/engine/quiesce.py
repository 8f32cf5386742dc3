"""The quiet part of a verb: its containers are suspended and its gates are closed; afterwards the
gates are opened and the containers started again.

Only this module and what it uses (`suspending`, `ready`), `recovery` and `provenance` combine
containers and volumes. Its phases are called in this order:

    with quiesce.closing():               # afterwards gates are open, and containers run again
        quiesce.plan()                    # ask Docker, and refuse what can be refused
        ...                               # what can be done while containers still run
        stopped = quiesce.suspend()       # record on disk who is suspended, do it, close the gates
        ...                               # the trees are quiet
        quiesce.refuse_newcomers()        # before the first step that can't be reverted
        ...
    quiesce.finish()                      # wait until they are ready

`hold` does the first three, for a verb that does nothing between them.

The gates stay open while containers are being ended: a container that another command starts then
must pass, since its start holds a lock in Docker for which ending it waits. It is ended like the
others, and the gates close when nobody runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dvol.engine import gate
from dvol.engine.session import Session
from dvol.errors import ContainerBusy, ContainerStarting, NotRestarted, PostCommitFailed
from dvol.fs.locks import exclusive
from dvol.layout import VolumeLayout

if TYPE_CHECKING:
    from dvol.containers.container import Container
    from dvol.engine.suspending import Suspending

_ROUNDS = 5  # of ending containers, while others are started
OTHERS_TIMEOUT = 60.0  # seconds to wait for another verb that has suspended a container of ours


class Quiesce:
    """The quiet part of `verb` on some volumes, whose locks are held.

    `purpose` is that of `containers.policy.action_for`.
    """

    def __init__(
        self, session: Session, volumes: Sequence[VolumeLayout], verb: str, purpose: str
    ) -> None:
        self.session = session
        self.volumes = volumes
        self.verb = verb
        self.purpose = purpose
        self._names = frozenset(volume.name for volume in volumes)
        self._locks, self._gates = ExitStack(), ExitStack()
        self._locked: set[str] = set()  # ids
        self._found: list[Container] = []  # those that are alive and have the volumes
        self._suspending: Suspending | None = None  # None as long as no container was found
        self._in_doubt = False

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Around the other phases. Afterwards the gates are open again, and the containers that ran
        before run again; if one does not, `finish` raises NotRestarted. While a volume's journal is
        unfinished they can't mount it: they stay suspended, and in the record, until a later verb
        has completed the journal."""
        with self._locks:
            try:
                with self._gates:
                    try:
                        yield
                    finally:
                        self._waiting_at_gates()
            finally:
                if self._suspending:
                    if any(os.path.lexists(volume.journal) for volume in self.volumes):
                        self._suspending.leave()
                    else:
                        self._suspending.resume(certain=not self._in_doubt)

    def plan(self) -> None:
        """Ask Docker which containers use the volumes, and raise what forbids suspending them;
        `suspends` then says whether any is to be."""
        self._ask()
        if self._suspending:
            self._suspending.require_possible()

    @property
    def suspends(self) -> bool:
        """Whether a container is to be stopped, killed or paused."""
        return self._suspending is not None and self._suspending.planned != []

    def suspend(self, before: Callable[[], object] = lambda: None) -> bool:
        """Stop, kill or pause the containers, and close the gates. Returns whether it is certain
        that no process of a container can still write to the trees. `before` is called before the
        first one is touched, and before others that have come since.

        Before a container is touched, each volume records it on disk, so that a crash can't leave
        it stopped. If another one runs when the gates have closed, they are opened, and that one is
        suspended as well; ContainerStarting is raised where that does not end.
        """
        for _ in range(_ROUNDS):
            if self._lock_containers():
                self._ask()
            if self._suspending:
                if not self._locked.issuperset(self._pending):
                    continue  # one has come since, and is not locked
                self._suspending.suspend(before)
            self._gates.enter_context(gate.closed(self.volumes, self.verb))
            self._ask()
            if not self._pending:
                return self._is_certain()
            self._gates.close()
        raise ContainerStarting(next(iter(self._pending.values()), ""))

    @contextmanager
    def hold(self, before: Callable[[], object]) -> Iterator[None]:
        """Suspend the containers, and close the gates; `before` as in `suspend`."""
        with self.closing():
            self.plan()
            self.suspend(before)
            yield

    @property
    def state(self) -> str:
        """The `state` of a commit that is made now."""
        return self._suspending.state(self._found) if self._suspending else ""

    @property
    def found(self) -> list[Container]:
        """The containers that have the volumes: those that were suspended, and those that were left
        alone."""
        return self._suspending.with_volume(self._found) if self._suspending else []

    @property
    def waited_for(self) -> bool:
        """Whether containers are suspended until the quiet part is over."""
        return self._suspending is not None and self._suspending.suspended != {}

    def refuse_newcomers(self) -> None:
        """Raise ContainerStarting if a container runs that was not known when the gates closed. To
        be called before the first step that can't be reverted. Docker is asked only if a container
        waited at a gate, since one that was starting may have been overlooked then; or if a
        container has still mounted the volumes, since Podman mounts them for the first one only.
        Raises ContainerWoken if one that is paused has run meanwhile."""
        if self._in_doubt or self._found:
            running = self.session.containers.having(self._names, running=True)
            for id in running.keys() - {one.id for one in self._found}:
                raise ContainerStarting(running[id])
            if self._suspending:
                self._suspending.require_paused(self._found)

    def finish(self) -> None:
        """Once the verb is done: wait until the resumed containers are ready, and warn if one is
        not. Raises NotRestarted if a container could not be started again, PostCommitFailed if its
        hook has failed."""
        if self._suspending:
            if self._suspending.failed:
                raise NotRestarted(self.verb, self._suspending.failed)
            if self.session.options.wait:
                self._suspending.await_ready()
            if self._suspending.hooks.failed:
                raise PostCommitFailed(*self._suspending.hooks.failed)

    # ------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask Docker which containers use the volumes, and plan what to do to them."""
        names, now = sorted(self._names), time.time_ns()
        self._found = self.session.containers.using(names, self._waiting_at_gates)
        if self._found and not self._suspending:
            from dvol.engine.suspending import Suspending  # late: most volumes have none running

            self._suspending = Suspending(self.session, self.volumes, self.verb, self.purpose)
        if self._suspending:
            self._suspending.plan(self._found, now)

    def _waiting_at_gates(self) -> int:
        found = sum(map(gate.waiting, self.volumes))
        self._in_doubt |= found > 0
        return found

    def _lock_containers(self) -> bool:
        """Lock all containers that have the volumes, running or not, and those that share with
        them, unless they are locked. Returns whether Docker is to be asked again: another verb may
        have suspended one because of another volume, and have started it again meanwhile. Raises
        ContainerBusy.

        The gates are open meanwhile, since that start has to pass them. A lock that comes before
        one that is held, in the order of all verbs, is not waited for.
        """
        found = self.session.containers.having(self._names)
        found |= self._pending
        pool = self.volumes[0].pool
        new = found.keys() - self._locked
        names = {pool.container_lock(id): found[id] for id in new}
        taken = {pool.container_lock(id) for id in self._locked}
        for lock in sorted(names.keys() - taken):
            timeout = OTHERS_TIMEOUT if all(lock > held for held in taken) else 0.0
            if not self._locks.enter_context(exclusive(lock, self.verb, timeout)):
                raise ContainerBusy(names[lock])
        self._locked |= new
        return bool(new)

    @property
    def _pending(self) -> dict[str, str]:
        return self._suspending.pending if self._suspending else {}

    def _is_certain(self) -> bool:
        if not self._suspending:
            return self.session.containers.certain
        return self.state in ("", "stopped", "killed")
