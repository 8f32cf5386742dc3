"""Revisions: what a user types to mean a commit. Pure; no disk.

    HEAD, @              the newest commit of the current branch
    NAME                 the newest commit of that branch
    1f2e, 1f2e3d...      the one commit whose id begins with these four digits or more
    REV^, REV^^, REV~3   that many commits before REV

As in git, a branch wins over an id prefix, and a whole id over a branch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dvol.errors import AmbiguousRevision, InvalidRevision, RevisionNotFound
from dvol.model import Commits

_REVISION = re.compile(r"(?P<start>[^~^]+)(?P<steps>(?:\^|~[0-9]{0,9})*)")
ID_PREFIX = re.compile(r"[0-9a-fA-F]{4,40}")


def resolve(revision: str, current: str, histories: Mapping[str, Commits]) -> Commits:
    """The history that ends with the commit that `revision` means; never empty.

    `histories` has each branch's commits, `current` names the current branch. If several branches
    have the commit, the history is the current branch's, or else the first one's by name. Raises
    InvalidRevision, RevisionNotFound, AmbiguousRevision.
    """
    match = _REVISION.fullmatch(revision) if len(revision) <= 1000 else None
    if match is None:
        raise InvalidRevision(revision)
    commits = _start(match["start"], current, histories)
    commits = commits[: max(0, len(commits) - _steps(match["steps"]))]
    if not commits:
        raise RevisionNotFound(revision)
    return commits


def _start(start: str, current: str, histories: Mapping[str, Commits]) -> Commits:
    if start in ("HEAD", "@"):
        return histories[current]
    if start in histories and len(start) != 40:
        return histories[start]
    if not ID_PREFIX.fullmatch(start):
        raise _unknown(start)
    found = _by_prefix(start.lower(), current, histories)
    if found:
        return found
    if start in histories:
        return histories[start]
    raise RevisionNotFound(start)


def _unknown(start: str) -> RevisionNotFound | InvalidRevision:
    """RevisionNotFound for what could be the name of a branch, else InvalidRevision."""
    could_be_branch = re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*", start)
    return RevisionNotFound(start) if could_be_branch else InvalidRevision(start)


def _by_prefix(prefix: str, current: str, histories: Mapping[str, Commits]) -> Commits:
    found: dict[str, Commits] = {}
    for branch in sorted(histories, key=lambda name: (name != current, name)):
        commits = histories[branch]
        for place, commit in enumerate(commits):
            if commit.id.startswith(prefix):
                found.setdefault(commit.id, commits[: place + 1])
    if len(found) > 1:
        raise AmbiguousRevision(prefix, ", ".join(sorted(id[:12] for id in found)))
    return next(iter(found.values()), ())


def _steps(text: str) -> int:
    """How many commits back `^^~3` goes: a bare `~` is one, as in git."""
    return sum(int(step[1:] or 1) for step in re.findall(r"\^|~[0-9]*", text))
