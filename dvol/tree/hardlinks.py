"""Hard links inside a tree: the names of one file stay names of one file, and no others join them.

Commits share inodes with each other, so st_nlink of a frozen file says nothing about the tree that
it is in; there the names are counted.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path

from dvol.fs import projects
from dvol.fs.create import make_directory
from dvol.fs.directories import opened_directory
from dvol.tree.walk import directories

Inode = tuple[int, int]


class HardLinks:
    """The files with several names that have been placed in a target tree so far.

    `links` is a directory, made when needed, which keeps one name for each such file, so that the
    next name can be linked from there, wherever the first one is.
    """

    def __init__(self, links: Path) -> None:
        self.links = links
        self._left: dict[Inode, int] = {}

    def link(self, inode: Inode, name: str, target: int) -> bool:
        """Give a file that was placed before a further name; False if it was not placed yet. The
        last name is the kept one, renamed, so that a file with as many names as the file system
        allows fits."""
        left = self._left.get(inode)
        if left is None:
            return False
        self._left[inode] = left - 1
        if left == 1:
            projects.rename(self._kept(inode), name, dst_dir_fd=target)
        else:
            projects.link(self._kept(inode), name, dst_dir_fd=target)
        return True

    def placed(self, inode: Inode, names: int, name: str, target: int) -> None:
        """Keep a file with `names` names for `link`; its first one is `name` in the open
        `target`."""
        if not self._left:
            self._make()
        os.link(name, self._kept(inode), src_dir_fd=target, follow_symlinks=False)
        self._left[inode] = names - 1

    def _make(self) -> None:
        make_directory(self.links, 0o700)
        with opened_directory(self.links) as fd:
            projects.hand_nothing_down(fd)  # the files may be of several projects

    def _kept(self, inode: Inode) -> Path:
        return self.links / f"{inode[0]}-{inode[1]}"


def count_names(tree: int) -> dict[int, int]:
    """How many names each file of a frozen tree has in it, by inode, for files with more than one.

    Reads the directories only; their entries hold the inodes.
    """
    counts = Counter(entry.inode() for _, _, files in directories(tree) for entry in files)
    return {inode: names for inode, names in counts.items() if names > 1}


def fits(status: os.stat_result, names: int, directory: int) -> bool:
    """Whether a frozen file can have `names` names more, and the one that `HardLinks` keeps, on the
    file system of the open `directory`."""
    try:
        limit = os.fpathconf(directory, "PC_LINK_MAX")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return True
    return limit < 0 or status.st_nlink + names + 1 <= limit
