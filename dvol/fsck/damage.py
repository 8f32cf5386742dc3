"""The checks of every frozen tree of a volume against its summary: whether a file is missing, was
added, or was changed. No content is read; that is done in `contents`.

With `repair` a damaged commit is marked, so that nothing is made from it and its damage does not
spread; the mark is removed once the commit is found sound.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from dvol.errors import BadDocument, Corrupt
from dvol.fs.directories import is_directory, names_in
from dvol.fsck.problem import Problem
from dvol.history.commits import ID
from dvol.layout import VolumeLayout
from dvol.model import Commits, first_line
from dvol.pool.damaged import Mark, marks, set_mark
from dvol.pool.volume import VolumeDir
from dvol.trash.entry import in_volume
from dvol.trash.notes import base_id
from dvol.tree import summary
from dvol.tree.damage import Difference, StatusChecks, restore_mtimes

_NAMED = 5  # files of a commit at most
_LONGEST = 40  # characters of a message
_WRITING = 600.0  # seconds that the file of a commit may be being written


class Labels:
    """How commits are named to the user: by id, message and branch."""

    def __init__(self, lists: Mapping[str, Commits | Corrupt]) -> None:
        self._labels: dict[str, str] = {}
        for branch, commits in lists.items():
            for commit in () if isinstance(commits, Corrupt) else commits:
                message = first_line(commit.message)[:_LONGEST]
                label = f"commit {commit.id[:12]} {message!r} of branch '{branch}'"
                self._labels.setdefault(commit.id, label)

    def __getitem__(self, id: str) -> str:
        return self._labels.get(id, f"commit {id[:12]} of no branch")


class DamageChecks:
    """The checks of the trees of a volume whose lock is held, except those that are `staged`.

    Afterwards `damaged` has the damaged commits, and the paths of what differs in them. With `data`
    commits that are marked for their content are left to `contents`.
    """

    def __init__(
        self, volume: VolumeDir, labels: Labels, staged: Sequence[str], data: bool
    ) -> None:
        self.layout = volume.layout
        self.labels = labels
        self.data = data
        self.ids = [id for id in committed(volume.layout) if id not in staged]
        self.damaged: dict[str, set[str]] = {}
        self._checks = StatusChecks()
        self._marks: dict[str, Mark] = {}

    def run(self) -> Iterator[Problem]:
        yield from self._read_marks()
        yield from self._unfinished()
        unknown = []
        for id in self.ids:
            try:
                known = summary.load(self.layout.summary(id))
            except FileNotFoundError:
                unknown.append(id)
            except BadDocument as error:
                text = f"the summary of {self.labels[id]} is damaged, not the commit: {error}"
                yield Problem(text, partial(os.unlink, self.layout.summary(id)))
                unknown.append(id)
            else:
                yield from self._report(id, self._differences(id, known))
        for id in unknown:
            yield from self._report(id, self._differences(id, None))
        yield from self._entries()

    def _read_marks(self) -> Iterator[Problem]:
        try:
            self._marks = marks(self.layout)
        except Corrupt as error:
            yield Problem(str(error), partial(os.unlink, self.layout.damaged))

    def _unfinished(self) -> Iterator[Problem]:
        for directory in (self.layout.summaries, self.layout.all_digests):
            for name in sorted(names_in(directory)):
                if not ID.fullmatch(name) and _is_old(directory / name):
                    where = (directory / name).relative_to(self.layout.root)
                    text = f"{where} was left by a command that died"
                    yield Problem(text, partial(os.unlink, directory / name), state="leftover")

    def _differences(self, id: str, known: summary.Summary | None) -> list[Difference]:
        tree = self.layout.commit(id)
        try:
            return self._checks.run(tree, known) if known else self._checks.shared(tree)
        except OSError as error:
            return [Difference("", f"can't be read: {error.strerror}")]

    def _report(self, id: str, differences: list[Difference]) -> Iterator[Problem]:
        if differences:
            self.damaged[id] = {one.path for one in differences}
        elif (mark := self._marks.get(id)) and mark.data:
            if not self.data:
                yield Problem(f"{self.labels[id]}: {mark.reason} (marked)")
            return
        yield from reported(self.layout, self.labels[id], id, differences, self._marks.get(id))

    def _entries(self) -> Iterator[Problem]:
        """The undo entries whose state can't be restored, because it is made from a damaged
        commit."""
        wrong = self.damaged.keys() | self._marks.keys()
        for entry in in_volume(self.layout) if wrong else ():
            base = base_id(entry.note)
            if base in wrong:
                where = entry.path.relative_to(self.layout.root)
                yield Problem(f"{where} can't be restored: commit {base[:12]} is damaged")


def committed(layout: VolumeLayout) -> list[str]:
    """The ids of the frozen trees of a volume, also of one that is still being frozen."""
    found = filter(ID.fullmatch, sorted(names_in(layout.commits)))
    return [id for id in found if is_directory(layout.commit(id))]


def reported(
    layout: VolumeLayout,
    label: str,
    id: str,
    differences: list[Difference],
    mark: Mark | None,
    data: bool = False,
) -> Iterator[Problem]:
    """The problem with a commit, if it is damaged, or if its mark is to be removed. The repairs
    need the volume's lock."""
    if differences:
        reason = named(differences)
        text = f"{label}: {reason}"
        if all(one.mtime is not None for one in differences):
            yield Problem(text, partial(_put_right, layout, id, differences, mark))
            return
        if mark and mark.data >= data:
            yield Problem(f"{text} (marked)")
        else:
            yield Problem(text, partial(set_mark, layout, id, Mark(reason, data)), " (marked)")
    elif mark:
        yield Problem(
            f"{label} is marked as damaged, and is sound", partial(set_mark, layout, id, None)
        )


def _put_right(
    layout: VolumeLayout, id: str, differences: list[Difference], mark: Mark | None
) -> None:
    restore_mtimes(layout.commit(id), differences)
    if mark and not mark.data:
        set_mark(layout, id, None)


def _is_old(path: Path) -> bool:
    """Whether no process can be writing the file any more: a server makes digests at any time, and
    takes no lock while it writes them."""
    try:
        return time.time() - os.lstat(path).st_mtime > _WRITING
    except FileNotFoundError:  # it has its final name by now
        return False


def named(differences: list[Difference]) -> str:
    """The first few differences, and how many there are more."""
    more = len(differences) - _NAMED
    text = ", ".join(map(str, differences[:_NAMED]))
    return f"{text} and {more} more" if more > 0 else text
