"""What makes a freeze shorter, done ahead of it, while whoever writes to the tree still may.

On XFS, clones of large files. To clone a file takes as long as it has extents: a table of 1 GiB
that was written to at random has tens of thousands. To clone it again, over that clone, takes as
long as what has changed since, for XFS leaves an extent alone that is there already
(xfs_reflink_remap_extent, Linux 5.9). So those who are paused for a freeze wait for the second one
only. btrfs does not do that. Elsewhere files are copied whole, and what of them is not in memory is
read, so that this need not be waited for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dvol.fs.beneath import Beneath
from dvol.fs.durable import filesystem
from dvol.tree.content import clone
from dvol.tree.metadata import WRITE, opened
from dvol.tree.walk import directories

_LARGE = _CHUNK = 1 << 20  # bytes
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


def work_ahead(tree: Path, into: Path, is_clean: IsClean) -> None:
    """Clone the large files of `tree` that are not known to be unchanged into the new directory
    `into`, or read them. What fails or vanishes is left out: nothing depends on it."""
    with suppress(OSError), Beneath(tree) as live:
        clones = filesystem(live.directory("")) in _WHERE
        if clones:
            os.mkdir(into, 0o700)
        left = _available() // 4  # or what is read last would push out what was read first
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


def _available() -> int:
    """Bytes of memory that nobody needs (proc_meminfo(5))."""
    _, _, found = Path("/proc/meminfo").read_bytes().partition(b"MemAvailable:")
    return int(found.split(maxsplit=1)[0]) * 1024
