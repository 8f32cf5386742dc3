"""How much space a deletion frees."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dvol.fs.directories import opened_directory
from dvol.tree import space
from dvol.tree.content import can_clone


class DiskUsage:
    """The space of trees that are deleted together: a file counts with the last of its names."""

    def __init__(self) -> None:
        self._names: Counter[tuple[int, int]] = Counter()

    def add(self, path: Path) -> int:
        """The bytes that deleting `path` frees, after all paths that were added before; 0 if it
        can't be read.

        A file that is deleted meanwhile is not counted. Blocks that cloned files share are counted
        for each of them: the file system does not say which they are.
        """
        try:
            with opened_directory(path) as fd:
                return space.total(fd, self.freed)
        except OSError:
            return 0

    def freed(self, path: str, name: str, status: os.stat_result) -> int:
        """The same for one entry; of a directory, without what is in it."""
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            inode = (status.st_dev, status.st_ino)
            self._names[inode] += 1
            if self._names[inode] < status.st_nlink:
                return 0
        return status.st_blocks * 512


def how_many_fit(paths: Sequence[Path]) -> int:
    """How many of `paths`, the newest first, may stay on the disk. All of them while a quarter of
    the disk is free, or where files share blocks; else as many as take less than the free space,
    and at least one."""
    with opened_directory(paths[0]) as fd:
        left = os.fstatvfs(fd)
        if left.f_bavail * 4 >= left.f_blocks or can_clone(fd):
            return len(paths)
    usage, room, count = DiskUsage(), left.f_bavail * left.f_frsize, 0
    for path in paths:
        room -= usage.add(path)
        if room < 0:
            break
        count += 1
    return max(1, count)
