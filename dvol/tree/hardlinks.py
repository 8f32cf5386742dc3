"""Hard links inside a tree: names of one file stay names of one file, and nothing else joins.

Commits share inodes with each other, so a frozen file's own count of links says nothing about
the tree that it is in; there the names are counted.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path

from dvol.tree.walk import directories

Inode = tuple[int, int]


class Groups:
    """The files with several names that were placed in a target tree so far.

    `links` is a directory, made when needed, which keeps one name for each such file, so that the
    next name can be linked from there, whatever path the first is at.
    """

    def __init__(self, links: Path) -> None:
        self.links = links
        self._left: dict[Inode, int] = {}

    def link(self, inode: Inode, name: str, target: int) -> bool:
        """Give a file that was placed before a further name; False for the first. The last one
        takes the kept name itself, so that a group as large as the link limit fits."""
        left = self._left.get(inode)
        if left is None:
            return False
        self._left[inode] = left - 1
        if left == 1:
            os.rename(self._kept(inode), name, dst_dir_fd=target)
        else:
            os.link(self._kept(inode), name, dst_dir_fd=target, follow_symlinks=False)
        return True

    def placed(self, inode: Inode, names: int, name: str, target: int) -> None:
        """The first of `names` names is there now."""
        if not self._left:
            self.links.mkdir(mode=0o700, exist_ok=True)
        os.link(name, self._kept(inode), src_dir_fd=target, follow_symlinks=False)
        self._left[inode] = names - 1

    def _kept(self, inode: Inode) -> Path:
        return self.links / f"{inode[0]}-{inode[1]}"


def names_of_files(tree: int) -> dict[int, int]:
    """How many names each file of a frozen tree has in it, for those with more than one.

    Reads the directories only; their entries hold the inodes.
    """
    counts = Counter(entry.inode() for _, _, files in directories(tree) for entry in files)
    return {inode: names for inode, names in counts.items() if names > 1}


def fits(status: os.stat_result, names: int, directory: int) -> bool:
    """Whether a frozen file can have as many names more, and one that is kept aside."""
    try:
        limit = os.fpathconf(directory, "PC_LINK_MAX")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return True
    return limit < 0 or status.st_nlink + names + 1 <= limit
