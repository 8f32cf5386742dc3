"""How much space comes back when something is deleted."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from dvol.fs.beneath import DIRECTORY
from dvol.layout import PoolLayout
from dvol.tree import space
from dvol.tree.content import can_clone


class Scales:
    """Weighs what is deleted together: a file counts once its last name is among that."""

    def __init__(self) -> None:
        self._names: Counter[tuple[int, int]] = Counter()

    def weigh(self, path: Path) -> int:
        """The bytes that deleting `path`, after all that was weighed before, gives back.

        What goes away under our eyes is not counted. Blocks that files share, where they were
        cloned, are: nobody can tell these.
        """
        try:
            fd = os.open(path, DIRECTORY)
        except OSError:
            return 0
        try:
            return space.total(fd, self._freed)
        except OSError:
            return 0
        finally:
            os.close(fd)

    def _freed(self, path: str, name: str, status: os.stat_result) -> int:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            inode = (status.st_dev, status.st_ino)
            self._names[inode] += 1
            if self._names[inode] < status.st_nlink:
                return 0
        return status.st_blocks * 512


def affordable(paths: Sequence[Path]) -> int:
    """How many of these, the newest first, may stay on a disk of which three quarters are full: as
    many as take less than what is free, and one in any case. All where files share blocks."""
    fd = os.open(paths[0], DIRECTORY)
    try:
        left = os.fstatvfs(fd)
        if left.f_bavail * 4 >= left.f_blocks or can_clone(fd):
            return len(paths)
    finally:
        os.close(fd)
    scales, room, count = Scales(), left.f_bavail * left.f_frsize, 0
    for path in paths:
        room -= scales.weigh(path)
        if room < 0:
            break
        count += 1
    return max(1, count)


def freeable(layout: PoolLayout, volumes: Iterable[str]) -> int:
    """The bytes that deleting everything that was discarded would give back."""
    scales = Scales()
    undo = (layout.volume(name).undos for name in volumes)
    return sum(map(scales.weigh, (layout.doomed, layout.trash, *undo)))
