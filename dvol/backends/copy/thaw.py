"""Making trees from a frozen one: a live tree that shares nothing with it, or another frozen tree
that shares everything.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from dvol.backends.copy.freeze import copy_file
from dvol.fs import flags
from dvol.tree.change_detection import signature
from dvol.tree.content import ContentCopier
from dvol.tree.flags import NO_FLAGS, Flags
from dvol.tree.hardlinks import HardLinks, Inode, fits
from dvol.tree.index import Directory, Index
from dvol.tree.metadata import copy_special, opened
from dvol.tree.walk import DirPair


class Thawer:
    """Copies the files of a frozen tree into a new tree, to which no process writes yet.

    `names` counts, by inode, the names of those files that have several. `newest` is the latest
    ctime in the index: the index is true once the clock is past it, if nothing was written until
    then. `flags` are the inode flags of the tree: a new file gets at once those that it can't get
    later, and all others are left to the caller.
    """

    def __init__(
        self, names: dict[int, int], links: HardLinks, index: Index, found: Flags = NO_FLAGS
    ) -> None:
        self.names = names
        self.links = links
        self.index = index
        self.flags = found
        self.content = ContentCopier()
        self.newest = 0

    def place(self, pair: DirPair) -> list[str]:
        """See `Placer`."""
        kept: Directory = {}

        def place(entry: os.DirEntry[str]) -> None:
            at = pair.at(entry.name)
            new = self.place_one(entry.name, pair.source, entry.name, pair.target, at)
            if new is not None:
                kept[entry.name] = signature(new, entry.inode())
                self.newest = max(self.newest, new.st_ctime_ns)

        directories = _place_each(pair, place)
        self.index.directories[pair.path] = kept
        return directories

    def place_one(
        self, name: str, source: int, new_name: str, target: int, path: str = ""
    ) -> os.stat_result | None:
        """Copy one entry that is no directory, which is at `path` in the tree; the status of the
        copy, None if it has several names, since each further one changes it."""
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        inode = (status.st_dev, status.st_ino)
        if self.links.link(inode, new_name, target):
            return None
        early = self.flags.get(path, 0) & flags.EARLY if self.flags else 0
        new = copy_entry(name, status, source, new_name, target, self.content, early)
        if status.st_ino in self.names:
            self.links.placed(inode, self.names[status.st_ino], new_name, target)
            return None
        return new


class Linker:
    """Links the files of a frozen tree into another frozen one. A file that the file system allows
    no further name is copied, with all its names. `names` is as in `Thawer`."""

    def __init__(self, names: dict[int, int], links: HardLinks) -> None:
        self.names = names
        self.links = links
        self.content = ContentCopier()
        self._linked: set[Inode] = set()

    def place(self, pair: DirPair) -> list[str]:
        """See `Placer`."""

        def place(entry: os.DirEntry[str]) -> None:
            self.place_one(entry.name, pair.source, entry.name, pair.target)

        return _place_each(pair, place)

    def place_one(self, name: str, source: int, new_name: str, target: int) -> None:
        """Link one entry that is no directory, or copy it."""
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        names = self.names.get(status.st_ino, 1)
        inode = (status.st_dev, status.st_ino)
        if self.links.link(inode, new_name, target):
            return
        if inode in self._linked or fits(status, names, target):
            if names > 1:
                self._linked.add(inode)  # all names of a file, or none
            os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            return
        copy_entry(name, status, source, new_name, target, self.content)
        if names > 1:
            self.links.placed(inode, names, new_name, target)


def _place_each(pair: DirPair, place: Callable[[os.DirEntry[str]], None]) -> list[str]:
    """Call `place` with each entry that is no directory; returns the names of the directories."""
    directories, name = [], "."
    try:
        with os.scandir(pair.source) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    directories.append(name)
                else:
                    place(entry)
    except OSError as error:
        raise pair.named(error, name) from error
    return directories


def copy_entry(
    name: str,
    status: os.stat_result,
    source: int,
    new_name: str,
    target: int,
    content: ContentCopier,
    early: int = 0,
) -> os.stat_result:
    """Copy an entry that is no directory; the status of the copy. A file gets the `early` flags
    while it is empty."""
    if not stat.S_ISREG(status.st_mode):
        copy_special(name, status, source, new_name, target)
        return os.stat(new_name, dir_fd=target, follow_symlinks=False)
    with opened(name, source) as one:
        return copy_file(new_name, one, os.fstat(one), target, content, early=early)[0]
