"""Questions about the pool's own directories, where "there is none" is an ordinary answer."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvol.fs.beneath import DIRECTORY


def is_directory(path: Path) -> bool:
    """Whether `path` is a directory, and no symlink to one. An error is raised and not answered
    with False: Docker forgets a volume that is said not to exist, so an I/O error must not mean
    "no"."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def names_in(directory: Path) -> list[str]:
    """The names in `directory`, in no order; none if there is no such directory."""
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def opened_directory(
    path: str | Path, parent: int | None = None, *, follow: bool = False
) -> Iterator[int]:
    """The open directory at a path, or at a path below the open directory `parent`. Raises OSError
    at a symlink, unless that is asked to be followed."""
    fd = os.open(path, DIRECTORY & ~os.O_NOFOLLOW if follow else DIRECTORY, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)
