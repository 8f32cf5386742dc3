"""Deleting a tree whose content somebody else chose.

By directory descriptor, never following a symlink, never leaving the file system, with no
limit on depth. Nothing that lies elsewhere is ever deleted, whatever the tree contains.
"""

from __future__ import annotations

import errno
import os
import stat
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
    """Delete all below `root`: directories are moved up to `root` before they are entered, so
    that depth costs neither stack nor descriptors."""
    device = os.fstat(root).st_dev
    waiting = _unlink_files(root)
    number = 0
    while waiting:
        name = waiting.pop()
        inner = _open_directory(name, root, device)
        try:
            for child in _unlink_files(inner):
                number = _move_up(child, inner, root, number)
                waiting.append(_moved(number))
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=root)


def _unlink_files(directory: int) -> list[str]:
    """Unlink all that is no directory; returns the directories."""
    directories = []
    for name in os.listdir(directory):
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            directories.append(name)
        else:
            os.unlink(name, dir_fd=directory)
    return directories


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


def _move_up(child: str, inner: int, root: int, number: int) -> int:
    """Rename to a free name in the root; returns the number of that name."""
    number += 1
    while _exists(_moved(number), root):
        number += 1
    os.rename(child, _moved(number), src_dir_fd=inner, dst_dir_fd=root)
    return number


def _moved(number: int) -> str:
    return f".deleting-{number}"


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
        return True
    except FileNotFoundError:
        return False
