"""Deleting a tree whose content somebody else chose.

By directory descriptor, never following a symlink, never leaving the file system, with no
limit on depth. Nothing that lies elsewhere is ever deleted, whatever the tree contains.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def delete_tree(path: Path) -> None:
    """Delete a directory with all it holds, or a file; nothing there is no error.

    Raises OSError EBUSY at a mount point: what is mounted inside is not ours.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(path)
        return
    _make_passable(path, None)
    fd = os.open(path, _DIRECTORY)
    try:
        _empty(fd)
    finally:
        os.close(fd)
    os.rmdir(path)


def _empty(root: int) -> None:
    """Delete all below `root`. Each directory is moved up to `root` before it is entered: so
    depth costs neither stack nor descriptors, and a mount point gives itself away, because it
    can't be renamed, even where the same file system is mounted."""
    device = os.fstat(root).st_dev
    free = map(".deleting-{}".format, count(1))
    waiting = _clear(root, root, free)
    while waiting:
        name = waiting.pop()
        inner = _open_directory(name, root, device)
        try:
            waiting += _clear(inner, root, free)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=root)


def _clear(directory: int, root: int, free: Iterator[str]) -> list[str]:
    """Unlink the files of a directory, move its directories up; returns their new names."""
    moved = []
    for name in os.listdir(directory):
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            new = next(one for one in free if not _exists(one, root))
            os.rename(name, new, src_dir_fd=directory, dst_dir_fd=root)
            moved.append(new)
        else:
            os.unlink(name, dir_fd=directory)
    return moved


def _open_directory(name: str, root: int, device: int) -> int:
    _make_passable(name, root)
    fd = os.open(name, _DIRECTORY, dir_fd=root)
    if os.fstat(fd).st_dev != device:
        os.close(fd)
        raise OSError(errno.EBUSY, "something is mounted here", name)
    return fd


def _make_passable(directory: str | Path, parent: int | None) -> None:
    """Without root, the owner may have to give himself the right to delete first."""
    if os.geteuid() != 0:
        os.chmod(directory, 0o700, dir_fd=parent)


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
        return True
    except FileNotFoundError:
        return False
