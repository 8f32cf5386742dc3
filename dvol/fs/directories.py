"""Questions about the pool's own directories, where "there is none" is an ordinary answer."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvol.fs.beneath import DIRECTORY

_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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


def set_mode(directory: int, name: str, mode: int) -> None:
    """Set the permission bits of the directory `name` in the open `directory`, also of one that may
    not be read. OSError ENOTDIR at a symlink or a file, EBUSY where something is mounted on it."""
    fd = os.open(name, _HANDLE, dir_fd=directory)
    try:
        if mount_id(fd) != mount_id(directory):
            raise OSError(errno.EBUSY, "something is mounted here", name)
        os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)


def mount_id(fd: int) -> str:
    """The id of the mount that a descriptor was opened on (proc_pid_fdinfo(5))."""
    fields = Path(f"/proc/self/fdinfo/{fd}").read_text()
    return fields.partition("mnt_id:")[2].split()[0]
