"""Which commits are still needed, by lists, entries and journals. The one place that decides it.

`reset` and `branch -d` ask which commits no other branch has, recovery whether a staged commit was
published, gc which entries may be deleted, fsck which frozen trees nothing refers to.

Entries need each other. The entry of a reset describes a state as changes against a frozen tree and
a list of commits; another verb, of any branch, may since have moved one of these commits to an
entry of its own. So a commit is searched in lists and entries, and an entry may be deleted only if
it holds no commit that a remaining entry needs. Deleting the oldest entries first mostly ensures
that, because a list names no commit that was dropped before the list was made.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dvol.errors import BadDocument, CommitsGone, Corrupt, TreeMissing
from dvol.fs.directories import is_directory
from dvol.history.commits import ID, ids
from dvol.history.history import History
from dvol.journal.journal import Journal
from dvol.layout import VolumeLayout
from dvol.model import Commits
from dvol.trash.entry import Entry, in_trash, in_volume, of_volume


def needed(history: History, journals: Iterable[Journal]) -> set[str]:
    """The ids of all commits that a list, an entry or a journal needs. Raises Corrupt or OSError
    where that can't be found out: then every commit may be needed."""
    layout = history.layout
    entries = [*in_volume(layout), *in_trash(layout.pool)]
    by_entries = {id for entry in entries for id in entry.needs()}
    by_journals = {id for each in journals for id in each.components() if ID.fullmatch(id)}
    return needed_by_lists(history) | by_entries | by_journals


def needed_by_lists(history: History) -> set[str]:
    """The ids of the commits that a list has. No entry can need another one that was never in a
    list. Raises Corrupt."""
    return {commit.id for commit in history.listed()}


def only_in(commits: Commits, branch: str, history: History) -> list[str]:
    """The ids of the `commits` of a branch that no other branch has."""
    others = {id for name in history if name != branch for id in ids(history[name])}
    return [one.id for one in commits if one.id not in others]


def deletable(going: Iterable[Entry], staying: Iterable[Entry]) -> list[Entry]:
    """The entries of `going` that can be deleted: no remaining entry needs a commit they hold."""
    going, staying = list(going), list(staying)
    while any(entry.holds() for entry in going):
        try:
            needs = {id for entry in staying for id in entry.needs()}
        except (Corrupt, OSError):  # what that entry needs is not known: it may be any commit
            return [entry for entry in going if not entry.holds()]
        stay = [entry for entry in going if needs & entry.holds().keys()]
        if not stay:
            break
        staying += stay
        going = [entry for entry in going if entry not in stay]
    return going


def located(layout: VolumeLayout, commits: Commits, what: str) -> dict[str, Path]:
    """The commits of a list whose trees lie in entries by now, and their paths. Raises CommitsGone
    if a tree no longer exists; `what` names the thing that needs it."""
    missing = [one.id for one in commits if not is_directory(layout.commit(one.id))]
    found = _held_by_entries(layout) if missing else {}
    lost = [id[:12] for id in missing if id not in found]
    if lost:
        raise CommitsGone(what, ", ".join(lost))
    return {id: found[id] for id in missing}


def base_of(layout: VolumeLayout, entry: Path, note: dict[str, Any]) -> Path:
    """The path of the frozen tree that an entry's changes are against, also if it was moved.

    It is found by the last two components of the path in the note: volume and branch may have other
    names by now. Raises BadDocument, TreeMissing.
    """
    *_, place, name = ["", *str(note.get("base", "")).split("/")]
    if name == "base":
        base = entry / "base"
    elif place == "commits" and ID.fullmatch(name):
        base = layout.commit(name)
        if not is_directory(base):
            base = _held_by_entries(layout).get(name, base)
    else:
        raise BadDocument(str(entry / "entry.json"), "it names no tree that it was made from")
    if not is_directory(base):
        raise TreeMissing(str(base))
    return base


def _held_by_entries(layout: VolumeLayout) -> dict[str, Path]:
    """The commits of a volume whose trees lie in entries, and their paths."""
    found = [*in_volume(layout), *of_volume(layout.name, in_trash(layout.pool))]
    return {id: place for entry in found for id, place in entry.holds().items()}
