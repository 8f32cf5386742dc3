"""A verb on one volume or several: it holds their locks, and one journal applies its steps in all
of them or in none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

from dvol.engine import quiesce, recovery
from dvol.engine.quiesce import Quiesce
from dvol.engine.session import Session
from dvol.errors import ContainerBusy, DvolError, Interrupted
from dvol.journal.steps import Delete, Move, Step
from dvol.pool.volume import VolumeDir


class Transaction:
    """`verb` on some volumes, whose locks are held."""

    def __init__(self, session: Session, verb: str, volumes: list[VolumeDir]) -> None:
        self.session = session
        self.verb = verb
        self.volumes = volumes

    def quiesce(self, purpose: str) -> Quiesce:
        """The quiet part of the verb, for that purpose (see `containers.policy`)."""
        layouts = [volume.layout for volume in self.volumes]
        return Quiesce(self.session, layouts, self.verb, purpose)

    def durably(self) -> AbstractContextManager[None]:
        """All files that the block writes in the staging of any of the volumes are durable at its
        end."""
        return self.volumes[0].durably(*(volume.layout.staging for volume in self.volumes))

    def stage_journal(self, steps: list[Step]) -> list[Step]:
        """Within `durably`: write the steps of a verb on one volume to the volume's journal, and
        return those to be given to `run`. For several volumes `run` writes them to the pool's
        journal, whose lock is taken last; and for one volume if a step puts the volume's journal in
        place."""
        if steps and not self._need_pool(steps):
            return self.volumes[0].journal.stage(self.verb, steps)
        return steps

    def run(self, steps: list[Step]) -> None:
        """Apply the steps, all or none; their files are staged and durable. Then complete the
        journals that the steps have put in place, if they have. Raises NoSpaceToFinish and
        DiscardStopped if one of these stays: the verb will happen, and is unfinished."""
        if not steps:
            return
        if not self._need_pool(steps):
            self.volumes[0].journal.run(steps)
            return
        self._run_in_pool(steps)
        self._complete()

    def _need_pool(self, steps: list[Step]) -> bool:
        own = {volume.relative(volume.layout.journal) for volume in self.volumes}
        placed = any(isinstance(step, Move) and step.target in own for step in steps)
        return len(self.volumes) > 1 or placed

    def _run_in_pool(self, steps: list[Step]) -> None:
        # deletions last: they can't be reverted
        steps = sorted(steps, key=lambda step: isinstance(step, Delete))
        access = self.session.access
        with access.changing_pool(self.verb):
            journal = access.pool.journal
            with self.volumes[0].durably(journal.staging):
                steps = journal.stage(self.verb, steps)
            journal.run(steps)

    def _complete(self) -> None:
        """Complete the journal of each volume, also if that of another can't be completed; the
        first error is raised."""
        errors: list[DvolError] = []
        for volume in self.volumes:
            try:
                volume.journal.complete()
            except DvolError as error:
                errors.append(error)
            except KeyboardInterrupt:
                again = f"'dvol {self.verb} --hard --discard' again completes it"
                raise Interrupted(f"; the {self.verb} is unfinished: {again}") from None
        if errors:
            raise errors[0]


@contextmanager
def transaction(session: Session, verb: str, names: Sequence[str]) -> Iterator[Transaction]:
    """Hold the locks of the volumes, taken in the order of their names, and first recover what dead
    processes left: their journals, and the containers that they suspended. A container that does
    not start is tried once more at the end: it may need what the verb puts back."""
    with ExitStack() as locks:
        volumes = [
            locks.enter_context(session.access.changing(name, verb)) for name in sorted(set(names))
        ]
        on_progress, timeout = session.access.on_progress, quiesce.OTHERS_TIMEOUT
        left = [
            volume.layout
            for volume in volumes
            if not recovery.resume(
                session.containers, volume.layout, on_progress, timeout, warn=False
            )
        ]
        yield Transaction(session, verb, volumes)
        for layout in left:
            with suppress(ContainerBusy):  # the server will try again
                recovery.resume(session.containers, layout, on_progress, 0.0)
