"""What was ever committed, removed or set aside in a pool, and what may be deleted of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dvol.model import Discarded
from tests.model.oracle import Run, Waiting
from tests.model.pool import Branch, Files, Seen

KEEP = timedelta(days=30)  # the default of gc.keep


@dataclass
class Made:
    """A commit: its files, the ids of its history, itself last, and the date it claims. It waits
    for gc while no list has it."""

    id: str
    files: Files
    history: tuple[str, ...]
    date: datetime
    group: str = ""
    waiting: Waiting | None = None


@dataclass
class Volume:
    """A volume and its commits by id, as far as they must exist.

    `ever` are the ids of all that were made. `removed` is its entry in the trash, and `seen` what
    it is like, or was when it was removed. Where commits were taken out of the midst of lists
    (`thinned`) a history is not known exactly.
    """

    name: str
    commits: dict[str, Made] = field(default_factory=dict)
    ever: list[str] = field(default_factory=list)
    keep: timedelta | None = None
    auto: bool | None = None
    removed: str = ""
    seen: Seen = field(default_factory=Seen)
    thinned: bool = False

    def line(self, id: str) -> tuple[str, ...]:
        """The history of a commit, as far as it still exists."""
        return tuple(one for one in self.commits[id].history if one in self.commits)

    def tagged(self) -> set[str]:
        """The commits that tags keep: of a thinned volume only those that have a tag."""
        ids = set(self.seen.tags.values())
        return ids if self.thinned else {one for id in ids for one in self.line(id)}


@dataclass
class Entry:
    """An entry that can be restored. `volume` had it, whatever its name is now; `state` is the
    branch as it was, and `base` the id of the commit that a reset went to, whose files its changes
    are against. `inside` is the id of the entry that it lies in, where `restore` does not show
    it, "" if it lies in none."""

    fact: Discarded
    volume: Volume
    state: Branch
    waiting: Waiting
    base: str = ""
    inside: str = ""

    @property
    def is_volume(self) -> bool:
        return self.fact.verb == "rm"


@dataclass(frozen=True)
class Gc:
    """A gc that was asked for: of one `volume` or all; of the things whose id is `named`, of all
    (`now`), of those older than an age, or of those past their time, with `auto` also found so
    before."""

    run: Run
    volume: str = ""
    named: str = ""
    now: bool = False
    older_than: timedelta | None = None
    auto: bool = False
    dry_run: bool = False

    @property
    def kind(self) -> str:
        """What it is counted as."""
        named = {"name": self.named, "now": self.now, "age": self.older_than, "gc.auto": self.auto}
        return next((kind for kind, given in named.items() if given), "gc.keep")

    @property
    def judges(self) -> bool:
        """Whether it judges by `gc.keep`, and remembers what it finds."""
        return self.goes_by_age and self.older_than is None

    @property
    def goes_by_age(self) -> bool:
        return not (self.named or self.now or self.dry_run)


class Ledger:
    """All of it, of one pool. `keep` and `auto` are the pool's settings."""

    def __init__(self) -> None:
        self.volumes: list[Volume] = []
        self.entries: dict[str, Entry] = {}
        self.keep: timedelta | None = None
        self.auto = True

    def named(self, name: str) -> Volume | None:
        found = [one for one in self.volumes if one.name == name and not one.removed]
        return found[0] if found else None

    def shown(self) -> list[Entry]:
        return [one for one in self.entries.values() if not one.inside]

    def forget(self, entry: Entry) -> None:
        """It was deleted, with what lies in it."""
        inside = [one for one in self.entries.values() if one.inside == entry.fact.entry]
        for one in [entry, *inside]:
            self.entries.pop(one.fact.entry, None)
        if entry.is_volume:
            self.volumes.remove(entry.volume)

    def of_branch(self, volume: Volume, branch: str) -> list[Entry]:
        """What undo can go back to on a branch, oldest first."""
        found = [one for one in self.shown() if one.fact.verb in ("reset", "undo")]
        return [one for one in found if one.volume is volume and one.fact.branch == branch]

    # -- what may be deleted -------------------------------------------------------------------

    def may_delete(
        self, gc: Gc, waiting: Waiting, id: str, home: Volume | None, kept_for: timedelta
    ) -> bool:
        """Whether a gc may delete something that nothing needs, of the volume `home` or of none; it
        is `kept_for` that time."""
        if gc.dry_run or (gc.volume and not (home and home.name == gc.volume)):
            return False
        if gc.named:
            return id == gc.named
        if gc.now or gc.older_than is not None:
            return gc.now or waiting.is_past(gc.run, gc.older_than)
        if gc.auto:
            return self.is_auto(home) and waiting.is_past_for_long(gc.run, kept_for)
        return waiting.is_past(gc.run, kept_for)

    def must_delete(
        self, gc: Gc, waiting: Waiting, home: Volume | None, kept_for: timedelta
    ) -> bool:
        """Whether a gc that goes by ages and not by what was found before must delete it."""
        if gc.auto or not gc.goes_by_age or (gc.volume and not (home and home.name == gc.volume)):
            return False
        kept_for = kept_for if gc.older_than is None else gc.older_than
        return waiting.is_surely_past(gc.run, kept_for)

    def pinned(self) -> set[str]:
        """The ids of the commits that a tag or an entry needs."""
        entries = [entry for entry in self.entries.values() if not entry.is_volume]
        needed = {id for entry in entries for id in (*entry.state.line, entry.base)}
        return needed | {id for one in self.volumes for id in one.tagged()}

    def home(self, entry: Entry) -> Volume | None:
        """The volume that an entry belongs to: the one with that name now."""
        return None if entry.is_volume else self.named(entry.fact.volume)

    def kept_for(self, volume: Volume | None) -> timedelta:
        if volume is not None and volume.keep is not None:
            return volume.keep
        return KEEP if self.keep is None else self.keep

    def entry_kept_for(self, entry: Entry) -> timedelta:
        """An entry of the trash: as long as any volume says that has, or had, its volume's name."""
        if entry.is_volume:
            return self.kept_for(entry.volume)
        if entry.fact.verb != "branch -d":
            return self.kept_for(self.home(entry))
        named = [one for one in self.volumes if one.name == entry.fact.volume]
        return max(map(self.kept_for, named), default=self.kept_for(None))

    def is_auto(self, volume: Volume | None) -> bool:
        return self.auto if volume is None or volume.auto is None else volume.auto

    def note(self, gc: Gc) -> None:
        """Remember that a gc has looked at ages."""
        for home, waiting in self._waiting():
            in_scope = not gc.volume or (home is not None and home.name == gc.volume)
            if gc.judges and in_scope and (not gc.auto or self.is_auto(home)):
                waiting.runs.append(gc.run)

    def _waiting(self) -> Iterator[tuple[Volume | None, Waiting]]:
        for entry in self.shown():
            yield self.home(entry), entry.waiting
        for volume in self.volumes:
            if not volume.removed:
                yield from ((volume, one.waiting) for one in volume.commits.values() if one.waiting)
