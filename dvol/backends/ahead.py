"""Clones of large files, made ahead of a freeze, while whoever writes to them still may.

To clone a file takes as long as it has extents: a table of 1 GiB that was written to at random has
tens of thousands. To clone it again, over that clone, takes as long as what has changed since, for
XFS leaves an extent alone that is there already (xfs_reflink_remap_extent, Linux 5.9). So those who
are paused for a freeze wait for the second one only. btrfs does not do that.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dvol.atomic import filesystem
from dvol.backends.content import clone
from dvol.backends.entries import WRITE, opened
from dvol.backends.walk import directories
from dvol.beneath import Beneath

_LARGE = 1 << 20  # bytes
_WHERE = frozenset({"xfs"})

IsClean = Callable[[str, str, os.stat_result], bool]  # directory, name, status


class Ahead:
    """The clones in `directory`, named by the inodes they are of. What is in them proves nothing:
    each is only where a better one is put."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory if directory and directory.exists() else None

    def take(self, status: os.stat_result, name: str, target: int) -> int | None:
        """Move the clone of the file with `status` to a new name in the open `target`, and open
        it; None if there is none."""
        if self.directory is None:
            return None
        try:
            os.rename(self.directory / str(status.st_ino), name, dst_dir_fd=target)
        except FileNotFoundError:
            return None
        return os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)


def clone_ahead(tree: Path, into: Path, is_clean: IsClean) -> None:
    """Clone the large files of `tree` that are not known to be unchanged into the new directory
    `into`. What fails or vanishes is left out: nothing depends on it."""
    with suppress(OSError), Beneath(tree) as live:
        if filesystem(live.directory("")) not in _WHERE:
            return
        os.mkdir(into, 0o700)
        for path, _, files in directories(live.directory(""), tolerant=True):
            for entry in files:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    large = stat.S_ISREG(status.st_mode) and status.st_size >= _LARGE
                    if large and not is_clean(path, entry.name, status):
                        _clone(entry.name, live.directory(path), into / str(status.st_ino))


def _clone(name: str, directory: int, into: Path) -> None:
    with opened(name, directory) as one:
        other = os.open(into, WRITE, 0o600)
        try:
            clone(one, other)
        finally:
            os.close(other)
