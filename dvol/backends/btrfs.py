"""The backend for btrfs: a tree is a subvolume, a commit is a read-only snapshot of it.

Every operation takes the same time at any size. A pool that was made by the copy backend, or by the
original dvol, has plain directories as trees and commits. The copy backend freezes these; they
become subvolumes when they are thawed.

A snapshot holds every write that ended before the snapshot began. Of the writes that happen
meanwhile it holds what a power cut at that instant would leave: all that a program has fsynced, and
no later write without the earlier fsynced ones. Writes that were not fsynced may be there in part
and in any order. The ioctl commits the transaction, so a snapshot is durable when it returns.
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

from dvol.backends import Backend, FreezeHints, Frozen, StagedReset, TreeIndex
from dvol.errors import DiskFailed, NestedSubvolumes, disk_failed
from dvol.fs import btrfs, mountinfo, swap
from dvol.fs.beneath import Beneath
from dvol.fs.create import give_directory
from dvol.fs.directories import opened_directory
from dvol.fs.durable import durably
from dvol.fs.flags import get, put, unlock
from dvol.fs.syscalls import exchange, sync_filesystem
from dvol.journal.steps import Exchange
from dvol.tree.delete import delete_tree
from dvol.tree.flags import NO_FLAGS, Flags, give_all, read
from dvol.tree.summary import of_snapshot

_NAMED = 3  # nested subvolumes at most in a message
_WHOLE_TREE = {"tree": "tree"}  # changes of a reset: the whole tree was set aside
_NOTHING: list[Any] = []  # the trees were equal


class Btrfs:
    """See `Backend` for the promises. What only plain directories need is imported late."""

    durable = True

    def create(self, tree: Path) -> None:
        btrfs.create(tree)
        give_directory(tree)
        os.chmod(tree, 0o755)  # noqa: S103  its mode is cut by the umask

    def require_space(self, tree: Path, hints: FreezeHints) -> None:
        """A snapshot takes next to no space."""
        with _tree(tree) as source:
            if not btrfs.is_subvolume(source):
                self._copy.require_space(tree, hints)

    def atomic(self, tree: Path) -> bool:
        with _tree(tree) as source:
            return btrfs.is_subvolume(source)

    def require_space_to_reset(self, frozen: Path, tree: Path, hints: FreezeHints) -> None:
        """A snapshot takes next to no space, and a plain tree is cloned."""

    def require_space_to_refill(self, frozen: Path, tree: Path, hints: FreezeHints) -> None:
        """As `require_space_to_reset`."""

    def require_space_to_reconstruct(self, entry: Path) -> None:
        """As `require_space_to_reset`."""

    def precopy(self, tree: Path, hints: FreezeHints) -> None:
        """Does nothing: a snapshot could use none of it."""

    def freeze(self, tree: Path, into: Path, hints: FreezeHints) -> Frozen:
        """Raises NestedSubvolumes, which names the subvolumes in the tree: they would be empty in
        `into`.

        `into` must be where the frozen tree stays: only `move` takes it to another directory.
        """
        with _tree(tree) as source:
            if not btrfs.is_subvolume(source):
                with durably(into.parent):
                    return self._copy.freeze(tree, into, hints)
            _snapshot_whole(source, tree, into)
        with _tree(into) as frozen:
            return Frozen(None, of_snapshot(frozen))

    def thaw(self, frozen: Path, into: Path, flags: Flags | None = None) -> TreeIndex | None:
        with _tree(frozen) as source:
            if btrfs.is_subvolume(source):
                btrfs.snapshot(source, into, readonly=False)
            else:
                with durably(into.parent):
                    _fill(frozen, source, into, flags or NO_FLAGS)
        return None

    def stage_reset(self, frozen: Path, tree: Path, entry: Path, hints: FreezeHints) -> StagedReset:
        mountinfo.refuse(tree)
        if not hints.full and _unchanged(frozen, tree):
            return StagedReset([], _NOTHING)
        swap.refuse(tree)
        staged = entry / "tree"
        self.thaw(frozen, staged, hints.flags)
        step = Exchange(str(staged), str(tree), self.identity(staged), self.identity(tree))
        # unlike XFS, btrfs leaves the times of what it exchanges (btrfs_rename_exchange)
        return StagedReset([step], _WHOLE_TREE)

    def stage_refill(
        self, frozen: Path, tree: Path, entry: Path, hints: FreezeHints
    ) -> StagedReset:
        """A subvolume is never refilled: a disk without room for a snapshot has none for its files
        either. DiskFailed then."""
        with _tree(tree) as live:
            if btrfs.is_subvolume(live):
                raise DiskFailed(str(tree), os.strerror(errno.ENOSPC))
        return self._copy.stage_refill(frozen, tree, entry, hints)

    def refill(self, frozen: Path, tree: Path, index: Path, aside: Path) -> None:
        self._copy.refill(frozen, tree, index, aside)

    def is_committed(self, changes: Any, tree: Path, frozen: Path) -> bool:
        if changes == _WHOLE_TREE:
            return _unchanged(frozen, tree)
        return self._copy.is_committed(changes, tree, frozen)

    def reconstruct(
        self,
        entry: Path,
        changes: Any,
        frozen: Path,
        into: Path,
        flags: Flags | None = None,
    ) -> Flags | None:
        if changes not in (_WHOLE_TREE, _NOTHING):
            with durably(into.parent):
                return self._copy.reconstruct(entry, changes, frozen, into, flags)
        tree = frozen if changes == _NOTHING else entry / "tree"
        with _tree(tree) as source:
            if btrfs.is_subvolume(source):
                _snapshot_whole(source, tree, into)
                return None  # the snapshot has them itself
            with durably(into.parent):
                with Beneath(tree.parent) as above:
                    _fill(tree, source, into, read(above, tree.name))
                with opened_directory(into) as filled:
                    btrfs.set_readonly(filled, True)
        return None

    def delete(self, tree: Path) -> None:
        delete_tree(tree)

    def move(self, source: Path, target: Path) -> None:
        """A read-only subvolume is writable while it moves: its `..` changes, and the kernel
        (vfs_rename in fs/namei.c) takes that for a write. A crash there leaves it writable, which
        harms nothing: no container sees frozen trees. A lock of its root is lifted, too."""
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EPERM):
                raise
            with opened_directory(source) as fd, _writable(fd, error):
                own = get(fd)
                try:
                    unlock(fd)
                    os.rename(source, target)
                finally:
                    put(fd, own)

    def exchange(self, one: Path, other: Path) -> None:
        exchange(one, other)

    def identity(self, path: Path) -> int:
        """The inode; for a subvolume, whose inode all others have too, its negative tree id."""
        status = os.lstat(path)
        if status.st_ino == btrfs.ROOT and stat.S_ISDIR(status.st_mode):
            with opened_directory(path) as fd:
                if btrfs.is_subvolume(fd):
                    return -btrfs.tree_id(fd)
        return status.st_ino

    @property
    def _copy(self) -> Backend:
        from dvol.backends.copy.copy import Copy

        return Copy()


def _fill(path: Path, source: int, into: Path, flags: Flags) -> None:
    """Make a new subvolume equal to a plain directory, sharing its blocks, with these inode
    flags."""
    from dvol.backends.copy.thaw import Thawer
    from dvol.tree.hardlinks import HardLinks, count_names
    from dvol.tree.index import Index
    from dvol.tree.metadata import copy_attributes
    from dvol.tree.walk import fill

    btrfs.create(into)
    with opened_directory(into) as target:
        put(target, 0)  # else all below would inherit those of the pool's own directory
        links = into / _free_name(source)  # inside, since no hard link leads out of a subvolume
        thawer = Thawer(count_names(source), HardLinks(links), Index(), flags)
        fill(source, target, None, str(path), thawer)
        delete_tree(links)
        copy_attributes(source, target)
    give_all(flags, into)


@contextmanager
def _tree(path: Path) -> Iterator[int]:
    """The open tree; an OSError of the block becomes a DiskFailed that names the tree."""
    try:
        with opened_directory(path) as fd:
            _refuse_placeholder(fd, path)
            yield fd
    except OSError as error:
        if error.errno == errno.ETXTBSY:
            swap.refuse(path)  # no snapshot can be made of it (btrfs(5), swapfile support)
        raise disk_failed(error, path) from error


def _refuse_placeholder(fd: int, path: Path) -> None:
    """After a disk was put back to one of its snapshots the pool lies in that snapshot, and the
    pool's subvolumes do not: in their places are empty directories, which must not be taken for
    empty trees."""
    status = os.fstat(fd)
    if status.st_ino == btrfs.PLACEHOLDER and os.major(status.st_dev) == 0:
        raise DiskFailed(str(path), "its subvolume is not in this snapshot of the disk")


def _unchanged(frozen: Path, tree: Path) -> bool:
    """Whether one is a snapshot of the other, and the live tree was not changed since."""
    with _tree(frozen) as commit, _tree(tree) as live:
        if not (btrfs.is_subvolume(commit) and btrfs.is_subvolume(live)):
            return False
        if not btrfs.unchanged(live, commit):
            return False
        sync_filesystem(live)  # a sync costs time: only where it looks unchanged
        return btrfs.unchanged(live, commit)


def _snapshot_whole(source: int, tree: Path, into: Path) -> None:
    """Raises NestedSubvolumes. They are looked for twice, because one may be made in between."""
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
    """Let an open read-only subvolume be written to in the block. Raises `error` if it is none:
    then another directory is read-only."""
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
