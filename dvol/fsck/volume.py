"""The checks of one volume: its lists against its frozen trees, its indexes against its live trees.

Each check yields the problems it found, and for a problem that can be repaired without losing data
the repair: commits that nothing tells of are recorded as dropped, a wrong index is deleted. Checks
change nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property, partial

from dvol.backends.copy.reconstruct import require_changes
from dvol.errors import Corrupt, DvolError
from dvol.fs.directories import is_directory, names_in
from dvol.fs.documents import is_word, read_json
from dvol.fsck import repair
from dvol.fsck.damage import DamageChecks, Labels
from dvol.fsck.index import wrong_entry
from dvol.fsck.problem import Problem
from dvol.history.commits import ID, commits_of
from dvol.history.history import History
from dvol.journal.journal import Journal
from dvol.layout import VolumeLayout
from dvol.model import Commit, Commits
from dvol.pool import suspended
from dvol.pool.volume import VolumeDir
from dvol.trash.entry import Entry, in_volume
from dvol.trash.reachability import base_of, located, needed

_KNOWN = {"current_branch.json", "branches", "commits", ".dvol", "running_point"}  # the Go original
_OWN = {"volume.json", "config.json", "journal.json", "suspended.json"}
_OWN |= {"staging", "index", "undo", "dropped", "tags.json", "expired.json", "reflog"}
_OWN |= {"summaries", "digests", "damaged.json"}
_FORMAT_1 = {"ended.json"}
_LINKS = ".links"
_DIFFERS = "; the index was deleted: the next commit keeps the live file, a reset the committed one"


def stranger(name: str, own: set[str]) -> Iterator[Problem]:
    """The problem with a file in a `.dvol` directory whose name is not in `own`."""
    if name.startswith("lost-"):
        yield Problem(f".dvol/{name} holds files of a command that failed and can't be reverted")
    elif name not in own:
        yield Problem(f".dvol/{name} is no file of dvol's")


class VolumeChecks:
    """The checks of a volume whose lock is held, and whose journal is completed."""

    def __init__(self, volume: VolumeDir, pool_journal: Journal, data: bool) -> None:
        self.volume = volume
        self.pool_journal = pool_journal
        self.data = data

    def run(self) -> Iterator[Problem]:
        """All checks. Files that dead verbs have staged come first: they explain other problems."""
        yield from self._staged_files()
        yield from self._suspended()
        yield from self._branches()
        yield from self._lists()
        yield from self._commits()
        yield from self.damage.run()
        yield from self._indexes()
        yield from self._entries()
        yield from self._dropped()
        yield from self._tags()
        yield from self._strangers()

    def _staged_files(self) -> Iterator[Problem]:
        for name in self._staged:
            text = f".dvol/staging/{name} was left by a command that died"
            delete = partial(repair.delete_staged, self.volume, self.pool_journal, name)
            yield Problem(text, delete, state="leftover")

    def _suspended(self) -> Iterator[Problem]:
        for path in self._layout.suspended_files:
            try:
                suspended.read(path)
            except Corrupt as error:
                stopped = "'docker ps -a' shows containers that a command may have left stopped"
                yield Problem(f"{error}; {stopped}", partial(self.volume.backend.delete, path))

    def _branches(self) -> Iterator[Problem]:
        try:
            if self._history.current() not in self._history:
                yield Problem(f"the current branch '{self._history.current()}' does not exist")
        except Corrupt as error:
            yield Problem(str(error))

    def _lists(self) -> Iterator[Problem]:
        for branch, commits in self._lists_read.items():
            if isinstance(commits, Corrupt):
                yield Problem(str(commits))
            elif branch not in self._history:
                text = f"branches/{branch}.json is the list of a branch that has no tree"
                yield Problem(text, partial(repair.trash_list, self.volume, branch, commits))
            else:
                for commit in commits:
                    yield from self._frozen(branch, commit)

    def _frozen(self, branch: str, commit: Commit) -> Iterator[Problem]:
        if not is_directory(self._layout.commit(commit.id)):
            yield Problem(f"the tree of commit {commit.id[:12]} of branch '{branch}' is missing")

    def _commits(self) -> Iterator[Problem]:
        """Commits that nothing needs are not reported while a list can't be read: it may have
        them."""
        for name in sorted(names_in(self._layout.commits)):
            path = self._layout.commit(name)
            id = name.removesuffix(_LINKS)
            if not ID.fullmatch(id) or (id == name and not is_directory(path)):
                yield Problem(f"commits/{name} is no file of dvol's")
            elif id in self._staged:
                continue  # `_staged_files` has reported it
            elif id != name:
                delete = partial(self.volume.backend.delete, path)
                text = f"commits/{name} was left by a commit that died"
                yield Problem(text, delete, state="leftover")
            elif self._needed is not None and id not in self._needed:
                text = f"commit {id[:12]} is in no list of commits"
                yield Problem(text, partial(repair.record_dropped, self.volume, id))

    def _indexes(self) -> Iterator[Problem]:
        for branch in sorted(names_in(self._layout.own / "index")):
            index, tree = self._layout.index(branch), self._layout.tree(branch)
            if branch in self._history and (wrong := wrong_entry(index, tree)) is not None:
                text = (
                    f"{wrong!r} of branch '{branch}' differs from its commit, but the index says "
                    "that it is unchanged: one of the two is damaged, or the index is wrong"
                )
                yield Problem(text, partial(os.unlink, index), _DIFFERS)

    def _entries(self) -> Iterator[Problem]:
        for entry in in_volume(self._layout):
            try:
                self._require_whole(entry)
            except (DvolError, OSError) as error:
                where = entry.path.relative_to(self._layout.root)
                yield Problem(f"{where} can't be restored: {error}")

    def _require_whole(self, entry: Entry) -> None:
        entry.own_needs()  # raises if the note can't be read
        base_of(self._layout, entry.path, entry.note)
        located(self._layout, entry.commits, "the state")
        changes = entry.note.get("changes")
        if isinstance(changes, dict):  # a whole tree was set aside
            os.lstat(entry.path / str(changes.get("tree")))
            return
        require_changes(changes, entry.path)
        for _, _, *names in changes or ():
            for name in filter(is_word, names):
                os.lstat(entry.path / "files" / name)

    def _dropped(self) -> Iterator[Problem]:
        yield from (Problem(str(error)) for error in self._history.unreadable)
        for id, one in self._history.dropped.items():
            if not is_directory(self._layout.commit(id)):
                text = (
                    f"the tree of commit {id[:12]}, dropped from branch '{one.branch}', is missing"
                )
                yield Problem(text)

    def _tags(self) -> Iterator[Problem]:
        try:
            for tag, id in self._history.tags.items():
                if not self._history.line(id):
                    yield Problem(f"the commit {id[:12]} of the tag '{tag}' is missing")
        except Corrupt as error:
            yield Problem(str(error))

    def _strangers(self) -> Iterator[Problem]:
        layout, history = self._layout, self._history
        for name in sorted(names_in(layout.root)):
            if name not in _KNOWN:
                yield Problem(f"{name} is no file of dvol's")
        for name in sorted(names_in(layout.own)):
            yield from stranger(name, _OWN | _FORMAT_1)
        for name in sorted(names_in(layout.branches)):
            if name not in history and name.removesuffix(".json") not in self._lists_read:
                yield Problem(f"branches/{name} is no file of dvol's")

    # -- what is checked -----------------------------------------------------------------------

    @cached_property
    def damage(self) -> DamageChecks:
        return DamageChecks(self.volume, Labels(self._lists_read), self._staged, self.data)

    @cached_property
    def _layout(self) -> VolumeLayout:
        return self.volume.layout

    @cached_property
    def _history(self) -> History:
        return self.volume.history

    @cached_property
    def _staged(self) -> list[str]:
        return self.volume.journal.staged()

    @cached_property
    def _lists_read(self) -> dict[str, Commits | Corrupt]:
        """Every list by its branch, also of a branch that has no tree; for a list that can't be
        read, the error."""
        found: dict[str, Commits | Corrupt] = {}
        for name in sorted(names_in(self._layout.branches)):
            path = self._layout.branches / name
            if name.endswith(".json") and not is_directory(path):
                try:
                    found[name.removesuffix(".json")] = commits_of(read_json(path), path)
                except Corrupt as error:
                    found[name.removesuffix(".json")] = error
        return found

    @cached_property
    def _needed(self) -> set[str] | None:
        """The ids of the commits that a list, an entry or a journal needs; None if one of these
        can't be read."""
        try:
            return needed(self._history, [self.volume.journal, self.pool_journal])
        except (Corrupt, OSError):
            return None
