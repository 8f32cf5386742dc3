"""What a gc deletes of one volume, or of the volumes that no longer exist, and why other things
stay. Reading only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import NamedTuple

from dvol.errors import Corrupt
from dvol.history.dropped import Dropped
from dvol.history.history import History
from dvol.journal.journal import Journal
from dvol.model import Commit, Freed
from dvol.trash.entry import Entry
from dvol.trash.expiry import Expiry
from dvol.trash.reachability import deletable, pinned
from dvol.tree.usage import DiskUsage, Usage

NOW = timedelta(0)
DROP = "drop"  # the verb of a dropped commit, in a report
_NEEDED = "another entry needs a commit in it"
_DOUBT = "what needs it can't be read: see 'dvol fsck'"


class Wanted(NamedTuple):
    """What gc is asked to delete: the things with these `ids`; or all that were dropped or removed
    longer than `older_than` ago (NOW means all); or, without either, what is past its time. With
    `auto` only what earlier runs have found past its time too."""

    ids: frozenset[str] = frozenset()
    older_than: timedelta | None = None
    auto: bool = False


class Selection:
    """What is to be deleted: `entries`, and `commits`, which were dropped. `kept` gives a reason
    for each other thing that was asked for."""

    def __init__(
        self,
        wanted: Wanted,
        expiry: Expiry,
        kept_for: Callable[[Entry | None], timedelta],
        history: History | None,
    ) -> None:
        self.entries: list[Entry] = []
        self.commits: list[Dropped] = []
        self.kept: list[tuple[Entry | Dropped, str]] = []
        self.expiry = expiry
        self.history = history  # of the volume, if there is one
        self._wanted = wanted
        self._kept_for = kept_for

    def select_entries(self, mine: Iterable[Entry], others: Iterable[Entry]) -> None:
        """Select from the entries `mine`; `others` stay."""
        mine = list(mine)
        going = [one for one in mine if self._wants(one, one.id, one.fact().date)]
        if self._wanted.older_than != NOW:
            staying = [*others, *(one for one in mine if one not in going)]
            deleted = deletable(going, staying)
            self.kept += [(one, _NEEDED) for one in going if one not in deleted]
            going = deleted
        self.entries = going

    @property
    def is_any(self) -> bool:
        """Whether anything was asked for, deleted or kept."""
        return bool(self.entries or self.commits or self.kept)

    def select_commits(self, staying: Iterable[Entry], journals: Iterable[Journal]) -> None:
        """Select from the dropped commits of the volume, and from all of its commits those that are
        named. `staying` are all entries that stay."""
        if self.history is None:
            return
        history, found = self.history, self.history.still_dropped()
        if self._wanted.ids:
            found += [_listed(one, history) for one in history.all_commits()]
        going = [
            one for one in found if self._wants(None, one.commit.id, one.date, one.commit.date)
        ]
        if not going:
            return
        try:
            pins = pinned(history, staying, journals)
        except (Corrupt, OSError):  # then any commit may be needed
            self.kept += [(one, _DOUBT) for one in going]
            return
        self.kept += [(one, pins[one.commit.id]) for one in going if one.commit.id in pins]
        self.commits = [one for one in going if one.commit.id not in pins]

    def report(self, usage: DiskUsage) -> list[Freed]:
        """A line for each thing. `usage` adds up what is deleted in one gc."""
        freed = [self._line(one, usage.add(one.path)) for one in self.entries]
        if self.history:
            commit = self.history.layout.commit
            freed += [self._line(one, usage.add(commit(one.commit.id))) for one in self.commits]
        kept = dict.fromkeys(self.kept)
        return freed + [self._line(one, Usage(0))._replace(kept=reason) for one, reason in kept]

    def _line(self, one: Entry | Dropped, usage: Usage) -> Freed:
        size, shared = usage
        if isinstance(one, Entry):
            return Freed(*one.fact()[:5], size, shared=shared)
        volume = self.history.layout.name if self.history else ""
        return Freed(one.commit.id, one.date, DROP, volume, one.branch, size, shared=shared)

    def _wants(self, entry: Entry | None, key: str, date: str, not_before: str = "") -> bool:
        wanted = self._wanted
        if wanted.ids:
            return key in wanted.ids
        if wanted.older_than == NOW:
            return True
        kept_for = self._kept_for(entry) if wanted.older_than is None else wanted.older_than
        if not self.expiry.is_past(key, kept_for, date, not_before):
            return False
        return not wanted.auto or self.expiry.was_past(key)


def _listed(commit: Commit, history: History) -> Dropped:
    """A commit of a branch, as if it were dropped now: it is named, and the reason is told."""
    return Dropped(commit, "", "", commit.date, history.layout.dropped)
