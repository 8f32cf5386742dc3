"""Which commits are still needed: by lists, tags, entries or journals. The one place that decides
it.

A commit that was reported stays in `commits/<id>` until gc deletes it, whatever has dropped it from
the lists. Recovery asks which commits were ever published, gc which it may delete, fsck which
frozen trees nothing tells of, `undo` and `restore` where the commits of a list are.

In pools before format 3 a verb moved the commits that it dropped to its entry. The first verb that
changes a volume moves them back (`pool.upgrade`); until then an entry may be deleted only if it
holds no commit that a remaining entry needs.
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


def reported(history: History) -> set[str]:
    """The ids of all commits that a list has, or had until they were dropped: no other commit was
    ever reported. Raises Corrupt where that can't be found out."""
    _require_readable(history)
    return needed_by_lists(history) | history.dropped.keys()


def _require_readable(history: History) -> None:
    """Raise Corrupt if a record of dropped commits can't be read: what it has is not known."""
    for error in history.unreadable:
        raise error


def needed(history: History, journals: Iterable[Journal]) -> set[str]:
    """The ids of all commits that anything tells of. Raises Corrupt or OSError where that can't be
    found out: then every commit may be needed."""
    entries = [*in_volume(history.layout), *in_trash(history.layout.pool)]
    return reported(history) | pinned(history, entries, journals).keys()


def pinned(
    history: History, staying: Iterable[Entry], journals: Iterable[Journal]
) -> dict[str, str]:
    """The ids of the commits that must not be deleted at any age, and for each the reason.
    `staying` are the entries that are not deleted either. Raises Corrupt or OSError where that
    can't be found out."""
    reasons: dict[str, str] = {}
    _require_readable(history)
    for each in journals:
        unfinished = filter(ID.fullmatch, each.components())
        reasons |= dict.fromkeys(unfinished, "an unfinished command needs it")
    for entry in staying:
        reasons |= dict.fromkeys(
            entry.needs(), f"'{entry.id}' in the list of 'dvol restore' needs it"
        )
    for tag, id in history.tags.items():
        reasons |= dict.fromkeys(ids(history.line(id)) | {id}, f"the tag '{tag}' keeps it")
    return reasons | dict.fromkeys(needed_by_lists(history), "a branch has it")


def needed_by_lists(history: History) -> set[str]:
    """The ids of the commits that a list has, also the list of a branch without a tree. Raises
    Corrupt."""
    return {commit.id for commit in history.listed()}


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
    """The commits of a list whose trees lie in entries, as before format 3, and their paths. Raises
    CommitsGone if a tree no longer exists; `what` names the thing that needs it."""
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
