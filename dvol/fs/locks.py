"""Locks between processes: `flock`, which the kernel frees when the holder dies.

A lock file says who holds it, for the message others get; it is never deleted, because a
deleted lock file lets two holders in. `flock` belongs to the open file, so threads of one
process exclude each other too.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path

_FIRST_PAUSE = 0.002  # seconds between two tries
_LONGEST_PAUSE = 0.1
_SLOTS = 32


@contextmanager
def held(path: Path, verb: str, patience: float) -> Iterator[bool]:
    """Hold the lock at `path` alone; yields whether it was had within `patience` seconds."""
    fd, had = _try_for(path, fcntl.LOCK_EX, patience)
    try:
        if had:
            _sign(fd, verb)
        yield had
    finally:
        os.close(fd)  # frees the lock


@contextmanager
def shared(path: Path, patience: float) -> Iterator[bool]:
    """Hold the lock at `path` beside others who share it; yields as `held` does."""
    fd, had = _try_for(path, fcntl.LOCK_SH, patience)
    try:
        yield had
    finally:
        os.close(fd)


@contextmanager
def in_a_slot(directory: Path) -> Iterator[None]:
    """Be counted by `slots_held`, as far as there are slots."""
    with ExitStack() as slot:
        for number in range(_SLOTS):
            if slot.enter_context(held(directory / str(number), "wait", 0.0)):
                break
            slot.close()
        yield


def slots_held(directory: Path) -> int:
    """How many hold a slot there now."""
    slots = (directory / str(number) for number in range(_SLOTS))
    return sum(_is_held(slot) for slot in takewhile(Path.exists, slots))


def _is_held(path: Path) -> bool:
    with held(path, "count", 0.0) as had:
        return not had


def holder(path: Path) -> str:
    """Who holds the lock, as ": 'dvol commit' (pid 4711, 12 s)"; empty when that is unknown."""
    try:
        signed = json.loads(path.read_bytes())
        age = max(0, int(time.time() - signed["since"]))
        return f": 'dvol {signed['verb']}' (pid {signed['pid']}, {age} s)"
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return ""


def _try_for(path: Path, kind: int, patience: float) -> tuple[int, bool]:
    """The open lock file, and whether the lock was had.

    Polling: flock(2) knows no time-out, and a signal-based one would belong to one thread.
    """
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        fd = _open(path)
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            if _is_still(path, fd):
                return fd, True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return fd, False
        os.close(fd)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def _is_still(path: Path, fd: int) -> bool:
    """Whoever locks a file that was deleted meanwhile holds nothing."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _sign(fd: int, verb: str) -> None:
    """Courtesy, not state: never synced, and nothing but a message depends on it."""
    try:
        os.ftruncate(fd, 0)
        os.pwrite(
            fd, json.dumps({"verb": verb, "pid": os.getpid(), "since": time.time()}).encode(), 0
        )
    except OSError:
        pass  # a full disk must not keep anyone from a lock
