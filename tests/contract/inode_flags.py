"""Inode flags, asked for and set as chattr(1) does, without dvol's own code."""

import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_GET, _SET = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
LETTERS = {"a": 0x20, "i": 0x10, "d": 0x40, "S": 0x8, "C": 0x800000, "c": 0x4}
LOCKS = LETTERS["a"] | LETTERS["i"]
_VERSION_3, _LINUX_IMMUTABLE = 0x20080522, 9  # capset(2), linux/capability.h
_KEPT = sum(LETTERS.values())


def flags_of(fd: int) -> str:
    """The letters of those flags of an open file that dvol keeps; none where there are no flags."""
    found = _asked(fd)
    return "".join(letter for letter, bit in LETTERS.items() if found & bit)


def set_flags(path: Path, letters: str) -> None:
    """Give a file or directory these of the kept flags, and no others."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        give(fd, letters)
    finally:
        os.close(fd)


def give(fd: int, letters: str) -> None:
    """The same for an open file; OSError where the file system or the user may not set them."""
    wanted = sum(LETTERS[letter] for letter in letters)
    fcntl.ioctl(fd, _SET, (_asked(fd) & ~_KEPT | wanted).to_bytes(8, "little"))


def unlock(tree: Path) -> None:
    """Lift what locks any file or directory in a tree."""
    for directory, _, files in os.walk(tree):
        for path in (Path(directory), *(Path(directory, name) for name in files)):
            if stat.S_ISREG(mode := path.lstat().st_mode) or stat.S_ISDIR(mode):
                _unlock(path)


@contextmanager
def without_the_right() -> Iterator[None]:
    """This process may neither set nor lift locks, like root in a container of Docker's."""
    header = struct.pack("=II", _VERSION_3, 0)
    held = ctypes.create_string_buffer(24)
    _called("capget", header, held)
    effective, *rest = struct.unpack("=6I", held.raw)
    fewer = struct.pack("=6I", effective & ~(1 << _LINUX_IMMUTABLE), *rest)
    _called("capset", header, fewer)
    try:
        yield
    finally:
        _called("capset", header, held)


def _called(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), name)


def _unlock(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if (found := _asked(fd)) & LOCKS:
            fcntl.ioctl(fd, _SET, (found & ~LOCKS).to_bytes(8, "little"))
    finally:
        os.close(fd)


def _asked(fd: int) -> int:
    buffer = bytearray(8)
    try:
        fcntl.ioctl(fd, _GET, buffer)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL):
            raise
    return int.from_bytes(buffer[:4], "little")
