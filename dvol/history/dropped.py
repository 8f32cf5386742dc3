"""Commits that are in no list any more: which they are, and when each was dropped.

A verb that takes commits from the last list that had them leaves their frozen trees where they are,
and puts one document into `.dvol/dropped`: the commits, each with the id of the one `before` it in
that list, the branch, and the date. For a commit that is in a list again a document
means nothing, and of several documents with the same commit the newest counts. A verb that lists
all commits of a document again deletes it, and gc takes out the commits that it deletes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dvol import dates
from dvol.errors import BadDocument, Corrupt
from dvol.fs.directories import names_in
from dvol.fs.documents import read_json
from dvol.history.commits import ID, as_document, commits_of
from dvol.layout import VolumeLayout
from dvol.model import Commit

FORMAT = 1


class Dropped(NamedTuple):
    """A commit that was dropped from the list of `branch` at `date` (RFC 3339), where it came after
    the commit `before` ("" for the first). `document` has that record."""

    commit: Commit
    before: str
    branch: str
    date: str
    document: Path


def as_record(dropped: Iterable[tuple[Commit, str]], branch: str, date: str = "") -> dict[str, Any]:
    """The document of commits that are dropped now, or at `date`, each with the id of the one
    before it."""
    commits, before = zip(*dropped, strict=True)
    written = as_document(commits)
    listed = [{**one, "before": id} for one, id in zip(written, before, strict=True)]
    return {"format": FORMAT, "date": date or dates.now(), "branch": branch, "commits": listed}


def documents(layout: VolumeLayout) -> list[Path]:
    """The documents of a volume, the oldest first."""
    return [layout.dropped / name for name in sorted(names_in(layout.dropped))]


def next_document(layout: VolumeLayout, beyond: int = 0) -> Path:
    """The path of the next document, or of one `beyond` it. They are numbered, since a clock may be
    set back."""
    numbers = (name.removesuffix(".json") for name in names_in(layout.dropped))
    last = max((int(number) for number in numbers if number.isdecimal()), default=0)
    return layout.dropped / f"{last + 1 + beyond:08d}.json"


def read_record(path: Path) -> list[Dropped]:
    """The commits in one document. Raises BadDocument."""
    document = read_json(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadDocument(str(path), "no record of dropped commits that this dvol knows")
    listed: Any = document.get("commits")
    commits = commits_of(listed, path)
    date, branch = document.get("date"), document.get("branch")
    if not isinstance(date, str) or not isinstance(branch, str):
        raise BadDocument(str(path), "it has no date or no branch")
    return [
        Dropped(commit, _id(one.get("before"), path), branch, date, path)
        for commit, one in zip(commits, listed, strict=True)
    ]


def read_all(layout: VolumeLayout) -> tuple[dict[str, Dropped], list[Corrupt]]:
    """The newest record of each commit that was ever dropped and not deleted since, by its id, and
    what is wrong with documents that can't be read."""
    found: dict[str, Dropped] = {}
    wrong: list[Corrupt] = []
    for path in documents(layout):
        try:
            found |= {one.commit.id: one for one in read_record(path)}
        except FileNotFoundError:  # gc has just deleted it
            continue
        except Corrupt as error:
            wrong.append(error)
    return found, wrong


def with_before(commits: Iterable[Commit], leaving: Collection[str]) -> list[tuple[Commit, str]]:
    """The commits of a list whose ids are in `leaving`, each with the id of the one before it."""
    found: list[tuple[Commit, str]] = []
    before = ""
    for commit in commits:
        if commit.id in leaving:
            found.append((commit, before))
        before = commit.id
    return found


def _id(value: Any, path: Path) -> str:
    if value != "" and not (isinstance(value, str) and ID.fullmatch(value)):
        raise BadDocument(str(path), "it names no commit before another")
    return str(value)
