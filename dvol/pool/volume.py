"""One volume's files, and the steps that change them.

Each step is prepared in the volume's staging and made durable there, then taken: a commit by
one rename, everything else by a journal. Whoever calls holds the volume's lock, and makes
durable what is prepared. Putting a tree back is `resets`; names, gates and containers are the
pool's business.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from dvol.backends import Backend, Memory, Past, Step
from dvol.errors import BadDocument, Corrupt, InTheWay, TreeMissing
from dvol.fs.beneath import DIRECTORY
from dvol.fs.directories import is_directory
from dvol.fs.durable import (
    durably,
    read_json,
    replace_json,
    sync_directory,
    sync_filesystem,
    write_json,
)
from dvol.history.history import ID, History, as_document
from dvol.history.revisions import Line
from dvol.journal.journal import Journal
from dvol.journal.steps import putting
from dvol.layout import VolumeLayout
from dvol.model import Commit
from dvol.trash.entries import describe, new_entry

_AHEAD = "ahead"  # in the staging of a commit
_LITTLE = 0.03  # seconds of writing back that are no more worth another round
_ROUNDS = 5


class Quiet(NamedTuple):
    """How quiet a tree is: whether every writer has `ended`; whether to trust no memory of it all
    the same, and compare in `full`; and whether to `hurry`, since somebody waits."""

    ended: bool = False
    full: bool = False
    hurry: bool = False


_ASSUMED = Quiet()


class VolumeFiles:
    """The trees and documents of one volume."""

    def __init__(self, layout: VolumeLayout, backend: Backend) -> None:
        self.layout = layout
        self.backend = backend

    @property
    def history(self) -> History:
        """As it stands now."""
        return History(self.layout)

    @property
    def journal(self) -> Journal:
        layout = self.layout
        return Journal(layout.journal, layout.pool.root, layout.staging, self.backend)

    def recover(self, discard: Callable[[Path], None] | None = None) -> None:
        """Bring the volume to the state before or after a verb whose process died.

        A commit's staging is named by its id. If no list has that id, the commit never came
        to be, and its tree goes; while a list can't be read nothing is decided. `discard` is what
        becomes of what goes; it is deleted if none is given.
        """
        discard = discard or self.backend.delete
        self.journal.complete()
        for name in self.journal.staged():
            with suppress(Corrupt):
                if ID.fullmatch(name) and not self.history.names(name):
                    discard(self.layout.commit(name))
                    discard(self.layout.commit(name + ".links"))
                discard(self.layout.staging / name)

    def durably(self, *staged: Path) -> AbstractContextManager[None]:
        """What is staged within it is durable after it; all of it lies in `staged`, if that is
        said."""
        durable = self.backend.durable
        return nullcontext() if durable else durably(self.layout.root, *staged)

    def write_back(self) -> None:
        """Have written what others have, while that still holds up nobody."""
        fd = os.open(self.layout.root, DIRECTORY)
        try:
            sync_filesystem(fd)
        finally:
            os.close(fd)

    def write_back_the_rest(self) -> None:
        """Again and again while much has become dirty meanwhile, within reason."""
        for _ in range(_ROUNDS):
            began = time.monotonic()
            self.write_back()
            if time.monotonic() - began < _LITTLE:
                return

    def write(self, path: Path, document: Any) -> None:
        """Stage a document; to be called within `durably`."""
        write_json(path, document, durable=self.backend.durable)

    def describe(self, entry: Path, **facts: Any) -> None:
        """Stage the note of an entry of a trash; to be called within `durably`."""
        describe(entry, durable=self.backend.durable, **facts)

    def require_space(self, branch: str, line: Line) -> None:
        """Raise NoSpace if the next commit of a branch certainly does not fit."""
        self.backend.require_space(self.layout.tree(branch), self.past(branch, line))

    def work_ahead(self, branch: str, line: Line, commit: Commit) -> None:
        """Do what is possible of `freeze` while others may still write to the tree."""
        past = self.past(branch, line)._replace(ahead=self._stage(commit.id) / _AHEAD)
        self.backend.work_ahead(self.layout.tree(branch), past)

    def freeze(self, branch: str, line: Line, commit: Commit, quiet: Quiet) -> Memory | None:
        """Stage the next commit of a branch; needs the tree to be quiet meanwhile.

        The frozen tree is built where it will stay: no list names it yet.
        """
        staged = self._stage(commit.id)
        self.layout.commits.mkdir(exist_ok=True)
        past = self.past(branch, line, quiet)._replace(ahead=staged / _AHEAD)
        return self.backend.freeze(self.layout.tree(branch), self.layout.commit(commit.id), past)

    def stage_list(self, line: Line, commit: Commit) -> None:
        """Stage the list that has the frozen commit, once nobody waits for that any more."""
        staged = self.layout.staging / commit.id
        self.write(staged / "line.json", as_document((*line, commit)))

    def publish(self, branch: str, commit: Commit, memory: Memory | None) -> None:
        """Make a staged commit real; what was staged is durable already."""
        staged = self.layout.staging / commit.id
        os.rename(staged / "line.json", self.layout.line(branch))
        sync_directory(self.layout.branches)
        # from here on the commit exists
        with suppress(OSError):  # the next verb deletes it
            self.remember(branch, memory, self.layout.commit(commit.id))
            self.backend.delete(staged)

    def publishing(self, branch: str, commit: Commit) -> list[Step]:
        """Steps that make a staged commit real, for one that is made with others."""
        staged = self.layout.staging / commit.id
        put = self.put(staged / "line.json", self.layout.line(branch))
        return [*put, ["discard", self.at(staged)]]

    def past(self, branch: str, line: Line, quiet: Quiet = _ASSUMED) -> Past:
        """What is known of the live tree of a branch."""
        likely = self.layout.commit(line[-1].id) if line else None
        index = self.layout.index(branch)
        return Past(index, likely, quiet.full, quiet.ended, hurry=quiet.hurry)

    def remember(self, branch: str, memory: Memory | None, base: Path) -> None:
        """Keep what is known of a live tree. Only speed is lost where this fails, so nothing
        here is synced: after a power cut it proves nothing anyway."""
        if memory is None:
            return
        path, staged = self.layout.index(branch), self.layout.staging / "index"
        with suppress(OSError):  # or there was nothing worth saving
            path.parent.mkdir(exist_ok=True)
            memory.save(staged, base)
            os.rename(staged, path)

    def prepare_branch(self, name: str, line: Line) -> tuple[list[Step], Memory | None]:
        """Stage a new branch whose tree equals the last commit of `line`.

        Its list comes first, then its directory, by which alone a branch exists.
        """
        self.require_free(name)
        staged = self._stage(f"branch-{name}")
        memory = self.backend.restore(self.frozen(line), staged / "tree")
        self.write(staged / "line.json", as_document(line))
        self.write(staged / "current.json", {"current_branch": name})
        return [
            *self.put(staged / "line.json", self.layout.line(name)),
            ["move", self.at(staged / "tree"), self.at(self.layout.tree(name))],
            *self.put(staged / "current.json", self.layout.current),
            ["discard", self.at(staged)],
        ], memory

    def prepare_branch_deletion(self, name: str) -> list[Step]:
        """Describe a branch for the trash; the steps move it there."""
        history = self.history
        line, trash = history[name], self.layout.pool.trash
        entry = new_entry(self.layout.staging, trash)
        document = as_document(line)
        volume = self.layout.name
        self.describe(entry, verb="branch -d", volume=volume, branch=name, line=document)
        steps = [["move", self.at(self.layout.tree(name)), self.at(entry / "tree")]]
        if self.layout.line(name).exists():
            steps.append(["move", self.at(self.layout.line(name)), self.at(entry / "line.json")])
        if self.layout.undo(name).exists():
            steps.append(["move", self.at(self.layout.undo(name)), self.at(entry / "undo")])
        steps += self.drop(self.dropped(line, name, history), entry)
        return [*steps, ["move", self.at(entry), self.at(trash / entry.name)]]

    def point_at(self, branch: str) -> None:
        """Make a branch the current one: one rename."""
        replace_json(self.layout.current, {"current_branch": branch}, self.layout.staging)

    def created(self) -> str:
        """When the volume was made, RFC 3339 with a zone.

        Volumes of the original do not say: their oldest sign of life is their list of branches.
        """
        try:
            facts = read_json(self.layout.facts)
            moment = datetime.fromisoformat(facts["created"]).astimezone(UTC)
        except (FileNotFoundError, BadDocument, KeyError, TypeError, ValueError, OverflowError):
            moment = datetime.fromtimestamp(os.stat(self.layout.branches).st_mtime, UTC)
        return moment.isoformat(timespec="seconds")

    def frozen(self, line: Line) -> Path:
        """The frozen tree of the last commit of a history."""
        frozen = self.layout.commit(line[-1].id)
        if not is_directory(frozen):
            raise TreeMissing(str(frozen))
        return frozen

    def require_free(self, branch: str) -> None:
        """Raise InTheWay if something that is no branch stands where a new one would."""
        tree, line = self.layout.tree(branch), self.layout.line(branch)
        for path, is_in_the_way in ((tree, os.path.lexists(tree)), (line, line.is_dir())):
            if is_in_the_way or path.is_symlink():
                raise InTheWay(str(path))

    def put(self, staged: Path, live: Path) -> list[Step]:
        """Steps that replace a document by a staged one, or put it where none is."""
        return putting(self.layout.pool.root, staged, live)

    def dropped(self, commits: Line, branch: str, history: History) -> list[str]:
        """Those that no other branch has."""
        others = {one.id for name in history if name != branch for one in history[name]}
        return [one.id for one in commits if one.id not in others]

    def drop(self, commits: list[str], entry: Path) -> list[Step]:
        """Steps that move frozen trees to an entry of the trash."""
        return [
            ["move", self.at(self.layout.commit(id)), self.at(entry / "commits" / id)]
            for id in commits
        ]

    def take_back(self, places: dict[str, Path]) -> list[Step]:
        """Steps that move frozen trees back to the commits from where they lie."""
        return [
            ["move", self.at(place), self.at(self.layout.commit(id))]
            for id, place in places.items()
        ]

    def at(self, path: Path) -> str:
        """As the steps of a journal name it."""
        return str(path.relative_to(self.layout.pool.root))

    def relative(self, step: Step) -> Step:
        """A backend's step, whose texts are absolute paths, as the journal has it."""
        root = f"{self.layout.pool.root}/"
        return [
            step[0],
            *(one.removeprefix(root) if isinstance(one, str) else one for one in step[1:]),
        ]

    def _stage(self, name: str) -> Path:
        staged = self.layout.staging / name
        staged.mkdir(parents=True, exist_ok=True)
        return staged
