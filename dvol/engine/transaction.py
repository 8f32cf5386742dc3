"""The verbs that need trees to be quiet: commit, reset, undo, branch, checkout.

Each works on one volume; commit and reset also on several as one, which the pool's journal makes
happen together or not at all. Locks are taken in the order of the volumes' names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from dvol.backends import Memory, Step
from dvol.containers import DISCARD, LIVE, PAUSE, SWITCH, Containers
from dvol.engine import quiesce
from dvol.engine.quiesce import Quiescence
from dvol.engine.reset import Plan, Resets
from dvol.errors import (
    BranchExists,
    CannotSwitchToMissing,
    DvolError,
    NoInstantForSeveral,
    NotAtOnce,
    NothingCommitted,
)
from dvol.history.commits import new_id
from dvol.history.groups import resolve_together
from dvol.history.revisions import Line
from dvol.model import Branch, Commit, Wishes
from dvol.pool.config import COMMIT_MODE, VALUES, check, effective
from dvol.pool.files import PoolFiles
from dvol.pool.volume import Quiet, VolumeFiles


def _nothing() -> None:
    """Is to be done."""


class Frozen(NamedTuple):
    """The next commit of a volume's branch, which has `line`; once it is frozen it is staged, but
    for being durable."""

    files: VolumeFiles
    branch: str
    line: Line
    commit: Commit
    memory: Memory | None = None

    def frozen(self, state: str, quiet: Quiet) -> Frozen:
        """Freeze the tree, which is quiet meanwhile."""
        commit = self.commit._replace(state=state)
        memory = self.files.freeze(self.branch, self.line, commit, quiet)
        return self._replace(commit=commit, memory=memory)


class Changes:
    """Changes of volumes of a pool; `tell` hears each step that concerns a container.

    `doomed` says afterwards whether something was left for a sweep.
    """

    def __init__(
        self,
        files: PoolFiles,
        containers: Containers,
        wishes: Wishes,
        tell: Callable[[str], None],
    ) -> None:
        self.doomed = False
        self._wishes = wishes
        self._files = files
        self._containers = containers
        self._tell = tell

    def commit(self, volumes: Sequence[str], words: Commit, full: bool) -> dict[str, Commit]:
        """Commit one volume, or several as one; all of them get these words."""
        with self._changing(volumes, "commit") as held:
            mode = self._mode(held)
            new = [Frozen(files, *files.history.current_line(), _new(words)) for files in held]
            for one in new:
                one.files.require_space(one.branch, one.line)

            def before_end() -> None:
                held[0].write_back()
                for one in new:
                    one.files.work_ahead(one.branch, one.line, one.commit)

            # the less is left to be written, the shorter those wait that are only paused
            last = held[0].write_back_the_rest if mode == PAUSE else _nothing
            calm = self._calm(held, "commit", mode, before_end, last)
            with held[0].durably():  # while the gates are open again
                with calm.quiet() as ended:
                    quiet = Quiet(ended, full, hurry=calm.waited_for)
                    frozen = [one.frozen(calm.state, quiet) for one in new]
                    calm.refuse_latecomers()
                for one in frozen:
                    one.files.stage_list(one.line, one.commit)
            self._publish(frozen)
        calm.finish()
        return {one.files.layout.name: one.commit for one in frozen}

    def reset(self, volumes: Sequence[str], revision: str) -> dict[str, Line]:
        """Put the current branches of the volumes back to what the revision means in each."""
        with self._changing(volumes, "reset") as held:
            lines = _resolved(held, revision)
            resets = [Resets(files, files.history.current()) for files in held]

            def refuse() -> None:
                for one in resets:
                    one.require_possible(lines[one.volume])

            calm = self._calm(held, "reset", DISCARD, before_end=refuse)
            with calm.quiet() as ended:
                self._put_back(
                    "reset", resets, calm, lambda one: one.prepare(lines[one.volume], Quiet(ended))
                )
            for one in resets:
                self._doom_surplus(one)
        calm.finish()
        return {files.layout.name: lines[files.layout.name] for files in held}

    def undo(self, volume: str) -> Line:
        """Put the current branch back to what was discarded last."""
        with self._changing([volume], "undo") as [files]:
            resets = Resets(files, files.history.current())
            calm = self._calm([files], "undo", DISCARD, before_end=resets.require_undo)
            with calm.quiet() as ended:
                [plan] = self._put_back(
                    "undo", [resets], calm, lambda one: one.prepare_undo(Quiet(ended))
                )
            self._doom_surplus(resets)
            self.doomed = True  # what was undone is no more
        calm.finish()
        return plan.line

    def branch(self, volume: str, name: str) -> Branch:
        """Make a branch of the newest commit of the current one, and switch to it."""
        with self._changing([volume], "checkout") as [files]:
            if name in files.history:
                raise BranchExists(name)
            _, line = files.history.current_line()
            if not line:
                raise NothingCommitted()
            calm = self._calm([files], "checkout", SWITCH)
            calm.require_possible()  # before the work, not after it
            with files.durably():
                steps, memory = files.prepare_branch(name, line)
                files.journal.stage("checkout", steps)
            with calm.quiet():
                calm.refuse_latecomers()
                files.journal.run(steps)
                files.remember(name, memory, files.frozen(line))
        calm.finish()
        return Branch(name, line[-1].id, current=True)

    def checkout(self, volume: str, name: str) -> Branch:
        """Switch to a branch that exists; on the one that is current nothing is touched."""
        with self._changing([volume], "checkout") as [files]:
            history = files.history
            if name not in history:
                raise CannotSwitchToMissing(name)
            calm = self._calm([files], "checkout", SWITCH)
            if name != history.current():
                with calm.quiet():
                    calm.refuse_latecomers()
                    files.point_at(name)
        calm.finish()
        return Branch(name, history[name][-1].id if history[name] else "", current=True)

    @contextmanager
    def _changing(self, volumes: Sequence[str], verb: str) -> Iterator[list[VolumeFiles]]:
        """Hold the locks of the volumes, once what died in them is recovered."""
        with ExitStack() as stack:
            ordered = sorted(set(volumes))
            held = [stack.enter_context(self._files.changing(one, verb)) for one in ordered]
            for files in held:
                patience = quiesce.OTHERS_PATIENCE
                quiesce.recover(self._containers, files.layout, self._tell, patience)
            yield held

    def _calm(
        self,
        held: list[VolumeFiles],
        verb: str,
        purpose: str,
        before_end: Callable[[], None] = _nothing,
        last_moment: Callable[[], None] = _nothing,
    ) -> Quiescence:
        layouts = [files.layout for files in held]
        words = (verb, purpose, self._wishes, self._tell, before_end, last_moment)
        return Quiescence(self._containers, layouts, *words)

    def _mode(self, held: list[VolumeFiles]) -> str:
        """How to quiet the containers of a commit; of several volumes the strictest setting."""
        layouts = [files.layout for files in held]
        wanted = self._wishes.mode
        if not wanted:
            said = [effective(COMMIT_MODE, one.config, one.pool.config) for one in layouts]
            wanted = min(said, key=VALUES[COMMIT_MODE].index)
        check(COMMIT_MODE, wanted)
        if wanted == LIVE and len(held) > 1:
            if self._wishes.mode:
                raise NoInstantForSeveral()
            return PAUSE  # the setting speaks of each alone
        for files in held:
            tree = files.layout.tree(files.history.current())
            if wanted == LIVE and not files.backend.atomic(tree):
                raise NotAtOnce(files.layout.name)
        return wanted

    def _run(self, verb: str, held: list[VolumeFiles], steps: list[Step]) -> None:
        """Take steps for which all is staged and durable: all of them happen, or none. Those of
        one volume are in its journal already."""
        if len(held) == 1:
            held[0].journal.run(steps)
            return
        steps.sort(key=lambda step: step[0] == "discard")  # which can't be taken back
        with self._files.changing_pool(verb):
            journal = self._files.journal
            with held[0].durably(journal.staging):
                journal.stage(verb, steps)
            journal.run(steps)

    def _publish(self, frozen: list[Frozen]) -> None:
        """Make staged commits real; what was staged is durable already."""
        if len(frozen) == 1:
            for one in frozen:
                one.files.publish(one.branch, one.commit, one.memory)
            return
        steps = [step for one in frozen for step in one.files.publishing(one.branch, one.commit)]
        self._run("commit", [one.files for one in frozen], steps)
        for one in frozen:
            one.files.remember(one.branch, one.memory, one.files.layout.commit(one.commit.id))

    def _put_back(
        self,
        verb: str,
        resets: list[Resets],
        calm: Quiescence,
        prepare: Callable[[Resets], Plan],
    ) -> list[Plan]:
        """Stage the way back of each, and make it so, all or nothing."""
        held = [one.files for one in resets]
        with held[0].durably(*(files.layout.staging for files in held)):
            plans = [prepare(one) for one in resets]
            steps = [step for plan in plans for step in plan.steps]
            if len(held) == 1 and steps:
                held[0].journal.stage(verb, steps)
        calm.refuse_latecomers()
        if steps:
            self._run(verb, held, steps)
        for one, plan in zip(resets, plans, strict=True):
            one.remember(plan)
        return plans

    def _doom_surplus(self, resets: Resets) -> None:
        """The verb is done: what fails here is left for the next one, or for gc."""
        with suppress(DvolError, OSError):
            if surplus := resets.old_entries():
                from dvol.engine.gc import Collector  # late: most commands never need it

                collector = Collector(self._files)
                self.doomed |= collector.doom_surplus(resets.files.layout, surplus)


def _new(words: Commit) -> Commit:
    """A commit of its own with these words."""
    return words._replace(id=new_id())


def _resolved(held: list[VolumeFiles], revision: str) -> dict[str, Line]:
    """The history that each volume is to go back to, by its name."""
    histories = {files.layout.name: files.history for files in held}
    if len(histories) > 1:
        return resolve_together(histories, revision)
    return {name: history.resolve(revision) for name, history in histories.items()}
