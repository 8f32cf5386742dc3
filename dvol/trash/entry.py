"""One entry of the trash, or of a volume's undo: what it was, the commits it holds, and the commits
it needs.

Reading only. A verb that changes entries holds a lock: the volume's for its undo and for entries of
the trash that belong to it, the pool's for the other entries of the trash.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from dvol.errors import AmbiguousEntry, Corrupt, EntryNotFound
from dvol.fs.directories import is_directory, names_in
from dvol.history.commits import ID, commits_of, ids
from dvol.history.history import History
from dvol.layout import OWN, PoolLayout, VolumeLayout
from dvol.model import Commits, Discarded
from dvol.trash.notes import base_id, entries, id_in, read_note

_ID = re.compile("[0-9a-f]{4,40}")
_SHORTEST = 4  # digits of an id, at least


class Entry:
    """An entry. If its note can't be read it has no verb and no date.

    `home` is the volume in whose undo it lies, "" for an entry of the trash. The names of that
    volume and branch count, rather than those in the note: either may have been restored under
    another name since.
    """

    def __init__(self, path: Path, home: str = "") -> None:
        self.path = path
        self.home = home

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    @cached_property
    def note(self) -> dict[str, Any]:
        try:
            return read_note(self.path)
        except (Corrupt, OSError):
            return {}

    @property
    def id(self) -> str:
        """It becomes a part of paths."""
        id = self._text("id")
        return id if _ID.fullmatch(id) else id_in(self.path.name)

    @property
    def volume(self) -> str:
        return self.home or self._text("volume")

    @property
    def branch(self) -> str:
        return self.path.parent.name if self.home else self._text("branch")

    @property
    def is_volume(self) -> bool:
        return self._text("verb") == "rm"

    @property
    def commits(self) -> Commits:
        """The branch's list of commits before the verb. Raises BadDocument."""
        return commits_of(self.note.get("commits", []), self.path / "entry.json")

    def fact(self) -> Discarded:
        commits = self._last_list()
        message = commits[-1].message if commits else ""
        what = (self._text("verb"), self.volume, self.branch)
        return Discarded(self.id, self._text("date"), *what, len(commits), message)

    def _last_list(self) -> Commits:
        """The commits of the branch, or of the current branch of a volume; none if they can't be
        read."""
        try:
            if self.is_volume:
                return History(PoolLayout(self.path).volume("volume")).head()[1]
            return self.commits
        except (Corrupt, OSError):
            return ()

    def holds(self) -> dict[str, Path]:
        """The commits whose trees lie in it, and their paths. Those of a whole volume are not
        counted: only that volume needs them."""
        places = [self.path / "commits", *(one / "commits" for one in entries(self.path / "undo"))]
        return {id: place / id for place in places for id in names_in(place) if ID.fullmatch(id)}

    def needs(self) -> set[str]:
        """The ids of the commits without which it can't be restored. Raises Corrupt, OSError."""
        return {id for each in (self, *self._inner()) for id in each.own_needs()}

    def own_needs(self) -> set[str]:
        """The same, without those that the undo entries in it need."""
        read_note(self.path)
        base = base_id(self.note)
        return ids(self.commits) | {id for id in (base,) if ID.fullmatch(id)}

    def _inner(self) -> Iterator[Entry]:
        """The undo entries of the branch or the volume in it."""
        yield from map(Entry, entries(self.path / "undo"))
        for undo in entries(self.path / "volume" / OWN / "undo"):
            yield from map(Entry, entries(undo))

    def _text(self, name: str) -> str:
        value = self.note.get(name)
        return value if isinstance(value, str) else ""


def one_of(typed: str, ids: Collection[str]) -> str:
    """The one id that begins with what a user has typed, four digits at least. Raises
    EntryNotFound, AmbiguousEntry."""
    found = {id for id in ids if id.startswith(typed.lower())}
    if not found or len(typed) < _SHORTEST:
        raise EntryNotFound(typed)
    if len(found) > 1:
        raise AmbiguousEntry(typed, ", ".join(sorted(id[:12] for id in found)))
    return found.pop()


def in_trash(layout: PoolLayout) -> list[Entry]:
    """The entries of the pool's trash, oldest first."""
    return list(map(Entry, entries(layout.trash)))


def in_volume(layout: VolumeLayout) -> list[Entry]:
    """The undo entries of a volume, the oldest of each branch first."""
    if not is_directory(layout.undos):  # there is none, or it is a symbolic link
        return []
    places = filter(is_directory, entries(layout.undos))
    found = (path for undo in places for path in entries(undo))
    return [Entry(path, layout.name) for path in found]


def of_volume(volume: str, found: Iterable[Entry]) -> list[Entry]:
    """The entries that belong to a volume of that name: of its branches, and what fsck found."""
    return [entry for entry in found if entry.volume == volume and not entry.is_volume]
