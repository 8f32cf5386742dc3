"""The backend for btrfs: a tree is a subvolume, a commit is a read-only snapshot of it.

Every move takes the same time at any size. A pool that was made by the copy backend, or by the
original dvol, has plain directories as trees and commits; each may be either, and what is a
plain directory is frozen as the copy backend does, and becomes a subvolume by being restored.

A snapshot holds what was written before it was begun and, of what is written meanwhile, what a
power cut at that instant would leave: all that a program has fsynced, and no later write without
the earlier fsynced ones. What nobody fsynced may be there in part and in any order. The ioctl
commits the transaction, so a snapshot is durable when it returns.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

from dvol.backends import Backend, Memory, Past, Replacement
from dvol.errors import DiskFailed, NestedSubvolumes, disk_failed
from dvol.fs import btrfs, mountinfo
from dvol.fs.durable import durably, sync_filesystem
from dvol.tree.delete import delete_tree

_NAMED = 3  # nested subvolumes in a message
_WHOLE_TREE = {"tree": "tree"}  # changes of a replacement: all of the discarded tree
_NOTHING: list[Any] = []  # the tree was that already


class Btrfs:
    """See `Backend` for the promises. What only plain directories need is imported late."""

    durable = True

    def create(self, tree: Path) -> None:
        btrfs.create(tree)
        os.chmod(tree, 0o755)  # noqa: S103  its mode is cut by the umask

    def require_space(self, tree: Path, past: Past) -> None:
        """A snapshot takes next to none."""
        with _tree(tree) as source:
            if not btrfs.is_subvolume(source):
                self._copy.require_space(tree, past)

    def atomic(self, tree: Path) -> bool:
        with _tree(tree) as source:
            return btrfs.is_subvolume(source)

    def require_space_to_replace(self, frozen: Path, tree: Path, past: Past) -> None:
        """A snapshot takes next to none, and a plain tree is cloned."""

    def require_space_to_rebuild(self, entry: Path) -> None:
        """The same."""

    def work_ahead(self, tree: Path, past: Past) -> None:
        """There is nothing that a snapshot could use."""

    def freeze(self, tree: Path, into: Path, past: Past) -> Memory | None:
        """NestedSubvolumes names the subvolumes in the tree, which would be empty in `into`.

        `into` must be where the frozen tree stays: another directory takes a `move`.
        """
        with _tree(tree) as source:
            if not btrfs.is_subvolume(source):
                with durably(into.parent):
                    return self._copy.freeze(tree, into, past)
            _snapshot_whole(source, tree, into)
        return None

    def restore(self, frozen: Path, into: Path) -> Memory | None:
        with _tree(frozen) as source:
            if btrfs.is_subvolume(source):
                btrfs.snapshot(source, into, readonly=False)
            else:
                with durably(into.parent):
                    _fill(frozen, source, into)
        return None

    def replace(self, frozen: Path, tree: Path, entry: Path, past: Past) -> Replacement:
        mountinfo.refuse(tree)
        if not past.full and _unchanged(frozen, tree):
            return Replacement([], _NOTHING)
        staged = entry / "tree"
        self.restore(frozen, staged)
        identities = self.identity(staged), self.identity(tree)
        # unlike XFS, btrfs leaves the times of what it exchanges (btrfs_rename_exchange)
        return Replacement([["exchange", str(staged), str(tree), *identities]], _WHOLE_TREE)

    def rebuild(self, entry: Path, changes: Any, frozen: Path, into: Path) -> None:
        if changes not in (_WHOLE_TREE, _NOTHING):
            with durably(into.parent):
                self._copy.rebuild(entry, changes, frozen, into)
            return
        tree = frozen if changes == _NOTHING else entry / "tree"
        with _tree(tree) as source:
            if btrfs.is_subvolume(source):
                _snapshot_whole(source, tree, into)
                return
            with durably(into.parent):
                _fill(tree, source, into)
                with btrfs.opened(into) as filled:
                    btrfs.set_readonly(filled, True)

    def delete(self, tree: Path) -> None:
        delete_tree(tree)

    def move(self, source: Path, target: Path) -> None:
        """A read-only subvolume is writable while it moves: its `..` changes, and the kernel
        (vfs_rename in fs/namei.c) takes that for a write. A crash there leaves it writable, which
        harms nothing: nobody but dvol sees frozen trees.
        """
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            with btrfs.opened(source) as fd, _writable(fd, error):
                os.rename(source, target)

    def identity(self, path: Path) -> int:
        """The inode; of a subvolume, whose inode is that of every other, its negative tree id."""
        status = os.lstat(path)
        if status.st_ino == btrfs.ROOT and stat.S_ISDIR(status.st_mode):
            with btrfs.opened(path) as fd:
                if btrfs.is_subvolume(fd):
                    return -btrfs.tree_id(fd)
        return status.st_ino

    @property
    def _copy(self) -> Backend:
        from dvol.backends.copy.copy import Copy

        return Copy()


def _fill(path: Path, source: int, into: Path) -> None:
    """Make a subvolume equal to a plain directory, sharing its blocks."""
    from dvol.backends.copy.thaw import Restorer
    from dvol.tree.hardlinks import Groups, names_of_files
    from dvol.tree.index import Index
    from dvol.tree.metadata import copy_attributes
    from dvol.tree.walk import fill

    btrfs.create(into)
    with btrfs.opened(into) as target:
        links = into / _free_name(source)  # inside, since no link leads out of a subvolume
        restorer = Restorer(names_of_files(source), Groups(links), Index())
        fill(source, target, None, str(path), restorer)
        delete_tree(links)
        copy_attributes(source, target)


@contextmanager
def _tree(path: Path) -> Iterator[int]:
    """The open tree; what the kernel says about it becomes a refusal that names it."""
    try:
        with btrfs.opened(path) as fd:
            _refuse_placeholder(fd, path)
            yield fd
    except OSError as error:
        raise disk_failed(error, path) from error


def _refuse_placeholder(fd: int, path: Path) -> None:
    """Somebody has gone back to a snapshot of what the pool is in: its subvolumes are not in
    that, only empty directories in their places, which must not be taken for empty trees."""
    status = os.fstat(fd)
    if status.st_ino == btrfs.PLACEHOLDER and os.major(status.st_dev) == 0:
        raise DiskFailed(str(path), "its subvolume is not in this snapshot of the disk")


def _unchanged(frozen: Path, tree: Path) -> bool:
    """Whether nothing happened to the tree since it was made of the frozen one, or that of it."""
    with _tree(frozen) as past, _tree(tree) as live:
        if not (btrfs.is_subvolume(past) and btrfs.is_subvolume(live)):
            return False
        if not btrfs.unchanged(live, past):
            return False
        sync_filesystem(live)  # only where it looks like that: else it would be waited for in vain
        return btrfs.unchanged(live, past)


def _snapshot_whole(source: int, tree: Path, into: Path) -> None:
    """Looked for twice, because one may be made in between."""
    _refuse_nested(source, tree)
    btrfs.snapshot(source, into, readonly=True)
    try:
        _refuse_nested(source, tree)
    except NestedSubvolumes:
        delete_tree(into)
        raise


def _refuse_nested(fd: int, tree: Path) -> None:
    paths = list(islice(btrfs.nested(fd), _NAMED + 1))
    if paths:
        paths[_NAMED:] = ["..."] * (len(paths) > _NAMED)
        raise NestedSubvolumes(str(tree), ", ".join(paths))


@contextmanager
def _writable(fd: int, error: OSError) -> Iterator[None]:
    """Raises `error` again where it is not this subvolume that can't be written to."""
    if not btrfs.is_subvolume(fd) or not btrfs.is_readonly(fd):
        raise error
    btrfs.set_readonly(fd, False)
    try:
        yield
    finally:
        btrfs.set_readonly(fd, True)


def _free_name(directory: int) -> str:
    taken = set(os.listdir(directory))
    return next(name for name in map(".links-{}".format, count(1)) if name not in taken)
