"""Making trees from a frozen one: a live tree that shares nothing with it, or a frozen one that
shares everything.
"""

from __future__ import annotations

import os
import stat

from dvol.backends.copy.freeze import copy_file
from dvol.tree.change_detection import signature
from dvol.tree.content import ContentCopier
from dvol.tree.hardlinks import Groups, Inode, fits
from dvol.tree.index import Directory, Index
from dvol.tree.metadata import copy_special, opened
from dvol.tree.walk import Level


class Restorer:
    """Copies the files of a frozen tree into one that is nobody's yet.

    `names` counts the names of those files that have several. `newest` is the latest ctime in
    the index: once the clock is past it, and before anybody else may write, the index is true.
    """

    def __init__(self, names: dict[int, int], groups: Groups, index: Index) -> None:
        self.names = names
        self.groups = groups
        self.index = index
        self.content = ContentCopier()
        self.newest = 0

    def place(self, level: Level) -> list[str]:
        """See `Placer`."""
        kept: Directory = {}
        directories, name = [], "."
        try:
            with os.scandir(level.source) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(name)
                        continue
                    new = self.place_one(name, level.source, name, level.target)
                    if new is not None:
                        kept[name] = signature(new, entry.inode())
                        self.newest = max(self.newest, new.st_ctime_ns)
        except OSError as error:
            raise level.named(error, name) from error
        self.index.directories[level.path] = kept
        return directories

    def place_one(
        self, name: str, source: int, new_name: str, target: int
    ) -> os.stat_result | None:
        """Make the copy of one entry that is no directory; its status, unless it has further
        names, which would change that."""
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        inode = (status.st_dev, status.st_ino)
        if self.groups.link(inode, new_name, target):
            return None
        new = copy_entry(name, status, source, new_name, target, self.content)
        if status.st_ino in self.names:
            self.groups.placed(inode, self.names[status.st_ino], new_name, target)
            return None
        return new


class Linker:
    """Links the files of a frozen tree into another frozen one; what can have no further name is
    copied, a group of names whole. `names` is as in `Restorer`."""

    def __init__(self, names: dict[int, int], groups: Groups) -> None:
        self.names = names
        self.groups = groups
        self.content = ContentCopier()
        self._linked: set[Inode] = set()

    def place(self, level: Level) -> list[str]:
        """See `Placer`."""
        directories, name = [], "."
        try:
            with os.scandir(level.source) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(name)
                    else:
                        self.place_one(name, level.source, name, level.target)
        except OSError as error:
            raise level.named(error, name) from error
        return directories

    def place_one(self, name: str, source: int, new_name: str, target: int) -> None:
        """Make one entry that is no directory."""
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        names = self.names.get(status.st_ino, 1)
        inode = (status.st_dev, status.st_ino)
        if self.groups.link(inode, new_name, target):
            return
        if inode in self._linked or fits(status, names, target):
            if names > 1:
                self._linked.add(inode)  # all names of a group, or none
            os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            return
        copy_entry(name, status, source, new_name, target, self.content)
        if names > 1:
            self.groups.placed(inode, names, new_name, target)


def copy_entry(
    name: str,
    status: os.stat_result,
    source: int,
    new_name: str,
    target: int,
    content: ContentCopier,
) -> os.stat_result:
    """Copy an entry that is no directory; the status of the copy."""
    if not stat.S_ISREG(status.st_mode):
        copy_special(name, status, source, new_name, target)
        return os.stat(new_name, dir_fd=target, follow_symlinks=False)
    with opened(name, source) as one:
        return copy_file(new_name, one, os.fstat(one), target, content)
