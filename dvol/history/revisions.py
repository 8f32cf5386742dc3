"""Revisions: what a user types to mean a commit. Pure; no disk.

    HEAD, @              the newest commit of the current branch
    NAME                 the newest commit of that branch, or the commit with that tag
    1f2e, 1f2e3d...      the one commit whose id begins with these four digits or more
    REV^, REV^^, REV~3   that many commits before REV

A branch wins over a tag, both win over the beginning of an id, and a whole id wins over all. A
commit that is in no list any more is found by its id and by its tag, as long as it exists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from dvol.errors import AmbiguousRevision, InvalidRevision, RevisionNotFound
from dvol.model import Commits

_REVISION = re.compile(r"(?P<start>[^~^]+)(?P<steps>(?:\^|~[0-9]{0,9})*)")
HEADS = ("HEAD", "@")  # the newest commit of the current branch
ID_PREFIX = re.compile(r"[0-9a-fA-F]{4,40}")


class Unlisted(Protocol):
    """What is known beside the lists of the branches."""

    def tagged(self, name: str) -> str:
        """The id of the commit with that tag, "" if there is no such tag."""

    def frozen_ids(self, prefix: str) -> set[str]:
        """The ids of all frozen trees that begin with `prefix`, of listed and dropped commits."""

    def line(self, id: str) -> Commits:
        """The history that ends with a commit; empty if it does not exist."""


def resolve(
    revision: str,
    current: str,
    histories: Mapping[str, Commits],
    unlisted: Unlisted | None = None,
) -> Commits:
    """The history that ends with the commit that `revision` means; never empty.

    `histories` has each branch's commits, `current` names the current branch. If several branches
    have the commit, the history is the current branch's, or else the first one's by name. Raises
    InvalidRevision, RevisionNotFound, AmbiguousRevision.
    """
    match = _REVISION.fullmatch(revision) if len(revision) <= 1000 else None
    if match is None:
        raise InvalidRevision(revision)
    commits = _start(match["start"], current, histories, unlisted)
    commits = commits[: max(0, len(commits) - _steps(match["steps"]))]
    if not commits:
        raise RevisionNotFound(revision)
    return commits


def _start(
    start: str, current: str, histories: Mapping[str, Commits], unlisted: Unlisted | None
) -> Commits:
    if start in HEADS:
        return histories[current]
    if len(start) == 40 and (found := _by_id(start.lower(), current, histories, unlisted)):
        return found
    if start in histories:
        return histories[start]
    if unlisted is not None and (tagged := unlisted.line(unlisted.tagged(start))):
        return tagged
    found = _by_id(start.lower(), current, histories, unlisted)
    if not found:
        raise RevisionNotFound(start) if ID_PREFIX.fullmatch(start) else _unknown(start)
    return found


def _unknown(start: str) -> RevisionNotFound | InvalidRevision:
    """RevisionNotFound for what could be the name of a branch, else InvalidRevision."""
    could_be_branch = re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*", start)
    return RevisionNotFound(start) if could_be_branch else InvalidRevision(start)


def _by_id(
    prefix: str, current: str, histories: Mapping[str, Commits], unlisted: Unlisted | None
) -> Commits:
    """The history of the one commit whose id begins with `prefix`; empty if there is none."""
    if not ID_PREFIX.fullmatch(prefix):
        return ()
    found: dict[str, Commits] = {}
    for branch in sorted(histories, key=lambda name: (name != current, name)):
        commits = histories[branch]
        for place, commit in enumerate(commits):
            if commit.id.startswith(prefix):
                found.setdefault(commit.id, commits[: place + 1])
    if unlisted is not None:
        lines = {id: unlisted.line(id) for id in unlisted.frozen_ids(prefix) - found.keys()}
        found |= {id: line for id, line in lines.items() if line}  # none: it is just being made
    if len(found) > 1:
        raise AmbiguousRevision(prefix, ", ".join(sorted(id[:12] for id in found)))
    return next(iter(found.values()), ())


def _steps(text: str) -> int:
    """How many commits back `^^~3` goes: a bare `~` is one, as in git."""
    return sum(int(step[1:] or 1) for step in re.findall(r"\^|~[0-9]*", text))
