"""Whether there is room for a copy, asked before anything is changed.

Where files can be cloned a copy takes next to no space. Elsewhere a tree can't be larger than all
that its file system holds, so where as much is free no tree is measured.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dvol.errors import NoSpace
from dvol.tree.content import can_clone
from dvol.tree.walk import directories

_SPARE = 1 << 20  # bytes for directories, lists and journals
_FULL = (errno.ENOSPC, errno.EDQUOT)

Visit = Callable[[str, str, os.stat_result], int]  # directory, name, status -> bytes to copy


def require(directory: int, label: Path | str, needed: Callable[[], int]) -> None:
    """Raise NoSpace, which names `label`, if the bytes `needed` do not fit on the file system of
    the open `directory`. `needed` is called only where space may be short."""
    left = os.fstatvfs(directory)
    free = left.f_bavail * left.f_frsize
    used = (left.f_blocks - left.f_bfree) * left.f_frsize
    if free < used + _SPARE and not can_clone(directory):
        needs = needed() + _SPARE
        if needs > free:
            raise NoSpace(str(label), str(needs), str(free))


def free(directory: int) -> int:
    """The free bytes on the file system of an open directory."""
    left = os.fstatvfs(directory)
    return left.f_bavail * left.f_frsize


def is_full(error: BaseException) -> bool:
    """Whether a verb failed with `error` because there is no room, or too little of a quota."""
    causes = (error, error.__cause__)
    full = any(isinstance(one, OSError) and one.errno in _FULL for one in causes)
    return full or isinstance(error, NoSpace)


def total(tree: int, visit: Visit) -> int:
    """The sum of what `visit` says about each entry of the open `tree`, directories too.

    An entry that is deleted meanwhile is not counted: a copy of the tree will fail on it, or not
    see it.
    """
    found = 0
    for path, inner, files in directories(tree, tolerant=True):
        for entry in (*inner, *files):
            with suppress(FileNotFoundError):
                found += visit(path, entry.name, entry.stat(follow_symlinks=False))
    return found


def size(status: os.stat_result) -> int:
    """About how many bytes a copy of an entry takes."""
    return status.st_blocks * 512 if stat.S_ISREG(status.st_mode) else 4096
