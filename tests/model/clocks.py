"""The clocks of the model: true time, which only goes on, a wall clock, which may be set to any
date, and the clock since the boot. While they are set, dvol sees these clocks and no others.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

from dvol.fs.clock import Moment

START = datetime(2026, 1, 1, tzinfo=UTC)
FURTHEST = timedelta(days=40 * 365)  # how wrong the wall clock may be


class Clocks:
    """All in whole seconds, as dvol writes dates."""

    def __init__(self) -> None:
        self.true = timedelta(0)
        self.wrong = timedelta(0)  # how far the wall clock is ahead
        self.boots = 0
        self._booted = -timedelta(seconds=100)

    def moment(self) -> Moment:
        uptime = (self.true - self._booted).total_seconds()
        return Moment(START + self.true + self.wrong, f"boot-{self.boots}", uptime)

    def go_on(self, time: timedelta) -> None:
        self.true += time

    def set_wall(self, by: timedelta) -> None:
        self.wrong = max(-FURTHEST, min(FURTHEST, self.wrong + by))

    def set_wall_right(self) -> None:
        self.wrong = timedelta(0)

    def reboot(self) -> None:
        self.boots += 1
        self._booted = self.true - timedelta(seconds=10)


@contextmanager
def showing(moment: Moment) -> Iterator[None]:
    """Let dvol see that moment wherever it asks for the time that it writes or judges by."""
    with ExitStack() as undo:
        date = moment.wall.isoformat(timespec="seconds")
        undo.enter_context(patch("dvol.dates.now", lambda: date))
        undo.enter_context(patch("dvol.engine.gc.current", lambda: moment))
        yield
