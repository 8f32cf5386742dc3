"""What a user types to mean a commit, and the commit it means. Pure; no disk.

    HEAD, @              the newest commit of the current branch
    NAME                 the newest commit of that branch
    1f2e, 1f2e3d...      the one commit whose id begins so (four digits or more)
    REV^, REV^^, REV~3   that many commits before REV

As in git, a branch wins over an id prefix, and a whole id over a branch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dvol.errors import AmbiguousRevision, InvalidRevision, RevisionNotFound
from dvol.model import Commit

Line = tuple[Commit, ...]  # a history, oldest first

_REVISION = re.compile(r"(?P<start>[^~^]+)(?P<steps>(?:\^|~[0-9]{0,9})*)")
_PREFIX = re.compile(r"[0-9a-fA-F]{4,40}")


def resolve(revision: str, current: str, lines: Mapping[str, Line]) -> Line:
    """The history that ends with the commit `revision` means; never empty.

    `lines` has each branch's commits, `current` names the branch that HEAD is on. A commit that
    several branches have is taken from the current one if that has it.
    """
    match = _REVISION.fullmatch(revision) if len(revision) <= 1000 else None
    if match is None:
        raise InvalidRevision(revision)
    line = _start(match["start"], current, lines)
    line = line[: max(0, len(line) - _steps(match["steps"]))]
    if not line:
        raise RevisionNotFound(revision)
    return line


def _start(start: str, current: str, lines: Mapping[str, Line]) -> Line:
    if start in ("HEAD", "@"):
        return lines[current]
    if start in lines and len(start) != 40:
        return lines[start]
    if not _PREFIX.fullmatch(start):
        raise _unknown(start)
    found = _by_prefix(start.lower(), current, lines)
    if found:
        return found
    if start in lines:
        return lines[start]
    raise RevisionNotFound(start)


def _unknown(start: str) -> RevisionNotFound | InvalidRevision:
    """What could have been a branch is not found; anything else is malformed."""
    could_be_branch = re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*", start)
    return RevisionNotFound(start) if could_be_branch else InvalidRevision(start)


def _by_prefix(prefix: str, current: str, lines: Mapping[str, Line]) -> Line:
    found: dict[str, Line] = {}
    for branch in sorted(lines, key=lambda name: (name != current, name)):
        line = lines[branch]
        for place, commit in enumerate(line):
            if commit.id.startswith(prefix):
                found.setdefault(commit.id, line[: place + 1])
    if len(found) > 1:
        raise AmbiguousRevision(prefix, ", ".join(sorted(id[:12] for id in found)))
    return next(iter(found.values()), ())


def _steps(text: str) -> int:
    """How many commits back `^^~3` goes: a bare `~` is one, as in git."""
    return sum(int(step[1:] or 1) for step in re.findall(r"\^|~[0-9]*", text))
