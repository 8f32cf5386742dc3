"""`stash`: put the state of volumes aside, as a commit on a new branch, and put the last commit in
its place, while their containers are ended once.

A commit that stays on its branch is in `commit`, a branch made from a commit in `branch`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dvol.backends import TreeIndex
from dvol.containers import SWITCH
from dvol.engine import provenance
from dvol.engine.branch import require_new
from dvol.engine.commit import PendingCommit, flush_and_precopy, pending_commit
from dvol.engine.quiesce import Quiesce
from dvol.engine.session import Session
from dvol.engine.transaction import transaction
from dvol.journal.steps import Delete, Exchange, SetTimes, Step
from dvol.model import Commit, CommitMessage
from dvol.pool.volume import VolumeDir
from dvol.tree.flags import Flags


def stash(
    session: Session, names: Sequence[str], branch: str, message: CommitMessage
) -> dict[str, Commit]:
    """Stash one volume, or several as one; the commits by volume."""
    with transaction(session, "stash", names) as work:
        for volume in work.volumes:
            require_new(volume, branch)
        stashes = [Stash(pending_commit(volume, message), branch) for volume in work.volumes]
        quiesce = work.quiesce(SWITCH)
        with quiesce.closing():
            quiesce.plan()  # raises what forbids it before the copy, not after it
            stashes = [one.with_head() for one in stashes]
            if quiesce.suspends:
                flush_and_precopy([one.pending for one in stashes])
            digests = provenance.digests(quiesce, [volume.name for volume in work.volumes])
            stopped = quiesce.suspend(lambda: _warn(quiesce, stashes))
            # not `work.durably()`: the frozen trees lie outside the staging
            with work.volumes[0].durably():
                stashes = _frozen(quiesce, stashes, stopped, digests)
                steps = [step for one in stashes for step in one.steps()]
                steps = work.stage_journal(steps)
            quiesce.refuse_newcomers()
            work.run(steps)
            for one in stashes:
                one.save_indexes()
    quiesce.finish()
    return {one.volume.name: one.pending.commit for one in stashes}


class Stash(NamedTuple):
    """What becomes of one volume: its live tree goes to the branch `onto`, with the commit
    `pending` in its list, and a copy of the frozen tree `base` becomes the live tree of the current
    branch. `tree_index` is that of the copy; `base` is None until the copy is staged."""

    pending: PendingCommit
    onto: str
    base: Path | None = None
    tree_index: TreeIndex | None = None

    @property
    def volume(self) -> VolumeDir:
        return self.pending.volume

    @property
    def staged(self) -> Path:
        """The copy, while it is staged."""
        return self.volume.layout.staging / self.pending.commit.id / "tree"

    def with_head(self) -> Stash:
        """With a copy of the branch's last commit, if it has one: that does not change, so no
        container need wait for it. Raises NoSpace."""
        self.pending.require_space()
        before = self.pending.before
        if not before:
            return self
        base = self.volume.frozen(before)
        return self._copied_from(base, self.volume.flags(base))

    def frozen(self, state: str, stopped: bool, urgent: bool) -> Stash:
        """With the commit's tree frozen. A branch that had no commit gets a copy of this one."""
        frozen = self._replace(pending=self.pending.freeze(state, stopped, False, urgent))
        tree = self.volume.layout.commit(self.pending.commit.id)
        if self.base or frozen.pending.frozen is None:
            return frozen
        return frozen._copied_from(tree, frozen.pending.frozen.summary.flags)

    def steps(self) -> list[Step]:
        volume, layout = self.volume, self.volume.layout
        staged, tree, new = self.staged, layout.tree(self.pending.branch), layout.tree(self.onto)
        old_status, status = os.stat(tree), os.stat(staged)
        ids = (volume.backend.identity(staged), volume.backend.identity(tree))
        return [
            Exchange(volume.relative(staged), volume.relative(tree), *ids),
            volume.put_step(staged.with_name("commits.json"), layout.commit_list(self.onto)),
            volume.move_step(staged, new),
            # XFS touches directories that it exchanges
            SetTimes.between(volume.relative(tree), status, old_status),
            SetTimes.between(volume.relative(new), old_status, status),
            Delete(volume.relative(staged.parent)),
        ]

    def save_indexes(self) -> None:
        pending, volume = self.pending, self.volume
        frozen = volume.layout.commit(pending.commit.id)
        volume.save_index(self.onto, pending.frozen and pending.frozen.tree_index, frozen)
        volume.save_index(pending.branch, self.tree_index, self.base or frozen)

    def _copied_from(self, base: Path, flags: Flags | None) -> Stash:
        staging = self.volume.staging_dir(self.pending.commit.id)
        with self.volume.like_tree(staging, self.pending.branch):
            index = self.volume.backend.thaw(base, self.staged, flags)
        return self._replace(base=base, tree_index=index)


def _warn(quiesce: Quiesce, stashes: list[Stash]) -> None:
    for one in stashes:
        for head in one.pending.before[-1:]:
            provenance.warn_of_commit(quiesce, one.volume, head)


def _frozen(
    quiesce: Quiesce, stashes: list[Stash], stopped: bool, digests: Mapping[str, list[str]]
) -> list[Stash]:
    """Freeze the trees, and stage the lists of the new branches."""
    stashes = [one.frozen(quiesce.state, stopped, quiesce.waited_for) for one in stashes]
    writers = provenance.writers(quiesce, [one.volume.name for one in stashes], digests)
    for number, one in enumerate(stashes):
        pending = one.pending.with_provenance(writers.get(one.volume.name, ()))
        pending.stage_list(onto=one.onto)
        stashes[number] = one._replace(pending=pending)
    return stashes
