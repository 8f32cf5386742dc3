"""When a file's status proves that its content is still what it was: the rule, and nothing else.

A file is clean if its signature (inode, size, mtime, ctime) is the one that was vouched for. The
kernel changes ctime with each write, so the question is when a status may be vouched for: never
while a later change could leave the same signature. Pure functions; the clocks are arguments.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Protocol

TICK = 20_000_000  # ns; a coarse clock steps every 4 or 10 ms, so this is clearly more
FLIGHT = 2_000_000_000  # ns; a write under way when its process was paused has ended after that
_SECOND = 1_000_000_000
SLACK = 1_000_000  # ns between reading two clocks; far less than a tick

SIGNATURE = struct.Struct("<QqQQQ")  # inode, size, mtime, ctime; the inode of the frozen file
_LIVE = struct.Struct("<QqQQ")  # the part of it that is the live file's
_TIME = (1 << 64) - 1  # users set times before 1970 and after 2262, too


class Status(Protocol):
    """The part of os.stat_result that matters here."""

    @property
    def st_ino(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_ctime_ns(self) -> int: ...


class Moment(NamedTuple):
    """Where and when a memory was written: it proves nothing in another boot (after a power cut
    ext4 and XFS show new content under old times, and the reverse), nothing on another device,
    and nothing once the clock was set back.

    `offset` is how far the clock of the wall is ahead of the time since boot, in ns: it falls
    exactly when the clock is set back.
    """

    boot: str
    device: int
    offset: int


def still_proves(then: Moment, now: Moment) -> bool:
    """Whether signatures vouched for `then` prove anything `now`."""
    here = (then.boot, then.device) == (now.boot, now.device) and then.boot != ""
    return here and now.offset >= then.offset - SLACK


def signature(status: Status, frozen: int) -> bytes:
    """What is remembered of a live file that equals the frozen file of that inode."""
    mtime, ctime = status.st_mtime_ns & _TIME, status.st_ctime_ns & _TIME
    return SIGNATURE.pack(status.st_ino, status.st_size, mtime, ctime, frozen)


def live_signature(status: Status) -> bytes:
    """What a signature begins with: the part that is the live file's."""
    mtime, ctime = status.st_mtime_ns & _TIME, status.st_ctime_ns & _TIME
    return _LIVE.pack(status.st_ino, status.st_size, mtime, ctime)


def may_vouch(before: Status, after: Status, written_back: int, ended: bool) -> bool:
    """Whether a status seen again later will prove that the content is what was read.

    `before` and `after` were taken around the reading, and both after a write-back of the file
    that began at `written_back` (ns, by the file system's clock) had ended. A store through
    mmap touches ctime only once per write-back, hence that; a change within one step of the
    clock leaves the same ctime, hence the tick; a direct write that was under way when its
    process was paused lands later than its ctime, hence the flight, unless all writers have
    `ended`. Old ext4 inodes know whole seconds only.
    """
    if signature(before, 0) != signature(after, 0):
        return False
    coarse = not ended or before.st_ctime_ns % _SECOND == 0
    return before.st_ctime_ns + (FLIGHT if coarse else TICK) <= written_back
