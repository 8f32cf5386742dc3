"""One volume's history as it stands on disk: its branches and their lists of commits.

Reading takes no lock, since every document is replaced whole. Writing is a staged document
that a verb renames into place; the verbs are in `pool`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dvol.errors import BadDocument, BranchNotFound, TreeMissing
from dvol.fs.directories import is_directory
from dvol.fs.durable import read_json
from dvol.history.revisions import Line, resolve
from dvol.layout import DEFAULT_BRANCH, VolumeLayout
from dvol.model import Commit
from dvol.names import is_component

ID = re.compile(r"[0-9a-f]{40}")


class History(Mapping[str, Line]):
    """A volume's commits by branch, each list read when it is asked for, and once.

    A branch exists if and only if its tree does; a missing list means no commits.
    """

    def __init__(self, layout: VolumeLayout) -> None:
        self.layout = layout
        self._line = cache(self._read_line)

    def __getitem__(self, branch: str) -> Line:
        if branch not in self:
            raise BranchNotFound(branch)
        return self._line(branch)

    def __contains__(self, branch: object) -> bool:
        return (
            isinstance(branch, str)
            and is_component(branch)
            and is_directory(self.layout.tree(branch))
        )

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(filter(self.__contains__, self._names())))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def current(self) -> str:
        """The branch that HEAD is on and Docker mounts."""
        path = self.layout.current
        try:
            document = read_json(path)
        except FileNotFoundError:
            return DEFAULT_BRANCH
        branch = document.get("current_branch") if isinstance(document, dict) else None
        if not isinstance(branch, str) or not is_component(branch):
            raise BadDocument(str(path), "it names no branch")
        return branch

    def current_line(self) -> tuple[str, Line]:
        """The current branch and its commits."""
        branch = self.current()
        if branch not in self:
            raise TreeMissing(str(self.layout.tree(branch)))
        return branch, self._line(branch)

    def resolve(self, revision: str) -> Line:
        """The history that ends with the commit `revision` means."""
        branch, _ = self.current_line()
        return resolve(revision, branch, self)

    def all_commits(self) -> Iterator[Commit]:
        """Those of every branch, of the current one last."""
        current = self.current()
        for branch in sorted(self, key=lambda name: name == current):
            yield from self[branch]

    def names(self, commit_id: str) -> bool:
        """Whether any list has the commit, also one whose branch has lost its tree."""
        lists = [name.removesuffix(".json") for name in self._names() if name.endswith(".json")]
        return any(commit.id == commit_id for name in lists for commit in self._line(name))

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.layout.branches)
        except FileNotFoundError:
            raise TreeMissing(str(self.layout.branches)) from None

    def _read_line(self, branch: str) -> Line:
        path = self.layout.line(branch)
        try:
            document = read_json(path)
        except FileNotFoundError:
            return ()
        return commits_of(document, path)


def commits_of(document: Any, path: Path) -> Line:
    """The commits that a list read from `path` names."""
    if not isinstance(document, list):
        raise BadDocument(str(path), "not a list of commits")
    return tuple(_commit(item, path) for item in document)


def as_document(line: Line) -> list[dict[str, str]]:
    """What the list of a branch holds on disk: the original's two fields, and those of
    ours that say something."""
    return [
        {key: value for key, value in commit._asdict().items() if value or key in ("id", "message")}
        for commit in line
    ]


def _commit(item: Any, path: Path) -> Commit:
    """An id becomes a path component, so nothing but 40 hex digits passes."""
    id = item.get("id") if isinstance(item, dict) else None
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise BadDocument(str(path), "an entry has no commit id")
    fields = [item.get(name) or "" for name in Commit._fields]
    if not all(isinstance(value, str) for value in fields):
        raise BadDocument(str(path), f"commit {item['id'][:12]} has a field that is no text")
    return Commit(*fields)
