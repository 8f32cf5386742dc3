"""`restore`: undelete a volume, a branch, or the state of a branch before a reset or undo.

A volume is moved back as it is, a deleted branch with its own tree. The state in an undo entry
becomes a new branch, whose tree is copied, so that `undo` can still use the entry. Commits that an
entry of an earlier format holds are moved back.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol import names
from dvol.engine.reset import reconstruct
from dvol.errors import (
    AmbiguousEntry,
    BranchNameInUse,
    EntryNotFound,
    NameInUse,
    NameRequired,
    PathOccupied,
    UnfinishedRemoval,
    VolumeGone,
)
from dvol.fs.create import make_directory
from dvol.fs.directories import is_directory
from dvol.history import reflog
from dvol.history.commits import as_document, head_of
from dvol.journal.steps import Delete, Step
from dvol.layout import OWN
from dvol.model import Commits, Discarded, Restored
from dvol.pool.access import Access
from dvol.pool.damaged import require_sound
from dvol.pool.empty_tree import make_empty_tree
from dvol.pool.volume import VolumeDir
from dvol.trash.entry import Entry, one_of
from dvol.trash.notes import entries
from dvol.trash.reachability import located
from dvol.tree.usage import DiskUsage


def discarded(access: Access, sizes: bool) -> list[Discarded]:
    """The entries that can be restored, newest first."""
    usage, found = DiskUsage(), []
    for entry in access.entries():
        if entry.note:
            size = sum(usage.add(entry.path)) if sizes else -1
            found.append(entry.fact()._replace(size=size))
    found.sort(key=lambda one: one.date)
    found.reverse()  # sorted is stable: of entries of the same second, the later comes first
    return found


def restore(access: Access, typed: str, name: str) -> Restored:
    """See `Engine.restore`."""
    with access.reading():
        entry = _found(access, typed)
    if entry.is_volume:
        return _restore_volume(access, entry, name)
    return _restore_branch(access, entry, name)


def _found(access: Access, typed: str) -> Entry:
    """The newest entry of that name, or the one whose id begins so."""
    entries = [one for one in access.entries() if one.note and is_directory(one.path)]
    ids = {one.id for one in entries}
    named = [one.id for one in _named(entries, typed)[-1:]]
    try:
        named.append(one_of(typed, ids - {*named}))
    except EntryNotFound:
        if not named:
            raise
    if len(named) > 1:
        raise AmbiguousEntry(typed, ", ".join(sorted(named)))
    return next(one for one in entries if one.id == named[0])


def _named(entries: list[Entry], name: str) -> list[Entry]:
    """The removed volumes of that name, or removed branches that are called VOLUME/BRANCH, oldest
    first."""
    found = [one for one in entries if one.is_volume and one.volume == name]
    found += [
        one
        for one in entries
        if not one.home and not one.is_volume and f"{one.volume}/{one.branch}" == name
    ]
    return sorted(found, key=_when)


def _when(entry: Entry) -> tuple[str, int]:
    """When an entry was made: of two of the same second, the files of the later one moved later."""
    return entry.fact().date, os.lstat(entry.path).st_mtime_ns


def _restore_volume(access: Access, entry: Entry, name: str) -> Restored:
    if name or not names.is_component(entry.volume) or entry.volume in names.POOL_FILES:
        names.check_volume(name or entry.volume)
    name = name or entry.volume
    with access.changing_pool("restore"):
        if not is_directory(entry.path / "volume"):  # another command has just restored it
            raise EntryNotFound(entry.id)
        if access.pool.exists(name):
            raise NameInUse(name, entry.id)
        journal = entry.path / "volume" / OWN / "journal.json"
        if name != entry.volume and os.path.lexists(journal):
            raise UnfinishedRemoval(entry.id, entry.volume)
        access.pool.restore(entry.path, name)
    return Restored(name, "")


def _restore_branch(access: Access, entry: Entry, name: str) -> Restored:
    if not access.pool.exists(entry.volume):
        raise VolumeGone(entry.id, entry.volume)
    own = "" if entry.home else entry.branch  # the branch of an undo entry still exists
    if not name and not own:
        raise NameRequired(entry.id)
    if name or not names.is_component(own):
        names.check_branch(name or own)
    name = name or own
    with access.changing(entry.volume, "restore") as volume:
        if Entry(entry.path, entry.home).id != entry.id:  # another command has just restored it
            raise EntryNotFound(entry.id)
        if name in volume.history:
            raise BranchNameInUse(name, entry.id)
        with volume.durably():
            steps = RestoredBranch(volume, entry, name).stage()
            new, source = head_of(entry.commits), f"from {entry.id}"
            reflog.append(volume.layout, reflog.Line(name, "", new, "restore", source, head=False))
            steps = volume.journal.stage("restore", steps)
        volume.journal.run(steps)
    return Restored(entry.volume, name)


class RestoredBranch:
    """An entry that becomes the branch `name`. The caller holds the volume's lock."""

    def __init__(self, volume: VolumeDir, entry: Entry, name: str) -> None:
        self.volume = volume
        self.entry = entry
        self.name = name

    def stage(self) -> list[Step]:
        """Stage the branch. The steps put its list in place before its tree, since a branch exists
        as soon as its tree does. Raises PathOccupied, CommitsGone, NoSpace."""
        volume, layout, commits = self.volume, self.volume.layout, self.entry.commits
        self._require_free()
        back = located(layout, commits, f"branch '{self.name}'")  # before the copy, not after it
        steps = volume.steps_from_entries(back)
        staged = layout.staging / f"restore-{self.entry.id}"
        make_directory(staged)
        if commits or os.path.lexists(layout.commit_list(self.name)):
            volume.write(staged / "commits.json", as_document(commits))
            steps.append(volume.put_step(staged / "commits.json", layout.commit_list(self.name)))
            steps += volume.relisted_steps(commits)
        steps += [*self._undo(), self._tree(staged, commits)]
        if self._is_in_trash():
            steps.append(volume.garbage_step(self.entry.path, self.entry.path.name))
        return [*steps, Delete(volume.relative(staged))]

    def _tree(self, staged: Path, commits: Commits) -> Step:
        """The step that moves the tree into place: the tree in the entry, or a staged one."""
        kept, new = self.entry.path / "tree", staged / "tree"
        backend = self.volume.backend
        if self._is_in_trash() and is_directory(kept):
            new = kept
        elif not self._is_in_trash():
            frozen = staged / "frozen"
            flags = reconstruct(self.volume, self.entry.path, self.entry.note, frozen)
            with self.volume.like_tree(staged, self.entry.branch):
                backend.thaw(frozen, new, flags)
        elif commits:  # an entry of fsck: a list without a tree
            frozen = self._last(commits)
            with self.volume.like_tree(staged, self.entry.branch):
                backend.thaw(frozen, new, self.volume.flags(frozen))
        else:
            make_empty_tree(backend, new, self.volume.layout.pool.root)
        return self.volume.move_step(new, self.volume.layout.tree(self.name))

    def _last(self, commits: Commits) -> Path:
        """The frozen tree of the last commit, in the volume or in an entry."""
        require_sound(self.volume.layout, commits[-1].id)
        found = located(self.volume.layout, commits[-1:], f"branch '{self.name}'")
        return found.get(commits[-1].id, self.volume.layout.commit(commits[-1].id))

    def _undo(self) -> list[Step]:
        """The steps that restore the undo entries of the branch with it."""
        kept, new = self.entry.path / "undo", self.volume.layout.undo(self.name)
        if not is_directory(kept):
            return []
        make_directory(new.parent)
        return [self.volume.move_step(kept, new)]

    def _require_free(self) -> None:
        self.volume.require_free(self.name)
        undo = self.volume.layout.undo(self.name)
        if entries(undo) or undo.is_symlink():  # of a branch that was deleted without dvol
            raise PathOccupied(str(undo))

    def _is_in_trash(self) -> bool:
        return self.entry.path.parent == self.volume.layout.pool.trash
