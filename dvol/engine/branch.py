"""`branch` and `checkout`: make a branch, switch to one, delete one."""

from __future__ import annotations

from dvol.backends import TreeIndex
from dvol.containers import SWITCH
from dvol.engine.provenance import warn_of_branch, warn_of_commit
from dvol.engine.session import Session
from dvol.engine.transaction import transaction
from dvol.errors import (
    BranchActive,
    BranchExists,
    BranchIsTag,
    BranchNotFound,
    CannotSwitchToMissing,
    NothingCommitted,
)
from dvol.fs import swap
from dvol.history import reflog
from dvol.history.commits import as_document, head_of
from dvol.history.revisions import HEADS
from dvol.journal.steps import Delete, Step
from dvol.model import Branch, Commits
from dvol.pool.access import Access
from dvol.pool.volume import VolumeDir
from dvol.trash.notes import new_entry


def create(session: Session, volume: str, name: str, revision: str) -> Branch:
    """Make a branch from a commit, and switch to it."""
    with transaction(session, "checkout", [volume]) as work:
        [found] = work.volumes
        require_new(found, name)
        if not found.history.head()[1] and revision in HEADS:
            raise NothingCommitted()
        commits = found.history.resolve(revision)
        quiesce = work.quiesce(SWITCH)
        quiesce.plan()  # raises what forbids it before the copy, not after it
        with found.durably():
            steps, index = _stage(found, name, commits)
            made = reflog.Line(
                name, "", commits[-1].id, "branch", f"created from {revision}", False
            )
            reflog.append(found.layout, made)
            _log_checkout(found, name, commits)
            steps = work.stage_journal(steps)
        with quiesce.hold(lambda: warn_of_commit(quiesce, found, commits[-1])):
            quiesce.refuse_newcomers()
            work.run(steps)
            found.save_index(name, index, found.frozen(commits))
    quiesce.finish()
    return Branch(name, commits[-1].id, current=True)


def checkout(session: Session, volume: str, name: str) -> Branch:
    """Switch to a branch that exists; if it is the current one, nothing is changed."""
    with transaction(session, "checkout", [volume]) as work:
        [found] = work.volumes
        history = found.history
        if name not in history:
            raise CannotSwitchToMissing(name)
        quiesce = work.quiesce(SWITCH)
        if name != history.current():
            with quiesce.hold(lambda: warn_of_branch(quiesce, found, name)):
                quiesce.refuse_newcomers()
                _log_checkout(found, name, history[name])
                found.point_at(name)
    quiesce.finish()
    return Branch(name, history[name][-1].id if history[name] else "", current=True)


def delete(access: Access, volume: str, name: str) -> None:
    """Move a branch to the trash; the commits that only it has stay, as dropped ones."""
    with access.changing(volume, "branch") as found:
        if name not in found.history:
            raise BranchNotFound(name)
        if name == found.history.current():
            raise BranchActive(name)
        swap.refuse(found.layout.tree(name))
        with found.durably():
            steps = _stage_deletion(found, name)
            old = head_of(found.history[name])
            reflog.append(found.layout, reflog.Line(name, old, "", "branch -d", "", head=False))
            steps = found.journal.stage("branch", steps)
        found.journal.run(steps)


def require_new(volume: VolumeDir, name: str) -> None:
    """Raise BranchExists, BranchIsTag, PathOccupied unless a new branch can have that name."""
    if name in volume.history:
        raise BranchExists(name)
    if name in volume.history.tags:
        raise BranchIsTag(name)
    volume.require_free(name)


def _log_checkout(volume: VolumeDir, name: str, commits: Commits) -> None:
    """Append to the reflog that HEAD moves to the branch `name`, which has these commits."""
    branch, before = volume.history.head()
    message = f"moving from {branch} to {name}"
    ids = (head_of(before), head_of(commits))
    reflog.append(volume.layout, reflog.Line(name, *ids, reflog.CHECKOUT, message, head=True))


def _stage(volume: VolumeDir, name: str, commits: Commits) -> tuple[list[Step], TreeIndex | None]:
    """Stage a new branch whose tree equals the last of `commits`.

    The steps put its list in place before its tree, since a branch exists as soon as its tree does.
    """
    layout = volume.layout
    staged = volume.staging_dir(f"branch-{name}")
    frozen = volume.frozen(commits)
    with volume.like_tree(staged, volume.history.current()):
        index = volume.backend.thaw(frozen, staged / "tree", volume.flags(frozen))
    volume.write(staged / "commits.json", as_document(commits))
    volume.write(staged / "current.json", {"current_branch": name})
    return [
        volume.put_step(staged / "commits.json", layout.commit_list(name)),
        volume.move_step(staged / "tree", layout.tree(name)),
        volume.put_step(staged / "current.json", layout.current),
        Delete(volume.relative(staged)),
    ], index


def _stage_deletion(volume: VolumeDir, name: str) -> list[Step]:
    """Stage an entry of the trash; the steps move the branch there."""
    layout, history = volume.layout, volume.history
    commits, trash = history[name], layout.pool.trash
    entry = new_entry(layout.staging, trash)
    facts = {"volume": volume.name, "branch": name, "commits": as_document(commits)}
    volume.write_note(entry, verb="branch -d", **facts)
    steps = volume.drop_steps(entry, {name: ()})  # first: no reader misses a commit meanwhile
    steps.append(volume.move_step(layout.tree(name), entry / "tree"))
    if layout.commit_list(name).exists():
        steps.append(volume.move_step(layout.commit_list(name), entry / "commits.json"))
    if layout.undo(name).exists():
        steps.append(volume.move_step(layout.undo(name), entry / "undo"))
    return [*steps, volume.move_step(entry, trash / entry.name)]
