"""What lies in a pool's trash and in its volumes' undo: what each entry holds, and what it needs.

Entries need each other. A reset notes what it discarded against a frozen tree and by a list of
commits; another verb, of any branch, may since have moved one of these to an entry of its own.
So a commit is looked for wherever it may be, and the rule for deleting is: an entry goes only if
it holds no commit that an entry which stays still needs. Deleting from the oldest on mostly keeps
that true by itself, because a list outlives the commits that were dropped before it was made.

Reading only. Who may change what: a volume's undo, and the entries of the trash that are about a
volume which exists, under that volume's lock; the rest of the trash under the pool's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvol.errors import BadDocument, CommitsGone, Corrupt, TreeMissing, VolumeNotFound
from dvol.fs.directories import is_directory, names_in
from dvol.history.history import ID, commits_of
from dvol.history.revisions import Line
from dvol.layout import OWN, PoolLayout, VolumeLayout
from dvol.model import Discarded
from dvol.trash.entries import described, entries, id_in

if TYPE_CHECKING:
    from dvol.pool.files import PoolFiles


class Entry:
    """An entry of a trash. One whose note can't be read has no verb and no date.

    `home` is the volume in whose undo it lies, if it does: that and the branch may have been
    called otherwise when the note was written.
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
            return described(self.path)
        except (Corrupt, OSError):
            return {}

    @property
    def id(self) -> str:
        return self._text("id") or id_in(self.path.name)

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
    def line(self) -> Line:
        """The list of commits that goes with it; raises BadDocument."""
        return commits_of(self.note.get("line", []), self.path / "entry.json")

    def fact(self) -> Discarded:
        return Discarded(self.id, self._text("date"), self._text("verb"), self.volume, self.branch)

    def is_older_than(self, age: timedelta) -> bool:
        """Not one that can't be read: nobody knows how old that is."""
        try:
            date = datetime.fromisoformat(self._text("date"))
            return datetime.now(UTC) - date > age
        except (ValueError, TypeError):
            return False

    def holds(self) -> dict[str, Path]:
        """The commits that lie in it, and where; whole volumes keep theirs for themselves."""
        places = [self.path / "commits", *(one / "commits" for one in entries(self.path / "undo"))]
        return {id: place / id for place in places for id in names_in(place) if ID.fullmatch(id)}

    def needs(self) -> set[str]:
        """The commits without which it can't be brought back whole; raises Corrupt, OSError."""
        return {id for each in (self, *self._inner()) for id in each.own_needs()}

    def own_needs(self) -> set[str]:
        described(self.path)
        base = str(self.note.get("base", "")).rpartition("/")[2]
        return {one.id for one in self.line} | {id for id in (base,) if ID.fullmatch(id)}

    def _inner(self) -> Iterator[Entry]:
        """What was discarded before in the branch, or the volume, that it holds."""
        yield from map(Entry, entries(self.path / "undo"))
        for undo in entries(self.path / "volume" / OWN / "undo"):
            yield from map(Entry, entries(undo))

    def _text(self, name: str) -> str:
        value = self.note.get(name)
        return value if isinstance(value, str) else ""


def all_of(files: PoolFiles) -> Iterator[Entry]:
    """Every entry in the pool. Dead verbs are completed first, where they can be."""
    for volume in files.names():
        with suppress(Corrupt, VolumeNotFound):
            yield from in_volume(files.settled(volume).layout)
    yield from in_trash(files.layout)


def in_trash(layout: PoolLayout) -> list[Entry]:
    """The entries of the pool's trash, oldest first."""
    return list(map(Entry, entries(layout.trash)))


def in_volume(layout: VolumeLayout) -> list[Entry]:
    """The states that resets have discarded, the oldest of each branch first."""
    if not is_directory(layout.undos):  # none, or a link that leads elsewhere
        return []
    places = filter(is_directory, entries(layout.undos))
    found = (path for undo in places for path in entries(undo))
    return [Entry(path, layout.name) for path in found]


def about(volume: str, found: Iterable[Entry]) -> list[Entry]:
    """Those that are a part of the volume of that name."""
    return [entry for entry in found if entry.volume == volume and not entry.is_volume]


def may_go(going: Iterable[Entry], staying: Iterable[Entry]) -> list[Entry]:
    """Those of `going` that hold nothing which an entry that stays needs."""
    going, staying = list(going), list(staying)
    while any(entry.holds() for entry in going):
        try:
            needed = {id for entry in staying for id in entry.needs()}
        except (Corrupt, OSError):  # what that needs is not known
            return [entry for entry in going if not entry.holds()]
        stay = [entry for entry in going if needed & entry.holds().keys()]
        if not stay:
            break
        staying += stay
        going = [entry for entry in going if entry not in stay]
    return going


def brought_back(layout: VolumeLayout, line: Line, what: str) -> dict[str, Path]:
    """Where the commits of a list lie that were discarded since; CommitsGone names the lost."""
    missing = [one.id for one in line if not is_directory(layout.commit(one.id))]
    found = _lying_about(layout) if missing else {}
    lost = [id[:12] for id in missing if id not in found]
    if lost:
        raise CommitsGone(what, ", ".join(lost))
    return {id: found[id] for id in missing}


def base_of(layout: VolumeLayout, entry: Path, note: dict[str, Any]) -> Path:
    """The frozen tree that an entry's changes are against, wherever it is by now.

    Told by its last two components: the volume and the branch may be called otherwise by now.
    """
    *_, place, name = ["", *str(note.get("base", "")).split("/")]
    if name == "base":
        base = entry / "base"
    elif place == "commits" and ID.fullmatch(name):
        base = layout.commit(name)
        if not is_directory(base):
            base = _lying_about(layout).get(name, base)
    else:
        raise BadDocument(str(entry / "entry.json"), "it names no tree that it was made from")
    if not is_directory(base):
        raise TreeMissing(str(base))
    return base


def _lying_about(layout: VolumeLayout) -> dict[str, Path]:
    """The commits of a volume that were discarded, and where they lie."""
    found = [*in_volume(layout), *about(layout.name, in_trash(layout.pool))]
    return {id: place for entry in found for id, place in entry.holds().items()}
