"""`reset` and `undo`: reset a branch to a commit, or to its state before the last reset or undo.

Both move the state that they replace to an undo entry of the branch, and both make the live tree
equal to a frozen one; they differ in where the frozen tree comes from. Modules that most resets do
not need are imported late.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dvol.backends import FreezeHints, StagedReset
from dvol.containers import RESET
from dvol.engine.provenance import warn_of_commit, warn_of_state
from dvol.engine.quiesce import Quiesce
from dvol.engine.session import Session
from dvol.engine.transaction import Transaction, transaction
from dvol.errors import (
    DiskFailed,
    DvolError,
    NoGroupToUndo,
    NoSpace,
    NoSpaceToReset,
    NothingToUndo,
    NotSoManyToUndo,
    printable,
)
from dvol.fs.create import create
from dvol.fs.directories import is_directory
from dvol.history import reflog
from dvol.history.commits import as_document, commits_of, head_of, ids, new_id
from dvol.journal.steps import Step
from dvol.model import Commits, first_line
from dvol.pool.damaged import require_sound
from dvol.pool.volume import VolumeDir
from dvol.trash.notes import base_id, entries, new_entry, next_number, read_note
from dvol.tree import space
from dvol.tree.data_version import DataVersion, data_versions, versions_in
from dvol.tree.flags import Flags
from dvol.tree.usage import how_many_fit

_COMMITTED = "committed"  # a file in an undo entry
KEPT = 10  # undo entries of a branch, at most


def reset(
    session: Session, names: Sequence[str], revision: str, discard: bool = False
) -> dict[str, Commits]:
    """Reset the current branch of each volume to the commit that the revision means in it; returns
    the new history of each. With `discard` what is replaced goes to the garbage, and no undo entry
    is made."""
    with transaction(session, "reset", names) as work:
        targets = _resolved(work.volumes, revision)
        group = new_id() if len(work.volumes) > 1 else ""
        resets = [
            Reset(volume, volume.history.current(), group, discard) for volume in work.volumes
        ]
        leaving = [one.what_leaves(targets[one.volume.name]) for one in resets]
        quiesce = work.quiesce(RESET)
        with quiesce.closing():
            quiesce.plan()
            if quiesce.suspends:  # else no container waits until `stage` raises it
                for one in resets:
                    one.require_possible(targets[one.volume.name])
            stopped = quiesce.suspend(partial(_warn_of_targets, quiesce, work.volumes, targets))
            _apply(
                work,
                quiesce,
                resets,
                lambda one: one.stage(targets[one.volume.name], stopped),
                f"moving to {revision}",
            )
        for one in resets:
            _delete_surplus(session, one)
    session.garbage |= discard
    _tell(session, leaving)
    quiesce.finish()
    return {volume.name: targets[volume.name] for volume in work.volumes}


def undo(session: Session, name: str, count: int) -> Commits:
    """Reset the current branch to the state in its newest undo entry, or in the `count`th newest;
    returns its new history."""
    with transaction(session, "undo", [name]) as work:
        [volume] = work.volumes
        quiesce, plans = _undo(work, [Reset(volume, volume.history.current())], count)
    quiesce.finish()
    return plans[0].commits


def undo_group(session: Session, names: Sequence[str]) -> dict[str, Commits]:
    """Undo the last reset or undo that was of these volumes together; returns the new history of
    each that it had changed."""
    with transaction(session, "undo", names) as work:
        group = new_id()
        resets = [Reset(volume, volume.history.current(), group) for volume in work.volumes]
        chosen = _of_last_group(resets)
        changed = Transaction(session, "undo", [one.volume for one in chosen])
        quiesce, plans = _undo(changed, chosen, 1)  # no other container is touched
    quiesce.finish()
    return {one.volume.name: plan.commits for one, plan in zip(chosen, plans, strict=True)}


class ResetPlan(NamedTuple):
    """A reset or undo whose files are staged, but not its journal."""

    steps: list[Step]
    staged: StagedReset
    base: Path  # where the frozen tree lies once the steps are applied
    commits: Commits


class Reset:
    """A reset or undo of one branch. From `stage` to `save_index` no process may write to its
    tree."""

    def __init__(
        self, volume: VolumeDir, branch: str, group: str = "", discard: bool = False
    ) -> None:
        self.volume = volume
        self.history = volume.history  # as it is before the verb, whose lock is held
        self.branch = branch
        self.group = group  # names a reset of several volumes as one
        self.discard = discard

    def require_possible(self, commits: Commits) -> None:
        """Raise now what `stage` would raise, as far as is known while processes still write."""
        volume, backend = self.volume, self.volume.backend
        frozen, tree = volume.frozen(commits), volume.layout.tree(self.branch)
        hints = self._hints(frozen)
        try:
            backend.require_space_to_reset(frozen, tree, hints)
        except NoSpace as error:
            if not self.discard:
                raise NoSpaceToReset(*error.subject) from error
            backend.require_space_to_refill(frozen, tree, hints)

    def undone_commits(self, count: int) -> Commits:
        """The list that an undo restores. Raises as `stage_undo` does, as far as that is known."""
        undone, note = self._entry(count)
        require_sound(self.volume.layout, base_id(note))
        return commits_of(note.get("commits"), undone / "entry.json")

    def undone_data(self, count: int) -> list[DataVersion]:
        """Which database's data the state holds that an undo restores; [] if its note does not
        say, as those of earlier builds."""
        _, note = self._entry(count)
        return versions_in(note.get("data"))

    def what_leaves(self, after: Commits) -> str:
        """Which commits leave the list of the branch, and how to go back to them; "" if none do."""
        kept = ids(after)
        leaving = [one for one in self.history[self.branch] if one.id not in kept]
        if not leaving:
            return ""
        newest, volume = leaving[-1], self.volume.name
        text = f"commits that left branch '{self.branch}': {len(leaving)}, the newest is"
        title = f"{newest.id[:7]} '{printable(first_line(newest.message))}'"
        return f"{text} {title}; 'dvol reset --hard {newest.id[:7]} {volume}' goes back to it"

    def require_undo_possible(self, count: int) -> None:
        """Raise now what `stage_undo` would raise, as far as is known while processes still
        write."""
        commits = self.undone_commits(count)
        self.volume.backend.require_space_to_reconstruct(self._entry(count)[0])
        self._require_commits(commits)

    def stage(self, commits: Commits, writers_stopped: bool) -> ResetPlan:
        """Stage a reset to the last of `commits`, which become the branch's list. If there is no
        room and what is replaced is discarded, stage a refill instead."""
        frozen, entry = self.volume.frozen(commits), self._new_entry()
        try:
            return self._plan("reset", entry, frozen, commits, writers_stopped)
        except (NoSpace, DiskFailed, OSError) as error:
            if self.discard and space.is_full(error):
                self.volume.backend.delete(entry)
                return self._plan_refill(self._new_entry(), frozen, commits, writers_stopped)
            if isinstance(error, NoSpace):
                raise NoSpaceToReset(*error.subject) from error
            raise

    def stage_undo(self, count: int, writers_stopped: bool) -> ResetPlan:
        """Stage a reset to the state in the `count`th newest undo entry."""
        undone, note = self._entry(count)
        entry = self._new_entry()
        flags = reconstruct(self.volume, undone, note, entry / "base")
        self.volume.save_flags(entry / "base", flags)
        commits = commits_of(note.get("commits"), undone / "entry.json")
        self._require_commits(commits)
        plan = self._plan("undo", entry, entry / "base", commits, writers_stopped)
        delete_undone = self.volume.garbage_step(undone, f"{entry.name}-undone")
        return plan._replace(steps=[*plan.steps, delete_undone])

    def save_index(self, plan: ResetPlan) -> None:
        """Save the index, once the steps are applied. Also if there were none: then the next verb
        need not compare these files again."""
        with suppress(OSError):  # the reset is done, and a failure costs only speed
            index = plan.staged.tree_index()
            if is_directory(plan.base):  # it is none if an undo had nothing to change
                self.volume.save_index(self.branch, index, plan.base)

    def log(self, plan: ResetPlan, verb: str, message: str) -> None:
        """Append a line to the reflog, if the head moves."""
        before = self.history[self.branch] if plan.steps else plan.commits
        old, new = head_of(before), head_of(plan.commits)
        if old != new:
            line = reflog.Line(self.branch, old, new, verb, message, head=True)
            reflog.append(self.volume.layout, line)

    def surplus(self) -> list[Path]:
        """The undo entries beyond the newest ten, or beyond those that fit into the free space:
        resets before each of many tests must not fill the disk. Only what was not committed is
        lost with them, so states of which all is in a commit go first."""
        found = entries(self.volume.layout.undo(self.branch))
        if len(found) < 2:
            return []
        fit = how_many_fit(found[::-1])
        if fit < KEPT:
            return found[:-fit]
        older = sorted(found[:-1], key=lambda one: not os.path.lexists(one / _COMMITTED))  # stable
        return older[: max(0, len(found) - KEPT)]

    def groups(self) -> list[tuple[str, str]]:
        """For each undo entry, newest first, its date and the group of its reset, "" for a reset
        of this volume alone."""
        notes = map(read_note, reversed(entries(self.volume.layout.undo(self.branch))))
        return [(str(note.get("date")), str(note.get("group", ""))) for note in notes]

    def _entry(self, count: int) -> tuple[Path, dict[str, Any]]:
        """The `count`th newest undo entry, and its note. Raises NothingToUndo, NotSoManyToUndo."""
        found = entries(self.volume.layout.undo(self.branch))
        if not found:
            raise NothingToUndo(self.branch)
        if count > len(found):
            raise NotSoManyToUndo(self.branch, str(len(found)))
        return found[-count], read_note(found[-count])

    def _plan(
        self,
        verb: str,
        entry: Path,
        frozen: Path,
        commits: Commits,
        writers_stopped: bool,
    ) -> ResetPlan:
        """Stage the change of tree and list, with an undo entry for the state before."""
        volume, layout = self.volume, self.volume.layout
        before = self.history[self.branch]
        hints = self._hints(frozen, writers_stopped)
        staged = volume.backend.stage_reset(frozen, layout.tree(self.branch), entry, hints)
        target = self._target(entry)
        base = target / "base" if frozen == entry / "base" else frozen
        if not staged.steps and commits == before:
            volume.backend.delete(entry)
            return ResetPlan([], staged, base, commits)
        if not self.discard:
            self._write_note(verb, entry, base, staged, before)
            self._mark_committed(entry, staged, before)
        steps = [*map(volume.relative_step, staged.steps)]
        if commits != before:
            steps += self._list_steps(entry, commits)
        steps.append(volume.move_step(entry, target))
        return ResetPlan(steps, staged, base, commits)

    def _hints(self, frozen: Path, writers_stopped: bool = False) -> FreezeHints:
        """What is known of the live tree, and the flags of the frozen one that it is reset to."""
        hints = self.volume.hints(self.branch, self.history[self.branch], writers_stopped)
        return hints._replace(flags=self.volume.flags(frozen))

    def _plan_refill(
        self, entry: Path, frozen: Path, commits: Commits, writers_stopped: bool
    ) -> ResetPlan:
        """Stage a reset that deletes before it copies. Its last step puts a journal in place, which
        can't be reverted any more and so has the other steps."""
        volume, layout = self.volume, self.volume.layout
        before = self.history[self.branch]
        hints = self._hints(frozen, writers_stopped)
        staged = volume.backend.stage_refill(frozen, layout.tree(self.branch), entry, hints)
        steps = self._list_steps(entry, commits) if commits != before else []
        final = [*map(volume.relative_step, staged.final)]
        final.append(volume.move_step(entry, self._target(entry)))
        volume.journal.stage("reset", final, entry)
        journal = entry / layout.journal.name
        return ResetPlan(
            [*steps, volume.move_step(journal, layout.journal)], staged, frozen, commits
        )

    def _list_steps(self, entry: Path, commits: Commits) -> list[Step]:
        """Stage the new list, and the record of the commits that no list has any more; the steps
        put them in place."""
        volume = self.volume
        volume.write(entry / "commits.json", as_document(commits))
        put = volume.put_step(entry / "commits.json", volume.layout.commit_list(self.branch))
        dropped = volume.drop_steps(entry, {self.branch: commits})
        return [*dropped, put, *volume.relisted_steps(commits)]

    def _write_note(
        self, verb: str, entry: Path, base: Path, staged: StagedReset, before: Commits
    ) -> None:
        self.volume.write_note(
            entry,
            verb=verb,
            volume=self.volume.name,
            branch=self.branch,
            base=self.volume.relative(base),
            changes=staged.changes,
            group=self.group,
            commits=as_document(before),
            data=data_versions(self.volume.layout.tree(self.branch)),
        )

    def _mark_committed(self, entry: Path, staged: StagedReset, before: Commits) -> None:
        """Note in the entry that all it will hold is in the last commit of the list before."""
        layout = self.volume.layout
        with suppress(OSError, DvolError):  # then it is kept as if it were not
            frozen = layout.commit(before[-1].id) if before else layout.commits / "none"
            tree = layout.tree(self.branch)
            if is_directory(frozen) and self.volume.backend.is_committed(
                staged.changes, tree, frozen
            ):
                os.close(create(entry / _COMMITTED))

    def _require_commits(self, commits: Commits) -> None:
        """Raise CommitsGone if a commit of a list does not exist any more."""
        from dvol.trash.reachability import located

        located(self.volume.layout, commits, f"the state of branch '{self.branch}'")

    def _new_entry(self) -> Path:
        layout = self.volume.layout
        into = layout.pool.garbage if self.discard else layout.undo(self.branch)
        return new_entry(layout.staging, into)

    def _target(self, entry: Path) -> Path:
        """Where the entry is moved to by the last step."""
        layout = self.volume.layout
        if self.discard:
            return layout.pool.garbage / entry.name
        return layout.undo(self.branch) / next_number(layout.undo(self.branch))


def reconstruct(volume: VolumeDir, entry: Path, note: dict[str, Any], into: Path) -> Flags | None:
    """Make a frozen tree at `into` that equals the state of the live tree in an undo entry; returns
    the inode flags of that state, None if they are not known."""
    from dvol.trash.reachability import base_of

    base = base_of(volume.layout, entry, note)
    require_sound(volume.layout, base.name)
    flags = volume.flags(base)
    return volume.backend.reconstruct(entry, note.get("changes"), base, into, flags)


def _resolved(volumes: list[VolumeDir], revision: str) -> dict[str, Commits]:
    """The history that each volume is to be reset to, by its name."""
    histories = {volume.name: volume.history for volume in volumes}
    if len(histories) > 1:
        from dvol.history.groups import resolve_group

        return resolve_group(histories, revision)
    return {name: history.resolve(revision) for name, history in histories.items()}


def _undo(work: Transaction, resets: list[Reset], count: int) -> tuple[Quiesce, list[ResetPlan]]:
    session = work.session
    leaving = [one.what_leaves(one.undone_commits(count)) for one in resets]
    quiesce = work.quiesce(RESET)
    with quiesce.closing():
        quiesce.plan()
        if quiesce.suspends:
            for one in resets:
                one.require_undo_possible(count)
        stopped = quiesce.suspend(partial(_warn_of_states, quiesce, resets, count))
        back = f"going back {count} state{'s' * (count > 1)}"
        plans = _apply(work, quiesce, resets, lambda one: one.stage_undo(count, stopped), back)
    for one in resets:
        _delete_surplus(session, one)
    session.garbage = True  # the undo entry that was used
    _tell(session, leaving)
    return quiesce, plans


def _warn_of_targets(
    quiesce: Quiesce, volumes: list[VolumeDir], targets: dict[str, Commits]
) -> None:
    for volume in volumes:
        warn_of_commit(quiesce, volume, targets[volume.name][-1])


def _warn_of_states(quiesce: Quiesce, resets: list[Reset], count: int) -> None:
    for one in resets:
        warn_of_state(quiesce, one.volume, one.undone_data(count))


def _tell(session: Session, texts: list[str]) -> None:
    """Once the verb is done: a refusal is one line."""
    for text in filter(None, texts):
        session.access.on_progress(text)


def _of_last_group(resets: list[Reset]) -> list[Reset]:
    """Those whose newest undo entry is of the last reset of several volumes. Raises NoGroupToUndo
    if that is not the last reset of each that it had changed."""
    found = {one: groups for one in resets if (groups := one.groups())}
    if not found:
        raise NoGroupToUndo("no reset has changed any of them")
    last = max(found, key=lambda one: found[one][0][0])
    group = found[last][0][1]
    if not group:
        raise NoGroupToUndo(f"the last one was of {last.volume.name} alone")
    for one, groups in found.items():
        if group in [each for _, each in groups[1:]]:
            raise NoGroupToUndo(f"{one.volume.name} was reset alone since")
    return [one for one, groups in found.items() if groups[0][1] == group]


def _apply(
    work: Transaction,
    quiesce: Quiesce,
    resets: list[Reset],
    stage: Callable[[Reset], ResetPlan],
    message: str,
) -> list[ResetPlan]:
    """Stage each reset while the trees are quiet, and apply all of them, or none. The reflog has
    the `message`."""
    with work.durably():
        plans = [stage(one) for one in resets]
        for one, plan in zip(resets, plans, strict=True):
            one.log(plan, work.verb, message)
        steps = [step for plan in plans for step in plan.steps]
        steps = work.stage_journal(steps)
    quiesce.refuse_newcomers()
    work.run(steps)
    for one, plan in zip(resets, plans, strict=True):
        one.save_index(plan)
    return plans


def _delete_surplus(session: Session, done: Reset) -> None:
    """Delete surplus undo entries. The verb is done, so a failure is ignored: the next reset or gc
    deletes them. A reset that makes no undo entry pushes none out."""
    if done.discard:
        return
    with suppress(DvolError, OSError):
        for path in done.surplus():
            session.access.pool.delete_later(path)
            session.garbage = True
