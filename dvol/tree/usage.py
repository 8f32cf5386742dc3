"""How much space a deletion frees."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dvol.fs.beneath import Beneath
from dvol.fs.directories import opened_directory
from dvol.fs.extents import extents
from dvol.fs.syscalls import filesystem, open_unnoticed
from dvol.tree import space
from dvol.tree.content import can_clone
from dvol.tree.walk import directories

_SHARING = frozenset({"btrfs", "xfs"})  # files may share blocks


class Usage(NamedTuple):
    """Bytes that a deletion frees: those that nothing else has, and those that other files share,
    which may be files that stay or files that are deleted too."""

    alone: int
    shared: int = 0


class DiskUsage:
    """The space of trees that are deleted together: a file counts with the last of its names, and
    an extent once."""

    def __init__(self) -> None:
        self._names: Counter[tuple[int, int]] = Counter()
        self._extents: dict[int, int] = {}  # lengths of the shared ones, by where they begin

    def add(self, path: Path) -> Usage:
        """What deleting `path` frees, after all paths that were added before; nothing if it can't
        be read. A file that is deleted meanwhile is not counted."""
        try:
            with Beneath(path) as tree:
                root = tree.directory("")
                if filesystem(root) not in _SHARING:
                    return Usage(space.total(root, self.freed))
                return self._of_sharing(tree)
        except OSError:
            return Usage(0)

    def freed(self, path: str, name: str, status: os.stat_result) -> int:
        """The bytes of one entry, shared or not; of a directory, without what is in it."""
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            inode = (status.st_dev, status.st_ino)
            self._names[inode] += 1
            if self._names[inode] < status.st_nlink:
                return 0
        return status.st_blocks * 512

    def _of_sharing(self, tree: Beneath) -> Usage:
        """As `add`, where files share extents: the kernel is asked for each file's."""
        alone = shared = 0
        for path, inner, files in directories(tree.directory(""), tolerant=True):
            for entry in (*inner, *files):
                with suppress(OSError):  # it was deleted meanwhile
                    directory = tree.directory(path)
                    status = entry.stat(follow_symlinks=False)
                    size = self.freed(path, entry.name, status)
                    if size and stat.S_ISREG(status.st_mode):
                        own, others = self._divided(entry.name, directory, size)
                        alone, shared = alone + own, shared + others
                    else:
                        alone += size
        return Usage(alone, shared)

    def _divided(self, name: str, directory: int, size: int) -> Usage:
        """The `size` bytes that a file of the open `directory` has on the disk. Extents may be
        compressed: then their lengths are another measure."""
        try:
            fd = open_unnoticed(name, directory)
        except OSError:
            return Usage(size)
        whole = shared = new = 0
        try:
            for extent in extents(fd):
                whole += extent.length
                if extent.shared:
                    shared += extent.length
                    seen = self._extents.get(extent.physical, 0)
                    if extent.length > seen:
                        self._extents[extent.physical] = extent.length
                        new += extent.length - seen
        except OSError:
            return Usage(size)
        finally:
            os.close(fd)
        return Usage(size - size * shared // whole, size * new // whole) if whole else Usage(size)


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
        room -= usage.add(path).alone
        if room < 0:
            break
        count += 1
    return max(1, count)
