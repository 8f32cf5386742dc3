"""Inode flags (chattr(1)): asking for them and setting them; not what they mean for a tree.

A file that is append-only or immutable has a lock on its names, too: it can be neither renamed,
linked nor unlinked, and in such a directory no name can be changed (may_delete in fs/namei.c).
Setting and lifting these two needs CAP_LINUX_IMMUTABLE, the others the file's owner.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dvol.fs.beneath import DIRECTORY

_GET, _SET = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, include/uapi/linux/fs.h
APPEND, IMMUTABLE = 0x20, 0x10
LOCKS = APPEND | IMMUTABLE
# compressed and no copy on write: only an empty file can get them (btrfs_fileattr_set)
EARLY = 0x4 | 0x800000
# those that are part of a state; also: no dump, synchronous
KEPT = LOCKS | EARLY | 0x40 | 0x8
ENCRYPTED = 0x800  # of a directory: what is made in it is encrypted (fscrypt)
UNKNOWN = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_CAP_LINUX_IMMUTABLE = 9  # its bit, include/uapi/linux/capability.h
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Locked(PermissionError):
    """A name that can't be changed, since a lock forbids it that this process may not lift."""


def get(fd: int) -> int:
    """Those flags of an open file or directory that are kept; 0 where the file system has none."""
    return ask(fd) & KEPT


def ask(fd: int) -> int:
    """All flags of an open file or directory; 0 where the file system has none."""
    buffer = bytearray(8)  # a long by its number, an int in truth
    try:
        fcntl.ioctl(fd, _GET, buffer)
    except OSError as error:
        if error.errno in UNKNOWN:
            return 0
        raise
    return int.from_bytes(buffer[:4], "little")


def put(fd: int, flags: int) -> None:
    """Give an open file or directory these of the kept flags, and no others; OSError EPERM without
    the right to it."""
    old = ask(fd)
    if old & KEPT != flags:
        fcntl.ioctl(fd, _SET, struct.pack("=Q", old & ~KEPT | flags))


def settable() -> int:
    """Those of the kept flags that this process may change on its own files."""
    return KEPT if may_lock() else KEPT & ~LOCKS


def may_lock() -> bool:
    """Whether this process has CAP_LINUX_IMMUTABLE (proc_pid_status(5))."""
    _, _, effective = Path("/proc/self/status").read_text().partition("CapEff:")
    return bool(int(effective.split(maxsplit=1)[0], 16) >> _CAP_LINUX_IMMUTABLE & 1)


@contextmanager
def opened(name: str | Path, directory: int | None) -> Iterator[int | None]:
    """An entry of the open `directory` that can have flags, open: a file or a directory; None for
    any other kind, which is never opened."""
    handle = os.open(name, _HANDLE, dir_fd=directory)
    try:
        mode = os.fstat(handle).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            yield None
            return
        kind = DIRECTORY & ~os.O_NOFOLLOW if stat.S_ISDIR(mode) else os.O_RDONLY | os.O_CLOEXEC
        fd = os.open(f"/proc/self/fd/{handle}", kind)
        try:
            yield fd
        finally:
            os.close(fd)
    finally:
        os.close(handle)


def is_locked(name: str, directory: int) -> bool:
    """Whether an entry of the open `directory`, or that itself, has a lock; False also if that
    can't be found out."""
    with suppress(OSError), opened(name, directory) as fd:
        return any(get(one) & LOCKS for one in (fd, directory) if one is not None)
    return False


def unlock(fd: int) -> bool:
    """Lift the locks of an open file or directory; whether it had any. OSError EPERM."""
    flags = get(fd)
    if flags & LOCKS:
        put(fd, flags & ~LOCKS)
    return bool(flags & LOCKS)
