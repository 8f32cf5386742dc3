"""Making files and directories of dvol's own: whom they belong to.

What root makes in the directory of another user belongs to that user, who might have made it. So a
pool stays its owner's after root has changed something in it, by sudo or otherwise. Not for the
files of a tree, which have owners of their own.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dvol.fs.directories import opened_directory

_NEW = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def make_directory(path: Path, mode: int = 0o777) -> None:
    """Make a directory, and those above it that are missing. The mode is cut by the umask. It is no
    error if it exists; FileExistsError if a file does."""
    try:
        os.mkdir(path, mode)
    except FileNotFoundError:
        make_directory(path.parent)
        make_directory(path, mode)  # another process may have made it meanwhile
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        give_directory(path)


def give_directory(path: Path) -> None:
    """Give a directory that was just made to the owner of the one that holds it, if that is another
    user."""
    if os.geteuid() == 0 and (owner := _owner(path.parent))[0] != 0:
        with opened_directory(path) as fd:
            os.fchown(fd, *owner)


def create(path: Path, flags: int = os.O_WRONLY) -> int:
    """Open a new file, with mode 0600, in the place of one that may be there: never what a link or
    another name leads to."""
    while True:
        try:
            return _created(path, flags)
        except FileExistsError:
            with suppress(FileNotFoundError):
                os.unlink(path)


def open_or_create(path: Path, flags: int) -> int:
    """Open a file, which is made with mode 0600 if there is none; ELOOP at a symbolic link."""
    while True:
        try:
            return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            with suppress(FileExistsError):  # another process has made it
                return _created(path, flags)


def _created(path: Path, flags: int) -> int:
    fd = os.open(path, flags | _NEW, 0o600)
    try:
        if os.geteuid() == 0 and (owner := _owner(path.parent))[0] != 0:
            os.fchown(fd, *owner)
    except OSError:
        os.close(fd)
        raise
    return fd


def _owner(directory: Path) -> tuple[int, int]:
    status = os.stat(directory)
    return status.st_uid, status.st_gid
