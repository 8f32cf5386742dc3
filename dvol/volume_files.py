"""One volume's files, and the steps that change them.

Each step is prepared in the volume's staging and made durable there, then taken: a commit by
one rename, everything else by a journal. Whoever calls holds the volume's lock. Names, gates
and containers are the pool's business.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dvol.atomic import (
    durably,
    read_json,
    replace_json,
    sync_directory,
    write_json,
)
from dvol.backends import Backend
from dvol.errors import BadDocument, Corrupt, InTheWay, TreeMissing
from dvol.history import ID, History, as_document, is_directory
from dvol.journal import Journal, Step
from dvol.layout import VolumeLayout
from dvol.model import Commit
from dvol.revisions import Line
from dvol.trash import new_entry


@dataclass(frozen=True)
class VolumeFiles:
    """The trees and documents of one volume."""

    layout: VolumeLayout
    backend: Backend

    @property
    def history(self) -> History:
        """As it stands now."""
        return History(self.layout)

    @property
    def journal(self) -> Journal:
        layout = self.layout
        return Journal(layout.journal, layout.pool.root, layout.staging, self.backend.delete)

    def recover(self) -> None:
        """Bring the volume to the state before or after a verb whose process died.

        A commit's staging is named by its id. If no list has that id, the commit never came
        to be, and its tree goes; while a list can't be read nothing is decided.
        """
        self.journal.complete()
        for name in self.journal.staged():
            with suppress(Corrupt):
                if ID.fullmatch(name) and not self.history.names(name):
                    self.backend.delete(self.layout.commit(name))
                self.backend.delete(self.layout.staging / name)

    def durably(self) -> AbstractContextManager[None]:
        """What is staged within it is durable after it."""
        return durably(self.layout.root)

    def freeze(self, branch: str, line: Line, commit: Commit) -> None:
        """Stage the next commit of a branch; needs the tree to be quiet meanwhile."""
        staged = self._stage(commit.id)
        self.backend.freeze(self.layout.tree(branch), staged / "tree")
        write_json(staged / "line.json", as_document((*line, commit)))

    def publish(self, branch: str, commit: Commit) -> None:
        """Make a staged commit real; what was staged is durable already."""
        staged = self.layout.staging / commit.id
        self.layout.commits.mkdir(exist_ok=True)
        os.rename(staged / "tree", self.layout.commit(commit.id))
        sync_directory(self.layout.commits)
        os.rename(staged / "line.json", self.layout.line(branch))
        sync_directory(self.layout.branches)
        # from here on the commit exists
        with suppress(OSError):  # the next verb deletes it
            self.backend.delete(staged)

    def prepare_reset(self, branch: str, line: Line) -> list[Step]:
        """Stage a tree equal to the last commit of `line`; the steps put it in place."""
        history = self.history
        old = history[branch]
        entry = new_entry(
            self.layout.staging,
            self.layout.pool.trash,
            verb="reset",
            volume=self.layout.name,
            branch=branch,
            to=line[-1].id,
            line=as_document(old),
        )
        with self.durably():
            new = self._restore(line[-1], entry / "tree")
            write_json(entry / "line.json", as_document(line))
        kept = {commit.id for commit in line}
        dropped = self._dropped([one for one in old if one.id not in kept], branch, history)
        tree = self._at(self.layout.tree(branch))
        inodes = (new.st_ino, os.lstat(self.layout.tree(branch)).st_ino)
        return [
            ["exchange", self._at(entry / "tree"), tree, *inodes],
            ["times", tree, new.st_atime_ns, new.st_mtime_ns],
            ["move", self._at(entry / "line.json"), self._at(self.layout.line(branch))],
            *self._discard(dropped, entry),
        ]

    def prepare_branch(self, name: str, line: Line) -> list[Step]:
        """Stage a new branch whose tree equals the last commit of `line`.

        Its list comes first, then its directory, by which alone a branch exists.
        """
        tree, line_file = self.layout.tree(name), self.layout.line(name)
        for path, is_in_the_way in ((tree, tree.exists()), (line_file, line_file.is_dir())):
            if is_in_the_way or path.is_symlink():
                raise InTheWay(str(path))
        staged = self._stage(f"branch-{name}")
        with self.durably():
            self._restore(line[-1], staged / "tree")
            write_json(staged / "line.json", as_document(line))
            write_json(staged / "current.json", {"current_branch": name})
        return [
            ["move", self._at(staged / "line.json"), self._at(self.layout.line(name))],
            ["move", self._at(staged / "tree"), self._at(self.layout.tree(name))],
            ["move", self._at(staged / "current.json"), self._at(self.layout.current)],
            ["discard", self._at(staged)],
        ]

    def prepare_branch_deletion(self, name: str) -> list[Step]:
        """Describe a branch for the trash; the steps move it there."""
        history = self.history
        entry = new_entry(
            self.layout.staging,
            self.layout.pool.trash,
            verb="branch -d",
            volume=self.layout.name,
            branch=name,
            line=as_document(history[name]),
        )
        return [
            ["move", self._at(self.layout.tree(name)), self._at(entry / "tree")],
            ["move", self._at(self.layout.line(name)), self._at(entry / "line.json")],
            *self._discard(self._dropped(history[name], name, history), entry),
        ]

    def point_at(self, branch: str) -> None:
        """Make a branch the current one: one rename."""
        replace_json(self.layout.current, {"current_branch": branch}, self.layout.staging)

    def created(self) -> str:
        """When the volume was made, RFC 3339 with a zone.

        Volumes of the original do not say: their oldest sign of life is their list of branches.
        """
        try:
            facts = read_json(self.layout.facts)
            moment = datetime.fromisoformat(facts["created"])
        except (FileNotFoundError, BadDocument, KeyError, TypeError, ValueError):
            moment = datetime.fromtimestamp(os.stat(self.layout.branches).st_mtime, UTC)
        return moment.astimezone(UTC).isoformat(timespec="seconds")

    def _stage(self, name: str) -> Path:
        staged = self.layout.staging / name
        staged.mkdir(parents=True)
        return staged

    def _restore(self, commit: Commit, into: Path) -> os.stat_result:
        """Returns the new tree's status: by its inode recovery knows it."""
        frozen = self.layout.commit(commit.id)
        if not is_directory(frozen):
            raise TreeMissing(str(frozen))
        self.backend.restore(frozen, into)
        return os.lstat(into)

    def _dropped(self, commits: list[Commit] | Line, branch: str, history: History) -> list[str]:
        """Those that no other branch has."""
        others = {one.id for name in history if name != branch for one in history[name]}
        return [one.id for one in commits if one.id not in others]

    def _discard(self, commits: list[str], entry: Path) -> list[Step]:
        """Steps that add frozen trees to an entry and move it to the trash."""
        moves = [
            ["move", self._at(self.layout.commit(id)), self._at(entry / "commits" / id)]
            for id in commits
        ]
        return [*moves, ["move", self._at(entry), self._at(self.layout.pool.trash / entry.name)]]

    def _at(self, path: Path) -> str:
        return str(path.relative_to(self.layout.pool.root))
