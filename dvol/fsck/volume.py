"""What is wrong with one volume: its lists against its trees, and its index against contents.

Each check yields what it found, and how to mend it where that loses nothing: what nobody misses
goes to the trash, what only saves work is deleted, and data is never. Looking changes nothing.
How it is mended is `repair`'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import NamedTuple

from dvol.backends.copy.in_place import require_changes
from dvol.errors import Corrupt, DvolError
from dvol.fs.directories import is_directory, names_in
from dvol.fs.documents import is_word
from dvol.fs.durable import read_json
from dvol.fsck import repair
from dvol.fsck.index import wrongly_vouched
from dvol.history.history import ID, History, commits_of
from dvol.history.revisions import Line
from dvol.layout import VolumeLayout
from dvol.model import Commit
from dvol.pool.suspended import noted
from dvol.pool.volume import VolumeFiles
from dvol.trash.reachability import Entry, base_of, brought_back, in_trash, in_volume

_KNOWN = {"current_branch.json", "branches", "commits", ".dvol", "running_point"}  # the Go original
_OWN = {"volume.json", "config.json", "journal.json", "ended.json", "staging", "index", "undo"}
_LINKS = ".links"
_DIFFERS = "; the index is gone: the next commit will keep the live one, a reset the committed"


class Problem(NamedTuple):
    """What was found, and what mends it, if that can be done without losing anything; `rest` is
    what stays wrong all the same."""

    text: str
    repair: Callable[[], None] | None = None
    rest: str = ""


def stranger(name: str, own: set[str]) -> Iterator[Problem]:
    """What to say of something in a `.dvol` that has its own, unless it is among that."""
    if name.startswith("lost-"):
        yield Problem(f".dvol/{name} holds what a verb had staged when it was disturbed")
    elif name not in own:
        yield Problem(f".dvol/{name} is nothing of dvol's")


class VolumeChecks:
    """The checks of a volume whose lock is held, and in which no verb is half done."""

    def __init__(self, files: VolumeFiles) -> None:
        self.files = files

    def run(self) -> Iterator[Problem]:
        """All of them. The leavings of dead verbs come first: they explain the rest."""
        yield from self._leavings()
        yield from self._ended()
        yield from self._branches()
        yield from self._lists()
        yield from self._commits()
        yield from self._indexes()
        yield from self._discarded()
        yield from self._strangers()

    def _leavings(self) -> Iterator[Problem]:
        for name in self._staged:
            text = f".dvol/staging/{name} was left by a dead verb"
            yield Problem(text, partial(repair.delete_leaving, self.files, name))

    def _ended(self) -> Iterator[Problem]:
        try:
            noted(self._layout)
        except Corrupt as error:
            text = f"{error}; look at 'docker ps -a' for containers that a verb had stopped"
            yield Problem(text, partial(self.files.backend.delete, self._layout.ended))

    def _branches(self) -> Iterator[Problem]:
        try:
            if self._history.current() not in self._history:
                yield Problem(f"the current branch '{self._history.current()}' is not there")
        except Corrupt as error:
            yield Problem(str(error))

    def _lists(self) -> Iterator[Problem]:
        for branch, line in self._lines.items():
            if isinstance(line, Corrupt):
                yield Problem(str(line))
            elif branch not in self._history:
                text = f"branches/{branch}.json is the list of a branch that has no tree"
                yield Problem(text, partial(repair.discard_list, self.files, branch, line))
            else:
                for commit in line:
                    yield from self._frozen(branch, commit)

    def _frozen(self, branch: str, commit: Commit) -> Iterator[Problem]:
        if not is_directory(self._layout.commit(commit.id)):
            yield Problem(f"the tree of commit {commit.id[:12]} of branch '{branch}' is missing")

    def _commits(self) -> Iterator[Problem]:
        """While a list can't be read, nobody knows which commits are missed."""
        for name in sorted(names_in(self._layout.commits)):
            path = self._layout.commit(name)
            id = name.removesuffix(_LINKS)
            if not ID.fullmatch(id) or (id == name and not is_directory(path)):
                yield Problem(f"commits/{name} is nothing of dvol's")
            elif id in self._staged:
                continue  # told already
            elif id != name:
                mend = partial(self.files.backend.delete, path)
                yield Problem(f"commits/{name} was left by a dead commit", mend)
            elif self._missed is not None and id not in self._missed:
                text = f"commit {id[:12]} is in no list of commits"
                yield Problem(text, partial(repair.discard_commit, self.files, id))

    def _indexes(self) -> Iterator[Problem]:
        for branch in sorted(names_in(self._layout.own / "index")):
            index, tree = self._layout.index(branch), self._layout.tree(branch)
            if branch in self._history and (wrong := wrongly_vouched(index, tree)) is not None:
                text = (
                    f"{wrong!r} of branch '{branch}' differs from its commit, though nobody has "
                    "changed it since: one of the two is damaged, or the index is wrong"
                )
                yield Problem(text, partial(os.unlink, index), _DIFFERS)

    def _discarded(self) -> Iterator[Problem]:
        for entry in in_volume(self._layout):
            try:
                self._require_whole(entry)
            except (DvolError, OSError) as error:
                where = entry.path.relative_to(self._layout.root)
                yield Problem(f"{where} can't be brought back: {error}")

    def _require_whole(self, entry: Entry) -> None:
        entry.own_needs()  # that it can be read
        base_of(self._layout, entry.path, entry.note)
        brought_back(self._layout, entry.line, "the state")
        changes = entry.note.get("changes")
        if isinstance(changes, dict):  # a whole tree was set aside
            os.lstat(entry.path / str(changes.get("tree")))
            return
        require_changes(changes, entry.path)
        for _, _, *names in changes or ():
            for name in filter(is_word, names):
                os.lstat(entry.path / "files" / name)

    def _strangers(self) -> Iterator[Problem]:
        layout, history = self._layout, self._history
        for name in sorted(names_in(layout.root)):
            if name not in _KNOWN:
                yield Problem(f"{name} is nothing of dvol's")
        for name in sorted(names_in(layout.own)):
            yield from stranger(name, _OWN)
        for name in sorted(names_in(layout.branches)):
            if name not in history and name.removesuffix(".json") not in self._lines:
                yield Problem(f"branches/{name} is nothing of dvol's")

    # -- what is looked at ---------------------------------------------------------------------

    @cached_property
    def _layout(self) -> VolumeLayout:
        return self.files.layout

    @cached_property
    def _history(self) -> History:
        return self.files.history

    @cached_property
    def _staged(self) -> list[str]:
        return self.files.journal.staged()

    @cached_property
    def _lines(self) -> dict[str, Line | Corrupt]:
        """Every list that is there, also one of a branch that is not, or why it can't be read."""
        found: dict[str, Line | Corrupt] = {}
        for name in sorted(names_in(self._layout.branches)):
            path = self._layout.branches / name
            if name.endswith(".json") and not is_directory(path):
                try:
                    found[name.removesuffix(".json")] = commits_of(read_json(path), path)
                except Corrupt as error:
                    found[name.removesuffix(".json")] = error
        return found

    @cached_property
    def _missed(self) -> set[str] | None:
        """The commits that a list names, or something that was discarded needs; None if that
        is not known."""
        missed: set[str] = set()
        for line in self._lines.values():
            if isinstance(line, Corrupt):
                return None
            missed |= {commit.id for commit in line}
        try:
            for entry in [*in_volume(self._layout), *in_trash(self._layout.pool)]:
                missed |= entry.needs()
        except (Corrupt, OSError):
            return None
        return missed
