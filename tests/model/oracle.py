"""When a dropped commit or an entry may be deleted: the promise, as a calculation of its own.

Nothing of `dvol.trash` is used here. Where the promise leaves room, this accepts more than dvol
does: what it does not accept is a loss.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

DAY = timedelta(days=1)
DAYS = 3


@dataclass(frozen=True)
class Run:
    """A gc that looked at ages, by the wall clock and the clock since the boot."""

    wall: datetime
    boot: str
    uptime: float

    def is_a_day_after(self, other: "Run") -> bool:
        return self.boot == other.boot and self.uptime - other.uptime >= DAY.total_seconds()


@dataclass
class Waiting:
    """Something that waits for gc: `since` when by the wall clock, which can't be before
    `not_before`. `runs` are those that have looked at it since, oldest first."""

    since: datetime
    not_before: datetime | None = None
    runs: list[Run] = field(default_factory=list)

    def is_past(self, run: Run, kept_for: timedelta) -> bool:
        """Whether its time is over at that run, which comes last, by the wall clock."""
        return self._age(run, self.runs) > kept_for

    def is_surely_past(self, run: Run, kept_for: timedelta) -> bool:
        return self.can_be_right(run) and run.wall - self.since > kept_for

    def is_past_for_long(self, run: Run, kept_for: timedelta) -> bool:
        """Whether `gc.auto` may delete it: its time is over now, and was so at a run a day before
        in the same boot, or at runs on three different days."""
        found = [
            one
            for number, one in enumerate(self.runs)
            if self._age(one, self.runs[:number]) > kept_for
        ]
        known = any(run.is_a_day_after(one) for one in found)
        days = {one.wall.date() for one in found}
        return self.is_past(run, kept_for) and (known or len(days) >= DAYS)

    def can_be_right(self, run: Run) -> bool:
        """Whether its date is not in the future, nor before the commit's own."""
        return self.since <= run.wall and self.since >= (self.not_before or self.since)

    def _age(self, run: Run, before: list[Run]) -> timedelta:
        """A date that can't be right counts from the first run that saw so."""
        if self.can_be_right(run):
            return run.wall - self.since
        seen = [one.wall for one in before if not self.can_be_right(one) and one.wall <= run.wall]
        return run.wall - min(seen, default=run.wall)
