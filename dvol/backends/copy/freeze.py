"""Freezing a live tree: what is unchanged is linked from an older frozen tree, the rest copied.

Frozen trees are immutable, so they may share inodes with each other; a live tree shares none.
When a file counts as unchanged is decided by `clean`; where that proves nothing, by comparing.
"""

from __future__ import annotations

import errno
import os
import stat

from dvol.backends.copy.precopy import Ahead
from dvol.errors import TreeChanged
from dvol.fs.durable import sync_filesystem, write_back
from dvol.tree.change_detection import live_signature, may_vouch, signature
from dvol.tree.content import ContentCopier, same_content
from dvol.tree.hardlinks import Groups, Inode, fits
from dvol.tree.index import Directory, Index, Known, now
from dvol.tree.metadata import (
    WRITE,
    copy_attributes,
    copy_special,
    open_file,
    opened,
    same_special,
    same_status,
    same_xattrs,
)
from dvol.tree.walk import Level

_FEW = 64  # files; from there on one write-back of everything is quicker
_CANNOT_LINK = (errno.EMLINK, errno.ENOENT, errno.ENOTDIR, errno.EPERM, errno.EXDEV)


class WriteBack:
    """Write-backs: of single files while they are few, then once of the whole file system."""

    def __init__(self, tree: int, useful: bool) -> None:
        self.tree = tree  # open since before any of it was read
        self.useful = useful
        self._began = 0
        self._files = 0

    def of(self, file: int) -> int:
        """Write back the open `file`, if that did not happen yet; when it began, by the file
        system's clock in ns, or 0 where it proves nothing. It has ended."""
        if self._began or not self.useful:
            return self._began
        self._files += 1
        began = now()
        if self._files > _FEW:
            sync_filesystem(self.tree)
            self._began = began
        else:
            write_back(file)
        return began


class Freezer:
    """Places the files of a live tree in a frozen one, and notes what proves them unchanged."""

    def __init__(
        self,
        known: Known,
        ended: bool,
        index: Index,
        written_back: WriteBack,
        groups: Groups,
        device: int,
        ahead: Ahead,
        hurry: bool,
    ) -> None:
        self.known = known
        self.ended = ended
        self.index = index
        self.written_back = written_back
        self.groups = groups
        self.device = device
        self.ahead = ahead
        self.content = ContentCopier(hurry)
        self._joined: dict[int, int] = {}  # frozen inode -> live inode
        self._vouched: dict[Inode, bytes | None] = {}  # of files in groups

    def place(self, level: Level) -> list[str]:
        """See `Placer`. One pass, since this is where the time goes."""
        known = self.known.directories.get(level.path, {}) if level.beside is not None else {}
        kept: Directory = {}
        directories, name = [], "."
        try:
            with os.scandir(level.source) as entries:
                for entry in entries:
                    name, status = entry.name, entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        directories.append(name)
                        continue
                    old = known.get(name)
                    clean = old is not None and self._is_clean(old, status)
                    if clean and status.st_nlink == 1 and _linked(name, level):
                        vouched = old
                    else:
                        vouched = self._place_apart(name, status, level, clean)
                    if vouched is not None:
                        kept[name] = vouched
        except OSError as error:
            raise level.named(error, name) from error
        self.index.directories[level.path] = kept
        return directories

    def _is_clean(self, old: bytes, status: os.stat_result) -> bool:
        return old.startswith(live_signature(status)) and status.st_dev == self.device

    def _place_apart(
        self, name: str, status: os.stat_result, level: Level, clean: bool
    ) -> bytes | None:
        """Any entry that could not just be linked; its signature, if it may be vouched for."""
        several = status.st_nlink > 1
        inode = (status.st_dev, status.st_ino)
        if several and self.groups.link(inode, name, level.target):
            return self._vouched.get(inode)
        place = self._place_file if stat.S_ISREG(status.st_mode) else self._place_special
        vouched = place(name, level, clean)
        if several:
            self.groups.placed(inode, status.st_nlink, name, level.target)
            self._vouched[inode] = vouched
        return vouched

    def _place_file(self, name: str, level: Level, clean: bool) -> bytes | None:
        with opened(name, level.source) as one:
            began = self.written_back.of(one)  # before the first stat
            before = os.fstat(one)
            frozen = self._link_equal(name, one, before, level, clean)
            if not frozen:
                other = self.ahead.take(before, name, level.target)
                frozen = copy_file(name, one, before, level.target, self.content, other).st_ino
            after = os.fstat(one)
        if signature(before, 0) != signature(after, 0):
            raise TreeChanged("/".join(filter(None, (level.label, level.path, name))))
        vouches = may_vouch(before, after, began, self.ended) and before.st_dev == self.device
        return signature(after, frozen) if vouches else None

    def _link_equal(
        self, name: str, one: int, status: os.stat_result, level: Level, clean: bool
    ) -> int:
        """Link the older frozen file of that name if it is equal; its inode, or 0."""
        if level.beside is None:
            return 0
        try:
            other = open_file(name, level.beside)
        except OSError:
            return 0
        try:
            frozen = os.fstat(other)
            equal = same_status(status, frozen) and self._may_join(status, frozen, level)
            if equal and not clean:
                equal = same_xattrs(one, other) and same_content(one, other, status.st_size)
            if not equal or not _linked(name, level):
                return 0
        finally:
            os.close(other)
        self._joined[frozen.st_ino] = status.st_ino
        return frozen.st_ino

    def _may_join(self, status: os.stat_result, frozen: os.stat_result, level: Level) -> bool:
        """Files that merely look alike are not made one; a group finds room for all its names."""
        other = self._joined.get(frozen.st_ino, status.st_ino)
        return other == status.st_ino and fits(frozen, status.st_nlink, level.target)

    def _place_special(self, name: str, level: Level, clean: bool) -> bytes | None:
        began = now()  # it has no content that could be written back
        before = os.stat(name, dir_fd=level.source, follow_symlinks=False)
        if stat.S_ISREG(before.st_mode) or stat.S_ISDIR(before.st_mode):
            raise TreeChanged("/".join(filter(None, (level.label, level.path, name))))
        if not self._link_equal_special(name, before, level):
            copy_special(name, before, level.source, name, level.target)
        after = os.stat(name, dir_fd=level.source, follow_symlinks=False)
        frozen = os.stat(name, dir_fd=level.target, follow_symlinks=False).st_ino
        vouches = may_vouch(before, after, began, self.ended) and before.st_dev == self.device
        return signature(after, frozen) if vouches else None

    def _link_equal_special(self, name: str, status: os.stat_result, level: Level) -> bool:
        if level.beside is None:
            return False
        try:
            frozen = os.stat(name, dir_fd=level.beside, follow_symlinks=False)
        except OSError:
            return False
        if not same_status(status, frozen) or not self._may_join(status, frozen, level):
            return False
        if not same_special(name, level.source, level.beside) or not _linked(name, level):
            return False
        self._joined[frozen.st_ino] = status.st_ino
        return True


def copy_file(
    name: str,
    one: int,
    status: os.stat_result,
    target: int,
    content: ContentCopier,
    older: int | None = None,
) -> os.stat_result:
    """Make a copy of the open file, which has `status`; the status of the copy. `older` is one that
    is there already, open: it is made true, and closed."""
    other = os.open(name, WRITE, 0o600, dir_fd=target) if older is None else older
    try:
        content.copy(one, other, status, over=older is not None)
        copy_attributes(one, other)
        return os.fstat(other)
    finally:
        os.close(other)


def _linked(name: str, level: Level) -> bool:
    """Give the older frozen file of that name a name here, too."""
    try:
        os.link(name, name, src_dir_fd=level.beside, dst_dir_fd=level.target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        return False
    return True
