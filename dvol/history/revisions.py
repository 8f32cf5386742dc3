"""Revisions: what a user types to mean a commit. Pure; no disk.

    HEAD, @              the newest commit of the current branch
    NAME                 the newest commit of that branch, or the commit with that tag
    1f2e, 1f2e3d...      the one commit whose id begins with these four digits or more
    HEAD@{2}, NAME@{2}   what HEAD, or that branch, pointed at two changes ago, by the reflog
    @{2}                 what the current branch pointed at two changes ago
    HEAD@{yesterday}     what HEAD pointed at then; a date, or `2 hours ago`, see `dates.ago`
    REV^, REV^^, REV~3   that many commits before REV
    :/TEXT               the newest commit whose message holds the text, to the end of the word

The text is taken as it is, where git takes a regular expression. The newest commit is looked for in
the current branch's list, then in those of the other branches, then among the dropped commits.

A branch wins over a tag, both win over the beginning of an id, and a whole id wins over all. A
commit that is in no list any more is found by its id, by its tag and by the reflog, as long as it
exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from dvol import dates
from dvol.errors import AmbiguousRevision, InvalidRevision, NotInReflog, RevisionNotFound
from dvol.model import Commit, Commits, ReflogEntry

_REVISION = re.compile(
    r"(?P<start>[^~^]*?)(?:@\{(?P<when>[^{}]*)\})?(?P<steps>(?:\^|~[0-9]{0,9})*)"
)
_BRANCH = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*")  # what could be the name of one
_MESSAGE = ":/"  # followed by a part of a commit's message
_LONGEST = 1000  # characters
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

    def reflog(self, branch: str) -> Iterable[ReflogEntry]:
        """Where a branch pointed, or HEAD: newest first."""

    def dropped_commits(self) -> Sequence[Commit]:
        """The commits that exist and are in no list, by their dates, newest first."""


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
    if revision.startswith(_MESSAGE) and len(_MESSAGE) < len(revision) <= _LONGEST:
        return _with_message(revision, current, histories, unlisted)
    match = _REVISION.fullmatch(revision) if len(revision) <= _LONGEST else None
    if match is None or not (match["start"] or match["when"]):
        raise InvalidRevision(revision)
    if match["when"] is None:
        commits = _start(match["start"], current, histories, unlisted)
    else:
        commits = _pointed_at(revision, match["start"] or current, match["when"], unlisted)
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
    return RevisionNotFound(start) if _BRANCH.fullmatch(start) else InvalidRevision(start)


def _with_message(
    revision: str, current: str, histories: Mapping[str, Commits], unlisted: Unlisted | None
) -> Commits:
    """The history that ends with the newest commit whose message holds the text after `:/`."""
    text = revision.removeprefix(_MESSAGE)
    for branch in _in_order(histories, current):
        commits = histories[branch]
        for place in range(len(commits), 0, -1):
            if text in commits[place - 1].message:
                return commits[:place]
    for commit in unlisted.dropped_commits() if unlisted else ():
        if unlisted and text in commit.message:
            return unlisted.line(commit.id)
    raise RevisionNotFound(revision)


def _in_order(histories: Mapping[str, Commits], current: str) -> list[str]:
    """The names of the branches, that of the current branch first."""
    return sorted(histories, key=lambda name: (name != current, name))


def _pointed_at(revision: str, branch: str, when: str, unlisted: Unlisted | None) -> Commits:
    """The history that ends with the commit that HEAD or a branch pointed at, so many changes ago
    or at a time; empty if the commit was deleted. Raises InvalidRevision, NotInReflog."""
    if branch not in HEADS and not _BRANCH.fullmatch(branch):
        raise InvalidRevision(revision)
    id = _id_in(unlisted.reflog(branch) if unlisted else (), when, revision)
    if unlisted is None or id is None:
        count = len(list(unlisted.reflog(branch))) if unlisted else 0
        name = "HEAD" if branch in HEADS else branch
        raise NotInReflog(revision, name, f"{count} entr{'y' if count == 1 else 'ies'}")
    return unlisted.line(id)


def _id_in(entries: Iterable[ReflogEntry], when: str, revision: str) -> str | None:
    """The id in the entry of that number or time; None if there is none. Raises InvalidRevision."""
    from dvol.history import reflog  # late: most revisions need none

    if re.fullmatch("[0-9]{1,9}", when):
        return reflog.at(entries, int(when))
    try:
        return reflog.at_time(entries, dates.ago(when, datetime.now(UTC)))
    except ValueError:
        raise InvalidRevision(revision) from None


def _by_id(
    prefix: str, current: str, histories: Mapping[str, Commits], unlisted: Unlisted | None
) -> Commits:
    """The history of the one commit whose id begins with `prefix`; empty if there is none."""
    if not ID_PREFIX.fullmatch(prefix):
        return ()
    found: dict[str, Commits] = {}
    for branch in _in_order(histories, current):
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
