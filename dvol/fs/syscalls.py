"""System calls that Python has no name for, and what the kernel says of a file system.

Each function makes one call of libc at most, and raises OSError as Python's own functions do.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_WRITE_AND_WAIT = 1 | 2 | 4  # also pages that are being written already: sync_file_range(2)
_WRITE = 2
# An fsync writes the log up to the last change of that file or directory, all earlier ones
# included: jbd2 commits whole transactions (ext4_fsync_journal), and so does XFS
# (xfs_log_force_seq).
ONE_LOG = frozenset({"ext4", "xfs"})
_NICE = 5  # not 19: a thread that waits for the processor may hold Python's lock
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}  # no function of libc
_WHO_PROCESS = 1  # IOPRIO_WHO_PROCESS; here, as everywhere in Linux, a thread
_CLASS_IDLE = 3 << 13  # IOPRIO_CLASS_IDLE
_FILESYSTEMS = {0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs"}  # statfs(2)
_OVERLAY = 0x794C7630


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step: at no instant is either missing.

    OSError EINVAL where the file system cannot (renameat2(2)).
    """
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    libc_call("renameat2", *names, _RENAME_EXCHANGE, named=str(one))


def filesystem(fd: int) -> str:
    """The type of the file system of the open `fd`: ext4, xfs, btrfs, or "" for any other."""
    return _FILESYSTEMS.get(_type(fd), "")


def is_overlay(fd: int) -> bool:
    """Whether the open `fd` lies on an overlay."""
    return _type(fd) == _OVERLAY


def _type(fd: int) -> int:
    import ctypes

    answer = (ctypes.c_long * 32)()  # struct statfs, whose first field is its type
    libc_call("fstatfs", fd, ctypes.byref(answer))
    return int(answer[0])


def sync_filesystem(fd: int) -> None:
    """Make everything that was written on the file system of the open `fd` durable.

    Reports only errors since `fd` was opened; see `durably`.
    """
    libc_call("syncfs", fd)


def write_back(fd: int) -> None:
    """Write the dirty pages of the open file and wait for it. Not durable, since no metadata is
    written (sync_file_range(2)), but the next store through mmap touches ctime again."""
    import ctypes

    whole = ctypes.c_int64(0)
    libc_call("sync_file_range", fd, whole, whole, _WRITE_AND_WAIT)


def start_write_back(fd: int) -> None:
    """Start to write the dirty pages of the open file, without waiting: a later sync has less left
    to do. An error is ignored, because that sync reports it."""
    import ctypes

    whole = ctypes.c_int64(0)
    with suppress(OSError):
        libc_call("sync_file_range", fd, whole, whole, _WRITE)


def open_unnoticed(name: str, directory: int) -> int:
    """Open a regular file of the open `directory` for reading. Its time of last access stays, if
    the file belongs to this user or the user is root."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        return os.open(name, flags, dir_fd=directory)


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Within the block this thread of root's works on files as that user and group (setfsuid(2)):
    what it makes belongs to them from the first instant. Where the right to it is missing, nothing
    changes: the kernel reports no error."""
    import ctypes

    libc = ctypes.CDLL(None)
    old_group = libc.setfsgid(ctypes.c_uint(gid))
    old_user = libc.setfsuid(ctypes.c_uint(uid))
    try:
        yield
    finally:
        libc.setfsuid(ctypes.c_uint(old_user))
        libc.setfsgid(ctypes.c_uint(old_group))


def be_idle() -> None:
    """Let the calling thread use the disk only while no other process wants it (ioprio_set(2)),
    which not every I/O scheduler honours, and the processor less than others (setpriority(2))."""
    import threading  # late: most commands never need it

    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, _NICE)
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        with suppress(OSError):
            libc_call("syscall", number, _WHO_PROCESS, thread, _CLASS_IDLE)


def dirty() -> int:
    """Bytes in memory that are still to be written to any disk."""
    return _meminfo(b"Dirty")


def available() -> int:
    """Bytes of memory that are available to processes."""
    return _meminfo(b"MemAvailable")


def _meminfo(field: bytes) -> int:
    """A field of proc_meminfo(5), in bytes."""
    _, _, found = Path("/proc/meminfo").read_bytes().partition(b"\n" + field + b":")
    return int(found.split(maxsplit=1)[0]) * 1024


@contextmanager
def named(path: Path | str) -> Iterator[None]:
    """Name the path in an OSError of the block: the kernel knows only the descriptor."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def libc_call(function: str, *arguments: Any, named: str | None = None) -> None:
    """Call a function of libc that returns 0 on success; OSError as Python's own raise it."""
    import ctypes  # late: most commands never need it

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno() or errno.EIO
        raise OSError(code, os.strerror(code), named)
