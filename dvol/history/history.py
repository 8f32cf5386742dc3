"""One volume's history as it is on disk: its branches and their lists of commits, its tags, and
the commits that were dropped from lists. Reading only.

Reading takes no lock, since every document is replaced whole: a verb stages a new one and renames
it into place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING

from dvol.errors import BadDocument, BranchNotFound, RevisionNotFound, TreeMissing
from dvol.fs.directories import is_directory, names_in
from dvol.fs.documents import read_json
from dvol.history.commits import ID, commits_of, head_of, moment
from dvol.history.revisions import HEADS, resolve
from dvol.layout import DEFAULT_BRANCH, VolumeLayout
from dvol.model import Commit, Commits, ReflogEntry
from dvol.names import is_component

if TYPE_CHECKING:
    from dvol.errors import Corrupt
    from dvol.history.dropped import Dropped


class History(Mapping[str, Commits]):
    """A volume's commits by branch. Each list is read once, when it is first used.

    A branch exists if and only if its tree does; a missing list means no commits.
    """

    def __init__(self, layout: VolumeLayout) -> None:
        self.layout = layout
        self._list = cache(self._read)

    def __getitem__(self, branch: str) -> Commits:
        if branch not in self:
            raise BranchNotFound(branch)
        return self._list(branch)

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
        """The current branch, whose tree Docker mounts."""
        path = self.layout.current
        try:
            document = read_json(path)
        except FileNotFoundError:
            return DEFAULT_BRANCH
        branch = document.get("current_branch") if isinstance(document, dict) else None
        if not isinstance(branch, str) or not is_component(branch):
            raise BadDocument(str(path), "it names no branch")
        return branch

    def head(self) -> tuple[str, Commits]:
        """The current branch and its commits."""
        branch = self.current()
        if branch not in self:
            raise TreeMissing(str(self.layout.tree(branch)))
        return branch, self._list(branch)

    def resolve(self, revision: str) -> Commits:
        """The history that ends with the commit that `revision` means, see `revisions`."""
        try:
            return resolve(revision, self.head()[0], self, self)
        except RevisionNotFound:  # a verb may have moved it between lists and records meanwhile
            now = History(self.layout)
            return resolve(revision, now.head()[0], now, now)

    # -- tags and dropped commits, see `revisions.Unlisted` --------------------------------------

    @cached_property
    def tags(self) -> dict[str, str]:
        """The id of the commit that each tag names. Raises BadDocument."""
        from dvol.history import tags  # late: most commands need no tag

        return tags.read(self.layout)

    @property
    def dropped(self) -> dict[str, Dropped]:
        """The newest record of each commit that was dropped from a list, by id; its tree may be
        deleted by now, and it may be listed again. Documents that can't be read are left out."""
        return self._records[0]

    @property
    def unreadable(self) -> list[Corrupt]:
        """What is wrong with the records of dropped commits that can't be read."""
        return self._records[1]

    @cached_property
    def _records(self) -> tuple[dict[str, Dropped], list[Corrupt]]:
        from dvol.history.dropped import read_all  # late: most commands need none

        return read_all(self.layout)

    def tagged(self, name: str) -> str:
        return self.tags.get(name, "")

    def frozen_ids(self, prefix: str) -> set[str]:
        names = names_in(self.layout.commits)
        return {name for name in names if name.startswith(prefix) and ID.fullmatch(name)}

    def line(self, id: str) -> Commits:
        """A commit that is in a list has the history in that list, the current branch's first; a
        dropped one has that of the commit before it, as far as that still exists."""
        after: list[Commit] = []
        seen = set()
        while id and id not in seen:
            seen.add(id)
            if id in self.listed_ids and (listed := self._line_in_lists(id)):
                return (*listed, *reversed(after))
            dropped = self.dropped.get(id)
            if dropped is None:
                break
            if is_directory(self.layout.commit(id)):
                after.append(dropped.commit)
            elif not after:
                break  # the commit itself is gone
            id = dropped.before
        return tuple(reversed(after))

    def reflog(self, branch: str) -> Iterator[ReflogEntry]:
        """Where a branch pointed, also a deleted one, or HEAD: newest first, see `reflog`."""
        from dvol.history import reflog  # late: most commands need none

        if branch in HEADS:
            return reflog.entries(self.layout, "", head_of(self.head()[1]))
        head_now = head_of(self[branch]) if branch in self else ""
        return reflog.entries(self.layout, branch, head_now)

    def _line_in_lists(self, id: str) -> Commits:
        current = self.current()
        for branch in sorted(self, key=lambda name: (name != current, name)):
            for place, commit in enumerate(self[branch]):
                if commit.id == id:
                    return self[branch][: place + 1]
        return ()

    def all_commits(self) -> Iterator[Commit]:
        """The commits of every branch, those of the current branch last."""
        current = self.current()
        for branch in sorted(self, key=lambda name: name == current):
            yield from self[branch]

    @cached_property
    def listed_ids(self) -> set[str]:
        """The ids of the commits of every branch."""
        return {commit.id for branch in self for commit in self[branch]}

    def still_dropped(self) -> list[Dropped]:
        """The dropped commits that no branch has again, and that gc has not deleted."""
        gone = [one for id, one in self.dropped.items() if id not in self.listed_ids]
        return [one for one in gone if is_directory(self.layout.commit(one.commit.id))]

    def dropped_commits(self) -> list[Commit]:
        existing = [one.commit for one in self.still_dropped()]
        existing.sort(key=lambda one: moment(one.date))
        return existing[::-1]

    def known(self) -> Iterator[Commit]:
        """Every commit that exists: those that were dropped from all lists, then `all_commits`."""
        listed = list(self.all_commits())
        yield from reversed(self.dropped_commits())
        yield from listed

    def listed(self) -> Iterator[Commit]:
        """The commits of every list, also of the list of a branch that has no tree."""
        for name in self._names():
            if name.endswith(".json") and not self._is_branch(name):
                yield from self._list(name.removesuffix(".json"))

    def _is_branch(self, name: str) -> bool:
        """Whether a name that ends in ".json" is a branch of the original dvol's, and no list of a
        branch that is there."""
        return name in self and name.removesuffix(".json") not in self

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.layout.branches)
        except FileNotFoundError:
            raise TreeMissing(str(self.layout.branches)) from None

    def _read(self, branch: str) -> Commits:
        path = self.layout.commit_list(branch)
        try:
            document = read_json(path)
        except FileNotFoundError:
            return ()
        return commits_of(document, path)
