"""Bringing a branch, or the state of one, back from what was discarded.

A branch that was deleted returns with its own tree. A state that a reset set aside becomes a new
branch, whose tree is copied, so that its entry can still be undone. Commits of the list return
from wherever they lie. Planned here only: the steps are a journal's.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol.backends import Step
from dvol.discarded import Entry, brought_back
from dvol.errors import InTheWay
from dvol.history import as_document, is_directory
from dvol.resets import Resets
from dvol.revisions import Line
from dvol.trash import entries
from dvol.volume_files import Quiet, VolumeFiles


class Revival:
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
            Resets(self.files, self.entry.branch, Quiet()).rebuild(
                self.entry.path, self.entry.note, staged / "frozen"
            )
            self.files.backend.restore(staged / "frozen", new)
        elif line:
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
