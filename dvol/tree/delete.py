"""Deleting a tree whose content was chosen by other programs.

By directory descriptor, never following a symlink, never leaving the file system, with no limit on
depth. Nothing outside the tree is ever deleted, whatever the tree contains. On btrfs a subvolume is
deleted whole, and is not walked.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

from dvol.fs import btrfs, flags, projects
from dvol.fs.beneath import DIRECTORY
from dvol.fs.directories import mount_id, opened_directory, set_mode
from dvol.fs.mountinfo import mounted_in


def delete_tree(path: Path) -> None:
    """Delete a directory with all that it holds, or a file; a missing path is no error.

    Raises OSError EBUSY at a mount point: what is mounted there does not belong to the tree.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    with _naming(path), opened_directory(path.parent, follow=True) as parent:
        if not stat.S_ISDIR(status.st_mode):
            _unlocked(path.name, parent, partial(os.unlink, path.name, dir_fd=parent))
        elif not _delete_at_once(path.name, parent, status):
            _delete_directory(path.name, parent)


@contextmanager
def _naming(tree: Path) -> Iterator[None]:
    """Name the tree in an OSError: an entry that is deleted by descriptor has no path."""
    try:
        yield
    except OSError as error:
        within = "" if error.filename in (None, tree.name) else f" ({error.filename})"
        error.filename = f"{tree}{within}"
        raise


def _delete_directory(name: str, parent: int) -> None:
    _make_passable(name, parent)
    with opened_directory(name, parent) as fd:
        if mount_id(fd) != mount_id(parent):
            raise OSError(errno.EBUSY, "something is mounted here", name)
        _empty(fd)
    _unlocked(name, parent, partial(os.rmdir, name, dir_fd=parent))


def _empty(root: int) -> None:
    """Delete everything below `root`. Each directory is moved up to `root` before it is entered. So
    depth costs neither stack nor descriptors, and a mount point is noticed, because it can't be
    renamed, even where the same file system is mounted."""
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
        _unlocked(name, root, partial(os.rmdir, name, dir_fd=root))


def _clear(directory: int, root: int, free: Iterator[str]) -> list[str]:
    """Unlink the files of a directory, move its directories up to `root`; returns their new
    names."""
    moved = []
    for name in os.listdir(directory):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            _unlocked(name, directory, partial(os.unlink, name, dir_fd=directory))
        elif not _delete_at_once(name, directory, status):
            moved.append(_move_up(name, directory, root, free))
    return moved


def _delete_at_once(name: str, directory: int, status: os.stat_result) -> bool:
    """Delete a directory that is not to be walked: a subvolume, or an empty directory of another
    user, to which this one can give no permission; False if it is neither. Root makes such a
    directory in this user's pool, and is killed before it has given it away."""
    if os.geteuid() not in (0, status.st_uid):
        with suppress(OSError):
            os.rmdir(name, dir_fd=directory)
            return True
    return _may_be_subvolume(status) and _delete_subvolume(directory, name, status)


def _move_up(name: str, directory: int, root: int, free: Iterator[str]) -> str:
    new = next(one for one in free if not _exists(one, root))
    _make_passable(name, directory)
    move = partial(projects.rename, name, new, src_dir_fd=directory, dst_dir_fd=root)
    _unlocked(name, directory, move)
    return new


def _unlocked(name: str, directory: int, change: Callable[[], None]) -> None:
    """Change a name in the open `directory`; if a lock of the entry or of the directory forbids
    that (`fs.flags`), once more without them. Raises Locked without the right to lift them."""
    try:
        change()
    except PermissionError as error:
        if error.errno != errno.EPERM or not flags.is_locked(name, directory):
            raise
        if not flags.may_lock():
            raise flags.Locked(errno.EPERM, "it is append-only or immutable", name) from error
        with flags.opened(name, directory) as fd:
            for one in (fd, directory):
                if one is not None:
                    flags.unlock(one)
        change()


def _open_directory(name: str, root: int, device: int) -> int:
    fd = os.open(name, DIRECTORY, dir_fd=root)
    if os.fstat(fd).st_dev != device:
        os.close(fd)
        raise OSError(errno.EBUSY, "something is mounted here", name)
    return fd


def _make_passable(name: str, parent: int) -> None:
    """A user other than root may need the permissions of a directory that he owns, to empty it, and
    to move it: its ".." is changed (rename(2), EACCES)."""
    if os.geteuid() != 0:
        set_mode(parent, name, 0o700)


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
        return True
    except FileNotFoundError:
        return False


# -- btrfs -------------------------------------------------------------------------------------


def _may_be_subvolume(status: os.stat_result) -> bool:
    """Whether the inode of a directory is that of a subvolume or a placeholder; on other file
    systems these inodes are rare."""
    return status.st_ino in (btrfs.ROOT, btrfs.PLACEHOLDER)


def _delete_subvolume(directory: int, name: str, status: os.stat_result) -> bool:
    """Delete a subvolume with those in it, or the placeholder of one; False if it is neither.

    Neither could be moved up: a read-only subvolume stays in its directory (EROFS), and a
    placeholder in its place (ENOTEMPTY, btrfs_rename in fs/btrfs/inode.c).
    """
    if status.st_ino == btrfs.PLACEHOLDER:
        return _remove_placeholder(name, directory)
    if not _is_subvolume(name, directory):
        return False
    _refuse_mounts(name, directory)
    if not _destroy_childless(name, directory):
        with opened_directory(name, directory) as top:
            _delete_inner_subvolumes(top)
        _destroy(name, directory)
    return True


def _remove_placeholder(name: str, directory: int) -> bool:
    """False if it is none: on other file systems it may be a directory that is not empty, or a
    mount point."""
    try:
        os.rmdir(name, dir_fd=directory)
        return True
    except OSError:
        return False


def _is_subvolume(name: str, directory: int) -> bool:
    try:
        with opened_directory(name, directory) as fd:
            return btrfs.is_subvolume(fd)
    except PermissionError:  # without root it could not be deleted either
        return False


def _refuse_mounts(name: str, directory: int) -> None:
    """The kernel would detach what is mounted on a subvolume or in it (`btrfs.destroy`)."""
    point = mounted_in(f"{os.readlink(f'/proc/self/fd/{directory}')}/{name}")
    if point is not None:
        raise OSError(errno.EBUSY, "something is mounted here", point)


def _delete_inner_subvolumes(top: int) -> None:
    """Delete all subvolumes in an open one. A subvolume that holds others is moved up first, as
    directories are in `_empty`, so that depth costs nothing."""
    free = map(".deleting-{}".format, count(1))
    waiting = _clear_subvolumes(top, top, free)
    while waiting:
        name = waiting.pop()
        with opened_directory(name, top) as inner:
            waiting += _clear_subvolumes(inner, top, free)
        _destroy(name, top)


def _clear_subvolumes(subvolume: int, top: int, free: Iterator[str]) -> list[str]:
    """Delete the subvolumes directly in a subvolume, move up to `top` those that hold others;
    returns the new names of the latter."""
    moved = []
    btrfs.set_readonly(subvolume, False)
    for child in btrfs.children(subvolume):
        with btrfs.home_of(child, subvolume) as home:
            if not _destroy_childless(child.name, home):
                with opened_directory(child.name, home) as fd:
                    btrfs.set_readonly(fd, False)
                moved.append(_move_up(child.name, home, top, free))
    return moved


def _destroy_childless(name: str, directory: int) -> bool:
    """Delete a subvolume, also one whose root is locked; False if it holds others."""
    try:
        _destroy(name, directory)
        return True
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        return False


def _destroy(name: str, directory: int) -> None:
    if flags.is_locked(name, directory):
        with opened_directory(name, directory) as fd:
            btrfs.set_readonly(fd, False)
    _unlocked(name, directory, partial(btrfs.destroy, directory, name))
