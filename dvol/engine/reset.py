"""Putting a branch back: to a commit (reset), or to what a reset or an undo has discarded (undo).

Both set aside what they discard, in the volume's own trash, and both are one replacement of the
live tree by a frozen one; they differ in where the frozen tree comes from.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from dvol.backends import Replacement, Step
from dvol.errors import NothingToUndo
from dvol.fs.directories import is_directory
from dvol.history.history import as_document, commits_of
from dvol.history.revisions import Line
from dvol.pool.volume import Quiet, VolumeFiles
from dvol.trash.entries import described, entries, new_entry, next_number
from dvol.trash.reachability import base_of, brought_back
from dvol.tree.usage import affordable

KEPT = 10  # discarded states of a branch that can be brought back


class Plan(NamedTuple):
    """A reset or undo that is staged, but for its journal, and for being durable."""

    steps: list[Step]
    replacement: Replacement
    base: Path  # where the frozen tree lies once the steps are taken
    line: Line


class Resets:
    """Resets of one branch. Nobody may write to its tree from `prepare` to `remember`."""

    def __init__(self, files: VolumeFiles, branch: str) -> None:
        self.files = files
        self.branch = branch

    @property
    def volume(self) -> str:
        return self.files.layout.name

    def require_possible(self, line: Line) -> None:
        """Raise now what `prepare` would, as far as that can be told while others write."""
        files, tree = self.files, self.files.layout.tree(self.branch)
        past = files.past(self.branch, files.history[self.branch])
        files.backend.require_space_to_replace(files.frozen(line), tree, past)

    def require_undo(self) -> None:
        """Raise now what `prepare_undo` would, as far as that can be told."""
        undone, note = self._undone()
        self.files.backend.require_space_to_rebuild(undone)
        self._brought_back(commits_of(note.get("line"), undone / "entry.json"))

    def prepare(self, line: Line, quiet: Quiet) -> Plan:
        """Stage the way to the last commit of `line`, which becomes the branch's list."""
        return self._plan("reset", self._new_entry(), self.files.frozen(line), line, quiet)

    def prepare_undo(self, quiet: Quiet) -> Plan:
        """Stage the way back to the state that was discarded last."""
        undone, note = self._undone()
        entry = self._new_entry()
        rebuild(self.files, undone, note, entry / "base")
        line = commits_of(note.get("line"), undone / "entry.json")
        plan = self._plan("undo", entry, entry / "base", line, quiet, self._brought_back(line))
        gone = self.files.layout.pool.doomed / f"{entry.name}-undone"
        last = ["move", self.files.at(undone), self.files.at(gone)]
        return plan._replace(steps=[*plan.steps, last])

    def remember(self, plan: Plan) -> None:
        """Once its steps are taken; also where nothing had to change, since what was compared
        need not be again."""
        with suppress(OSError):  # it has happened, and only speed is lost
            memory = plan.replacement.remember()
            if is_directory(plan.base):  # not if an undo had nothing to change
                self.files.remember(self.branch, memory, plan.base)

    def old_entries(self) -> list[Path]:
        """Those that are more than are kept: ten, or as many as a full disk can afford, so that a
        reset before each test does not fill it."""
        found = entries(self.files.layout.undo(self.branch))
        if len(found) < 2:
            return []
        return found[: -min(KEPT, affordable(found[::-1]))]

    def _undone(self) -> tuple[Path, dict[str, Any]]:
        """What was discarded last, and its note."""
        found = entries(self.files.layout.undo(self.branch))
        if not found:
            raise NothingToUndo(self.branch)
        return found[-1], described(found[-1])

    def _plan(
        self,
        verb: str,
        entry: Path,
        frozen: Path,
        line: Line,
        quiet: Quiet,
        before: list[Step] | None = None,
    ) -> Plan:
        files, layout = self.files, self.files.layout
        history = files.history
        old = history[self.branch]
        past = files.past(self.branch, old, quiet)
        replacement = files.backend.replace(frozen, layout.tree(self.branch), entry, past)
        target = layout.undo(self.branch) / next_number(layout.undo(self.branch))
        base = target / "base" if frozen == entry / "base" else frozen
        if not replacement.steps and line == old:
            files.backend.delete(entry)
            return Plan([], replacement, base, line)
        self._describe(verb, entry, base, replacement, old)
        steps = [files.relative(step) for step in replacement.steps] + (before or [])
        if line != old:
            kept = {commit.id for commit in line}
            gone = tuple(one for one in old if one.id not in kept)
            files.write(entry / "line.json", as_document(line))
            steps += files.put(entry / "line.json", layout.line(self.branch))
            steps += files.drop(files.dropped(gone, self.branch, history), entry)
        steps.append(["move", files.at(entry), files.at(target)])
        return Plan(steps, replacement, base, line)

    def _describe(
        self, verb: str, entry: Path, base: Path, replacement: Replacement, old: Line
    ) -> None:
        self.files.describe(
            entry,
            verb=verb,
            volume=self.files.layout.name,
            branch=self.branch,
            base=self.files.at(base),
            changes=replacement.changes,
            line=as_document(old),
        )

    def _brought_back(self, line: Line) -> list[Step]:
        """Steps that bring back what was dropped of a list since, by whichever verb."""
        what = f"the state of branch '{self.branch}'"
        return self.files.take_back(brought_back(self.files.layout, line, what))

    def _new_entry(self) -> Path:
        return new_entry(self.files.layout.staging, self.files.layout.undo(self.branch))


def rebuild(files: VolumeFiles, entry: Path, note: dict[str, Any], into: Path) -> None:
    """Make a frozen tree equal to the one that an entry of `files` tells of in its note."""
    base = base_of(files.layout, entry, note)
    files.backend.rebuild(entry, note.get("changes"), base, into)
