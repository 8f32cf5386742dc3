"""Precopy: the part of a freeze that is done before containers are stopped or paused.

On XFS, large files are cloned. The time that this takes grows with a file's extents: a table of 1
GiB that was written to at random has tens of thousands. To clone it again, over that clone, takes
time only for the extents that have changed since, for XFS leaves an extent alone that both files
have already (xfs_reflink_remap_extent, Linux 5.9). So paused containers wait for the second clone
only. btrfs does not do that. On other file systems a freeze copies changed files whole: there
precopy reads them into memory, so that containers need not wait for the disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dvol.fs import projects
from dvol.fs.beneath import Beneath
from dvol.fs.create import make_new_directory
from dvol.fs.syscalls import available, filesystem
from dvol.tree.content import clone
from dvol.tree.metadata import WRITE, opened
from dvol.tree.walk import directories

_LARGE = _CHUNK = 1 << 20  # bytes
_CLONED_ON = frozenset({"xfs"})

IsClean = Callable[[str, str, os.stat_result], bool]  # directory, name, status


class Precopied:
    """The clones in `directory`, each named by the inode of its original. Their content proves
    nothing: each is updated when it is used."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory if directory and directory.exists() else None

    def take(self, status: os.stat_result, name: str, target: int) -> int | None:
        """Move the clone of the file with `status` to the new `name` in the open `target`, and open
        it for writing; None if there is no clone."""
        if self.directory is None:
            return None
        try:
            projects.rename(self.directory / str(status.st_ino), name, dst_dir_fd=target)
        except FileNotFoundError:
            return None
        return os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)


def precopy(tree: Path, into: Path, is_clean: IsClean) -> None:
    """Clone the large files of `tree` that are not clean into the new directory `into`, or read
    them. A file that fails or vanishes is left out: nothing depends on it."""
    with suppress(OSError), Beneath(tree) as live:
        clones = filesystem(live.directory("")) in _CLONED_ON
        if clones:
            make_new_directory(into, 0o700)
        left = available() // 4  # else the last pages would push the first ones out of memory
        for path, _, files in directories(live.directory(""), tolerant=True):
            for entry in files:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    large = stat.S_ISREG(status.st_mode) and status.st_size >= _LARGE
                    if not large or is_clean(path, entry.name, status):
                        continue
                    if clones:
                        _clone(entry.name, live.directory(path), into / str(status.st_ino))
                    elif (left := left - status.st_size) > 0:
                        _read(entry.name, live.directory(path))


def _clone(name: str, directory: int, into: Path) -> None:
    with opened(name, directory) as one:
        other = os.open(into, WRITE, 0o600)
        try:
            clone(one, other)
        finally:
            os.close(other)


def _read(name: str, directory: int) -> None:
    at, buffer = 0, bytearray(_CHUNK)
    with opened(name, directory) as one:
        while count := os.preadv(one, [buffer], at):
            at += count
