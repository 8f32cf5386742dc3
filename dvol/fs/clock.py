"""The clock by which file systems stamp, and the wall clock against the time since boot."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

SLACK = 1_000_000  # ns between reading two clocks; far less than a tick
_COARSE = 5  # CLOCK_REALTIME_COARSE, by which file systems stamp; Python has no name for it
_TIMEOUT = 0.1  # seconds
_STEP = 0.0002  # seconds; a tick is 4 ms or 1


def now() -> int:
    """The time in ns, by the clock with which file systems stamp."""
    return time.clock_gettime_ns(_COARSE)


def wait_until_after(stamp: int) -> bool:
    """Wait until a new change would get a later time than `stamp`, in ns; False if the clock does
    not get there within 0.1 s."""
    deadline = time.monotonic() + _TIMEOUT
    while now() <= stamp:
        if time.monotonic() > deadline:
            return False
        time.sleep(_STEP)
    return True


def offset() -> int:
    """How far the wall clock is ahead of the time since boot, in ns: it falls exactly when the
    clock is set back. Both are read again if much time passes between the two readings, since too
    high an offset would hide that the clock was set back."""
    for _ in range(100):
        began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall = time.time_ns()
        ended = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if ended - began < SLACK:
            break
    return wall - began


class Moment(NamedTuple):
    """A moment by the wall clock, and by the clock that nobody can set: the id of the boot, and the
    seconds since then, time asleep included."""

    wall: datetime
    boot: str
    uptime: float


def moment() -> Moment:
    """The current moment."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Moment(datetime.now(UTC), boot, time.clock_gettime(time.CLOCK_BOOTTIME))
