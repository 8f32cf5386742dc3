"""Bringing back what was discarded: a volume, a branch, or the state of one (`restore`).

A volume returns as it is. A branch that was deleted returns with its own tree. A state that a reset
set aside becomes a new branch, whose tree is copied, so that its entry can still be undone. Commits
of the list return from wherever they lie.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol import names
from dvol.backends import Step
from dvol.engine.reset import rebuild
from dvol.errors import (
    AmbiguousEntry,
    BranchExists,
    EntryNotFound,
    HalfwayDiscarded,
    InTheWay,
    NameRequired,
    VolumeExists,
    VolumeGone,
)
from dvol.fs.directories import is_directory
from dvol.history.history import as_document
from dvol.history.revisions import Line
from dvol.layout import OWN
from dvol.model import Discarded, Restored
from dvol.pool.files import PoolFiles
from dvol.pool.volume import VolumeFiles
from dvol.trash.entries import entries
from dvol.trash.reachability import Entry, all_of, brought_back

_SHORTEST = 4  # digits of an id


def discarded(files: PoolFiles) -> list[Discarded]:
    """What there is, newest first."""
    facts = [entry.fact() for entry in all_of(files) if entry.note]
    facts.sort(key=lambda fact: fact.date)
    facts.reverse()  # of one second, the later first
    return facts


class Restoring:
    """Brings entries of one pool back."""

    def __init__(self, files: PoolFiles) -> None:
        self.files = files

    def restore(self, typed: str, name: str) -> Restored:
        with self.files.reading():
            entry = self._find(typed)
        if entry.is_volume:
            return self._volume(entry, name)
        return self._branch(entry, name)

    def _find(self, typed: str) -> Entry:
        wanted = typed.lower()
        found = [
            entry for entry in all_of(self.files) if entry.note and entry.id.startswith(wanted)
        ]
        if not found or len(wanted) < _SHORTEST:
            raise EntryNotFound(typed)
        if len(found) > 1:
            raise AmbiguousEntry(typed, ", ".join(sorted(entry.id for entry in found)))
        return found[0]

    def _volume(self, entry: Entry, name: str) -> Restored:
        if name or not names.is_component(entry.volume) or entry.volume in names.POOL_FILES:
            names.check_volume(name or entry.volume)
        name = name or entry.volume
        with self.files.changing_pool("restore"):
            if not is_directory(entry.path / "volume"):  # somebody was quicker
                raise EntryNotFound(entry.id)
            if self.files.exists(name):
                raise VolumeExists(name)
            journal = entry.path / "volume" / OWN / "journal.json"
            if name != entry.volume and os.path.lexists(journal):
                raise HalfwayDiscarded(entry.id, entry.volume)
            self.files.bring_back(entry.path, name)
        return Restored(name, "")

    def _branch(self, entry: Entry, name: str) -> Restored:
        if not self.files.exists(entry.volume):
            raise VolumeGone(entry.id, entry.volume)
        own = "" if entry.home else entry.branch  # that of a state is still there
        if not name and not own:
            raise NameRequired(entry.id)
        if name or not names.is_component(own):
            names.check_branch(name or own)
        name = name or own
        with self.files.changing(entry.volume, "restore") as files:
            if Entry(entry.path, entry.home).id != entry.id:  # somebody was quicker
                raise EntryNotFound(entry.id)
            if name in files.history:
                raise BranchExists(name)
            with files.durably():
                steps = BranchBack(files, entry, name).prepare()
            files.journal.run(steps)
        return Restored(entry.volume, name)


class BranchBack:
    """An entry that becomes the branch `name`. Whoever calls holds the volume's lock."""

    def __init__(self, files: VolumeFiles, entry: Entry, name: str) -> None:
        self.files = files
        self.entry = entry
        self.name = name

    def prepare(self) -> list[Step]:
        """Stage the branch. Its list comes before its tree, by which alone it exists."""
        files, layout, line = self.files, self.files.layout, self.entry.line
        self._require_free()
        what = f"branch '{self.name}'"
        steps = files.take_back(brought_back(layout, line, what))  # before the work, not after it
        staged = layout.staging / f"restore-{self.entry.id}"
        staged.mkdir(parents=True)
        if line or os.path.lexists(layout.line(self.name)):
            files.write(staged / "line.json", as_document(line))
            steps += files.put(staged / "line.json", layout.line(self.name))
        steps += [*self._undo(), self._tree(staged, line)]
        if self._is_in_trash():
            gone = layout.pool.doomed / self.entry.path.name
            steps.append(["move", files.at(self.entry.path), files.at(gone)])
        steps.append(["discard", files.at(staged)])
        files.journal.stage("restore", steps)
        return steps

    def _tree(self, staged: Path, line: Line) -> Step:
        """The step that puts the tree in its place: its own, or one that is staged."""
        kept, new = self.entry.path / "tree", staged / "tree"
        if self._is_in_trash() and is_directory(kept):
            new = kept
        elif not self._is_in_trash():
            rebuild(self.files, self.entry.path, self.entry.note, staged / "frozen")
            self.files.backend.restore(staged / "frozen", new)
        elif line:  # fsck found the list without a tree
            self.files.backend.restore(self._last(line), new)
        else:
            self.files.backend.create(new)
        return ["move", self.files.at(new), self.files.at(self.files.layout.tree(self.name))]

    def _last(self, line: Line) -> Path:
        """The frozen tree of the last commit, wherever it lies now."""
        found = brought_back(self.files.layout, line[-1:], f"branch '{self.name}'")
        return found.get(line[-1].id, self.files.layout.commit(line[-1].id))

    def _undo(self) -> list[Step]:
        """What was discarded of the branch before, goes with it."""
        kept, new = self.entry.path / "undo", self.files.layout.undo(self.name)
        if not is_directory(kept):
            return []
        new.parent.mkdir(exist_ok=True)
        return [["move", self.files.at(kept), self.files.at(new)]]

    def _require_free(self) -> None:
        self.files.require_free(self.name)
        undo = self.files.layout.undo(self.name)
        if entries(undo) or undo.is_symlink():  # of a branch that went away by other hands
            raise InTheWay(str(undo))

    def _is_in_trash(self) -> bool:
        return self.entry.path.parent == self.files.layout.pool.trash
