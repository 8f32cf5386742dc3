"""Which commits of a branch a policy keeps, with the meaning of `restic forget --keep-...`. Pure;
no disk.

Each rule goes through the commits from the newest to the oldest. It keeps the newest commit of each
hour, day or week that has commits, until it has kept as many as its number says; -1 is no limit. If
its number is not reached, it also keeps the oldest commit, as restic does since 0.16, so that the
history reaches as far back as it can. A commit is kept if any rule keeps it; a policy without rules
keeps all.

Two things restic need not decide. The newest commit is the last one in the branch's list, whatever
the dates say: a clock may have been wrong. And a commit of the original dvol has no date, so it
lies in no hour, day or week: only `last`, a tag, and its being the oldest keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from dvol import dates
from dvol.model import Commit


class Policy(NamedTuple):
    """How many commits each rule keeps: 0 is none, -1 all. Of `tags`, which are patterns as
    `release-*`, each keeps every commit that has such a tag."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    tags: tuple[str, ...] = ()


# Hours, days and ISO weeks as the author's clock showed them, as restic has it.
_PERIODS: dict[str, Callable[[datetime], Hashable]] = {
    "hourly": lambda date: (date.date(), date.hour),
    "daily": lambda date: date.date(),
    "weekly": lambda date: date.isocalendar()[:2],
}


def kept(
    commits: Sequence[Commit], policy: Policy, tags: Mapping[str, Collection[str]]
) -> dict[str, list[str]]:
    """The ids of the commits that a policy keeps, newest first, and for each the reasons: "tag
    NAME", "last", "hourly", "daily" and "weekly", or "oldest daily" for the oldest
    commit where it is not also the newest of its day.

    `commits` are those of a branch, oldest first; `tags` has the names of the tags of a commit by
    its id. ValueError if a number is less than -1.
    """
    if min(policy[:4]) < -1:
        raise ValueError("a number of commits is less than -1")
    if policy == Policy():
        return {commit.id: ["policy is empty"] for commit in reversed(commits)}
    rules = [_Rule(name, number) for name, number in zip(Policy._fields, policy[:4], strict=False)]
    reasons: dict[str, list[str]] = {}
    for place, commit in reversed([*enumerate(commits)]):
        names = [f"tag {name}" for name in sorted(tags.get(commit.id, ())) if _is_any(name, policy)]
        names += filter(None, (rule.reason(place, commit) for rule in rules))
        if names:
            reasons[commit.id] = names
    return reasons


class _Rule:
    """A rule of a policy on its way from the newest to the oldest commit."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self._left = number
        self._periods: set[Hashable] = set()  # of which a commit was kept

    def reason(self, place: int, commit: Commit) -> str:
        """Why the rule keeps the commit at that place of the list, 0 being the oldest; "" if it
        does not."""
        period = self._period(place, commit)
        is_newest = period is not None and period not in self._periods
        if not self._left or not (is_newest or place == 0):
            return ""
        self._periods.add(period)
        self._left -= 1
        return self.name if is_newest else f"oldest {self.name}"

    def _period(self, place: int, commit: Commit) -> Hashable:
        """None if the commit has no date."""
        if self.name == "last":
            return place
        try:
            return _PERIODS[self.name](dates.parse(commit.date))
        except ValueError:
            return None


def _is_any(tag: str, policy: Policy) -> bool:
    return any(fnmatchcase(tag, pattern) for pattern in policy.tags)
