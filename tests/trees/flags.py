"""Inode flags of a tree's entries at random: which entries have any, and what locks them."""

import errno
import os
import stat
from random import Random

from tests.contract.inode_flags import LETTERS, flags_of, give

LOCKS = "ai"
NOT_TAKEN = (errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM)  # by the file system, now, or the user
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def has_flags(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)


def opened(path: bytes, directory: int | None = None) -> int:
    """A descriptor of a file or directory, which looks at it unnoticed."""
    unnoticed = os.O_NOATIME if os.geteuid() == 0 else 0
    return os.open(path, _LOOK | unnoticed, dir_fd=directory)


def without_locks(letters: str) -> str:
    return letters.translate({ord(one): None for one in LOCKS})


def unlock(fd: int) -> str:
    """Lift the locks of an open file; returns those that it had."""
    found = flags_of(fd)
    if set(LOCKS) & {*found}:
        give(fd, without_locks(found))
    return "".join(one for one in found if one in LOCKS)


def change(rng: Random, fd: int) -> None:
    """Give an open file any flags that are taken. It is locked when it has all others."""
    unlock(fd)
    give(fd, "")
    chosen = ""
    for letter in reversed(LETTERS):
        if rng.randrange(3) == 0 and _takes(fd, without_locks(chosen), letter):
            chosen += letter
    give(fd, chosen)


def _takes(fd: int, letters: str, letter: str) -> bool:
    try:
        give(fd, letters + letter)
    except OSError as error:
        if error.errno not in NOT_TAKEN:
            raise
        return False
    unlock(fd)
    return True
