"""What a revision means for several volumes that are put back as one. No disk but their lists.

Commits that were made together share a group: where one of them is meant, all are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dvol.errors import AmbiguousRevision, NotTogether, RevisionNotFound
from dvol.history.history import History
from dvol.history.revisions import Line

_WHERE_EACH_IS = ("HEAD", "@")
_PREFIX = re.compile(r"[0-9a-fA-F]{4,40}")


def resolve_together(histories: Mapping[str, History], revision: str) -> dict[str, Line]:
    """The history that each volume is to go back to, by its name.

    A commit that one of them has means, in the others, the one that was made with it; so does the
    beginning of the group. HEAD means each one's own; anything else must not mean a mixture: it is
    refused as NotTogether. Raises as `History.resolve` does.
    """
    lines = _where_found(histories, revision)
    groups = {line[-1].group for line in lines.values()} or _groups(histories, revision)
    for name in histories.keys() - lines.keys():
        made = [one.id for one in histories[name].all_commits() if {one.group} == groups - {""}]
        if not made:
            raise RevisionNotFound(f"{revision} in {name}")
        lines[name] = histories[name].resolve(made[-1])
    if len({line[-1].group for line in lines.values()}) > 1 and revision not in _WHERE_EACH_IS:
        tips = (f"{name} {lines[name][-1].id[:7]}" for name in sorted(lines))
        raise NotTogether(revision, ", ".join(tips))
    return lines


def _where_found(histories: Mapping[str, History], revision: str) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for name, history in histories.items():
        try:
            lines[name] = history.resolve(revision)
        except RevisionNotFound:
            continue
    _require_one(histories, re.split("[~^]", revision)[0].lower())
    return lines


def _require_one(histories: Mapping[str, History], start: str) -> None:
    """No two volumes share a commit: the beginning of an id that two have means nothing."""
    if _PREFIX.fullmatch(start) and not any(start in history for history in histories.values()):
        commits = (one for history in histories.values() for one in {*history.all_commits()})
        found = {one.id[:12] for one in commits if one.id.startswith(start)}
        if len(found) > 1:
            raise AmbiguousRevision(start, ", ".join(sorted(found)))


def _groups(histories: Mapping[str, History], prefix: str) -> set[str]:
    """The one group that begins so."""
    if not _PREFIX.fullmatch(prefix):
        return set()
    commits = (one for history in histories.values() for one in history.all_commits())
    found = {one.group for one in commits if one.group.startswith(prefix.lower())}
    if len(found) > 1:
        raise AmbiguousRevision(prefix, ", ".join(sorted(group[:12] for group in found)))
    return found
