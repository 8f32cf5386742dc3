"""Which commits a revision means for several volumes that are reset as one.

Commits of several volumes that were made as one share a group: a revision that means one of them
means all of them. Only documents are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dvol.errors import AmbiguousRevision, NotOneGroup, RevisionNotFound
from dvol.history.history import History
from dvol.history.revisions import HEADS, ID_PREFIX
from dvol.model import Commits


def resolve_group(histories: Mapping[str, History], revision: str) -> dict[str, Commits]:
    """The history that each volume is to be reset to, by its name.

    A commit of one volume means, in the others, the commit of its group; so does the beginning of
    the group's id. HEAD means the head of each volume. Any other revision must mean commits of one
    group, else NotOneGroup is raised. Raises as `History.resolve` does.
    """
    found = _where_found(histories, revision)
    groups = {commits[-1].group for commits in found.values()} or _groups(histories, revision)
    for name in histories.keys() - found.keys():
        of_group = [one.id for one in histories[name].known() if {one.group} == groups - {""}]
        if not of_group:
            raise RevisionNotFound(f"{revision} in {name}")
        found[name] = histories[name].resolve(of_group[-1])
    if len({commits[-1].group for commits in found.values()}) > 1 and revision not in HEADS:
        heads = (f"{name} {found[name][-1].id[:7]}" for name in sorted(found))
        raise NotOneGroup(revision, ", ".join(heads))
    return found


def _where_found(histories: Mapping[str, History], revision: str) -> dict[str, Commits]:
    found: dict[str, Commits] = {}
    for name, history in histories.items():
        try:
            found[name] = history.resolve(revision)
        except RevisionNotFound:
            continue
    _require_unambiguous(histories, re.split("[~^]", revision)[0].lower())
    return found


def _require_unambiguous(histories: Mapping[str, History], start: str) -> None:
    """Raise AmbiguousRevision if commits of several volumes begin with `start`: no two volumes
    share a commit."""
    if ID_PREFIX.fullmatch(start) and not any(start in history for history in histories.values()):
        commits = (one for history in histories.values() for one in {*history.known()})
        found = {one.id[:12] for one in commits if one.id.startswith(start)}
        if len(found) > 1:
            raise AmbiguousRevision(start, ", ".join(sorted(found)))


def _groups(histories: Mapping[str, History], prefix: str) -> set[str]:
    """The one group whose id begins with `prefix`; empty if there is none."""
    if not ID_PREFIX.fullmatch(prefix):
        return set()
    commits = (one for history in histories.values() for one in history.known())
    found = {one.group for one in commits if one.group.startswith(prefix.lower())}
    if len(found) > 1:
        raise AmbiguousRevision(prefix, ", ".join(sorted(group[:12] for group in found)))
    return found
