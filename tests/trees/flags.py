"""Inode flags, as `chattr` sets them: of files and directories alone, by their ioctl."""

import errno
import os
import stat
from array import array
from fcntl import ioctl
from pathlib import Path

# include/uapi/linux/fs.h; the numbers say "long", and an int is what is passed
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
BITS = {
    "c": 0x4,  # compress
    "S": 0x8,  # write synchronously
    "i": 0x10,  # immutable
    "a": 0x20,  # append only
    "d": 0x40,  # no dump
    "C": 0x800000,  # no copy on write
}
LOCKS = BITS["i"] | BITS["a"]
FLAGS = ""  # the letters of those that trees get and that are compared
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def get(fd: int) -> int:
    """The flags of an open file; none where the file system has none."""
    value = array("i", [0])
    try:
        ioctl(fd, FS_IOC_GETFLAGS, value)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):
            raise
    return value[0]


def set_to(fd: int, value: int) -> None:
    """Raises OSError where the file system does not take them, or the user may not set them."""
    ioctl(fd, FS_IOC_SETFLAGS, array("i", [value]))


def has_flags(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)


def opened(path: bytes, directory: int | None = None) -> int:
    """A descriptor of a file or directory, which looks at it unnoticed."""
    unnoticed = os.O_NOATIME if os.geteuid() == 0 else 0
    return os.open(path, _LOOK | unnoticed, dir_fd=directory)


def letters(value: int) -> str:
    return "".join(letter for letter in FLAGS if value & BITS[letter])


def of_tree(tree: Path) -> dict[bytes, str]:
    """The letters of each file and directory that has any, by its path as in `described`."""
    found: dict[bytes, str] = {}
    top = os.fsencode(tree)
    for path, _, names, fd in os.fwalk(top, follow_symlinks=False):
        found[path[len(top) :]] = letters(get(fd))
        for name in names:
            if has_flags(os.stat(name, dir_fd=fd, follow_symlinks=False)):
                found[path[len(top) :] + b"/" + name] = _of(name, fd)
    return {path: value for path, value in found.items() if value}


def _of(name: bytes, directory: int) -> str:
    fd = opened(name, directory)
    try:
        return letters(get(fd))
    finally:
        os.close(fd)
