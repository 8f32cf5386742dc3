"""Making files and directories of dvol's own: whom they belong to.

What root makes in the directory of another user belongs to that user, who might have made it. So a
pool stays its owner's after root has changed something in it, by sudo or otherwise. The files of a
tree have owners of their own; of these only `give_copy` knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from dvol.fs.directories import opened_directory
from dvol.fs.syscalls import acting_as

_NEW = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def make_directory(path: Path, mode: int = 0o777) -> None:
    """Make a directory, and those above it that are missing. The mode is cut by the umask. It is no
    error if it exists; FileExistsError if a file does."""
    try:
        make_new_directory(path, mode)
    except FileNotFoundError:
        make_directory(path.parent)
        make_directory(path, mode)  # another process may have made it meanwhile
    except FileExistsError:
        if not path.is_dir():
            raise


def make_new_directory(path: Path, mode: int = 0o777) -> None:
    """Make a directory; FileExistsError if anything is there."""
    with _foreign(path.parent) as parent:
        if parent is None:
            os.mkdir(path, mode)
            return
        with _acting_as_owner(parent):
            os.mkdir(path.name, mode, dir_fd=parent)
        _give(path.name, parent)


def give_directory(path: Path) -> None:
    """Give a directory that was just made to the owner of the one that holds it, if that is another
    user."""
    with _foreign(path.parent) as parent:
        if parent is not None:
            _give(path.name, parent)


def give_copy(directory: int, original: os.stat_result) -> None:
    """Give an open directory, which root has just made as a copy, to the owner of the original. Not
    only once it is full: if root is killed meanwhile, that owner must be able to delete it."""
    if original.st_uid != 0 and os.geteuid() == 0 and os.fstat(directory).st_uid == 0:
        os.fchown(directory, original.st_uid, original.st_gid)


def create(path: Path) -> int:
    """Open a new file for writing, with mode 0600, in the place of one that may be there: never
    what a link or another name leads to."""
    while True:
        try:
            with _foreign(path.parent) as parent:
                return _created(path, parent, os.O_WRONLY)
        except FileExistsError:
            with suppress(FileNotFoundError):
                os.unlink(path)


def open_or_create(path: Path, flags: int) -> int:
    """Open a file, which is made with mode 0600 if there is none; ELOOP at a symbolic link."""
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    with _foreign(path.parent) as parent:
        if parent is None:
            return os.open(path, flags | os.O_CREAT, 0o600)
        while True:
            try:
                return os.open(path.name, flags, dir_fd=parent)
            except FileNotFoundError:
                with suppress(FileExistsError):  # another process has made it
                    return _created(path, parent, flags)


def _created(path: Path, parent: int | None, flags: int) -> int:
    """A new file, open; `parent` is its directory if that is another user's."""
    if parent is None:
        return os.open(path, flags | _NEW, 0o600)
    with _acting_as_owner(parent):
        fd = os.open(path.name, flags | _NEW, 0o600, dir_fd=parent)
    try:
        _chown_as(parent, fd)
    except OSError:
        os.close(fd)
        raise
    return fd


@contextmanager
def _foreign(directory: Path) -> Iterator[int | None]:
    """The open directory, if this is root and it belongs to another user; else None. Its path is
    resolved once: that user could lead a second look elsewhere."""
    if os.geteuid() != 0:
        yield None
        return
    with opened_directory(directory, follow=True) as fd:
        yield fd if os.fstat(fd).st_uid != 0 else None


def _acting_as_owner(directory: int) -> AbstractContextManager[None]:
    """Root may be killed before it has given away what it has made, and the owner could neither use
    nor replace that: so it is the owner's from the start. Where that can't be, `_give` follows."""
    owner = os.fstat(directory)
    return acting_as(owner.st_uid, owner.st_gid)


def _give(name: str, parent: int) -> None:
    with opened_directory(name, parent) as fd:
        _chown_as(parent, fd)


def _chown_as(parent: int, fd: int) -> None:
    """Only what root owns: another file may have taken the place of the new one."""
    owner = os.fstat(parent)
    if os.fstat(fd).st_uid == 0:
        os.fchown(fd, owner.st_uid, owner.st_gid)
