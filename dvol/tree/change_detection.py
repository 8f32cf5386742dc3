"""When a file's status proves that its content is unchanged: the rule, and nothing else.

A file is clean if its signature (inode, size, mtime, ctime) is the one in the index. The kernel
changes ctime with each write, so the question is when a signature may enter the index: never while
a later change could leave the same signature, which git calls racy. Pure functions; the clocks are
arguments.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Protocol

from dvol.fs.clock import SLACK

TICK = 20_000_000  # ns; a coarse clock steps every 4 or 10 ms, so this is clearly more
FLIGHT = 2_000_000_000  # ns; a write under way when its process was paused has ended after that
_SECOND = 1_000_000_000

SIGNATURE = struct.Struct("<QqQQQ")  # inode, size, mtime, ctime; the inode of the frozen file
_LIVE = struct.Struct("<QqQQ")  # the first four, which describe the live file
_TIME = (1 << 64) - 1  # users set times before 1970 and after 2262, too


class Status(Protocol):
    """The part of os.stat_result from which a signature is made."""

    @property
    def st_ino(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_ctime_ns(self) -> int: ...


class Epoch(NamedTuple):
    """Where and when an index was written. It proves nothing in another boot (after a power cut
    ext4 and XFS show new content under old times, and the reverse), nothing on another device, and
    nothing once the clock was set back. `offset` is what `fs.clock.offset` returned then."""

    boot: str
    device: int
    offset: int


def still_proves(then: Epoch, now: Epoch) -> bool:
    """Whether the signatures in an index that was written at `then` prove anything `now`."""
    here = (then.boot, then.device) == (now.boot, now.device) and then.boot != ""
    return here and now.offset >= then.offset - SLACK


def signature(status: Status, frozen: int) -> bytes:
    """The index entry of a live file that equals the frozen file of inode `frozen`."""
    mtime, ctime = status.st_mtime_ns & _TIME, status.st_ctime_ns & _TIME
    return SIGNATURE.pack(status.st_ino, status.st_size, mtime, ctime, frozen)


def live_signature(status: Status) -> bytes:
    """The beginning of a signature: the part that describes the live file."""
    mtime, ctime = status.st_mtime_ns & _TIME, status.st_ctime_ns & _TIME
    return _LIVE.pack(status.st_ino, status.st_size, mtime, ctime)


def is_not_racy(before: Status, after: Status, written_back: int, writers_stopped: bool) -> bool:
    """Whether the same status, seen again later, will prove that the content is what was read.

    `before` and `after` were taken around the reading, and both after the end of a write-back of
    the file that began at `written_back` (ns, by the file system's clock). The write-back is needed
    because a store through mmap touches ctime only once per write-back. A change within one step of
    the clock leaves the same ctime, hence TICK. A direct write that was under way when its process
    was paused lands later than its ctime, hence FLIGHT, unless all writers were stopped. Old ext4
    inodes store whole seconds only, and also need FLIGHT.
    """
    if signature(before, 0) != signature(after, 0):
        return False
    coarse = not writers_stopped or before.st_ctime_ns % _SECOND == 0
    return before.st_ctime_ns + (FLIGHT if coarse else TICK) <= written_back
