"""Locks between processes: `flock`, which the kernel frees when the holder dies.

A lock file names its holder, for the message of a process that could not get it. It is never
deleted, because a deleted lock file lets two holders in. `flock` belongs to the open file, so
threads of one process exclude each other too.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvol.fs.create import make_directory, open_or_create

_FIRST_PAUSE = 0.002  # seconds between two tries
_LONGEST_PAUSE = 0.1


@contextmanager
def exclusive(path: Path, verb: str, timeout: float) -> Iterator[bool]:
    """Hold the lock at `path` alone, as `verb`; yields whether it was acquired in `timeout` s."""
    fd, acquired = _try_for(path, fcntl.LOCK_EX, timeout)
    try:
        if acquired:
            _sign(fd, verb)
        yield acquired
    finally:
        os.close(fd)  # frees the lock


@contextmanager
def shared(path: Path, timeout: float) -> Iterator[bool]:
    """Hold the lock at `path` together with others that share it; yields as `exclusive` does."""
    fd, acquired = _try_for(path, fcntl.LOCK_SH, timeout)
    try:
        yield acquired
    finally:
        os.close(fd)


def holder(path: Path) -> str:
    """The holder of the lock, as ": 'dvol commit' (pid 4711, 12 s)"; empty when that is unknown."""
    try:
        signed = json.loads(path.read_bytes())
        age = max(0, int(time.time() - signed["since"]))
        return f": 'dvol {signed['verb']}' (pid {signed['pid']}, {age} s)"
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return ""


def _try_for(path: Path, kind: int, timeout: float) -> tuple[int, bool]:
    """The open lock file, and whether the lock was acquired.

    By polling: flock(2) has no time-out, and a signal-based one would belong to one thread.
    """
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        fd = _open(path)
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            if _is_still_at(path, fd):
                return fd, True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return fd, False
        os.close(fd)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _open(path: Path) -> int:
    try:
        return open_or_create(path, os.O_RDWR)
    except FileNotFoundError:
        make_directory(path.parent)
        return open_or_create(path, os.O_RDWR)


def _is_still_at(path: Path, fd: int) -> bool:
    """A lock on a file that was deleted meanwhile excludes no other process."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _sign(fd: int, verb: str) -> None:
    """Note the holder. Never synced, since nothing but a message depends on it."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(
            fd, json.dumps({"verb": verb, "pid": os.getpid(), "since": time.time()}).encode(), 0
        )
    except OSError:
        pass  # a full disk must not prevent a lock
