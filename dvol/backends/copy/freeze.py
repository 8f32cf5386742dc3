"""Freezing a live tree: unchanged files are linked from the parent commit, all others copied.

Frozen trees are immutable, so they may share inodes with each other; a live tree shares none. When
a file counts as unchanged is decided by `change_detection`; where that proves nothing, the contents
are compared.
"""

from __future__ import annotations

import errno
import os
import stat

from dvol.backends.copy.precopy import Precopied
from dvol.errors import TreeChanged
from dvol.fs import flags, projects
from dvol.fs.clock import now
from dvol.tree.change_detection import live_signature, signature
from dvol.tree.content import ContentCopier, same_content
from dvol.tree.flags import NO_FLAGS, put
from dvol.tree.hardlinks import HardLinks, Inode, fits
from dvol.tree.index import Directory, IndexWriter, LoadedIndex
from dvol.tree.metadata import (
    NOT_KNOWN,
    WRITE,
    copy_attributes,
    copy_special,
    open_file,
    opened,
    same_special,
    same_status,
    shared_xattrs,
)
from dvol.tree.summary import SummaryWriter, in_group, record
from dvol.tree.walk import DirPair

_CANNOT_LINK = (errno.EMLINK, errno.ENOENT, errno.ENOTDIR, errno.EPERM, errno.EXDEV)


class Freezer:
    """Places the files of a live tree in a frozen one, and enters them in the index of `writer` and
    in the `summary`.

    `known` is what an earlier index proves, `precopied` holds the clones that `precopy` made.
    """

    def __init__(
        self,
        known: LoadedIndex,
        writer: IndexWriter,
        summary: SummaryWriter,
        links: HardLinks,
        precopied: Precopied,
        urgent: bool,
    ) -> None:
        self.known = known
        self.writer = writer
        self.summary = summary
        self.links = links
        self.precopied = precopied
        self.content = ContentCopier(urgent)
        self._joined: dict[int, int] = {}  # frozen inode -> live inode
        self._entries: dict[Inode, bytes | None] = {}  # index entries of files with several names
        self._records: dict[Inode, bytes] = {}  # their records in the summary
        self._flags: dict[Inode, int] = {}  # their inode flags
        self._flags_known = summary.base_flags is not None  # else each file is opened
        self._base_flags = summary.base_flags or NO_FLAGS
        self._placed: dict[str, bytes] = {}  # the records of the directory that is being placed

    def place(self, pair: DirPair) -> list[str]:
        """See `Placer`. One loop, because most of a freeze's time is spent here."""
        known = self.known.directories.get(pair.path, {}) if pair.parent_dir is not None else {}
        kept: Directory = {}
        linked: list[str] = []
        self._placed, in_base = {}, self.summary.knows(pair.path)
        device = self.writer.device
        directories, name = [], "."
        try:
            with os.scandir(pair.source) as entries:
                for entry in entries:
                    name, status = entry.name, entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        directories.append(name)
                        continue
                    old = known.get(name)
                    clean = (
                        old is not None
                        and old.startswith(live_signature(status))
                        and status.st_dev == device
                    )
                    if (
                        clean
                        and self._flags_known
                        and status.st_nlink == 1
                        and _try_link(name, pair)
                    ):
                        found = old
                        if in_base:
                            linked.append(name)
                        else:
                            self._placed[name] = record(status)
                            self._note_flags(name, pair, self._base_flags.get(pair.at(name), 0))
                    else:
                        found = self._place_entry(name, status, pair, clean)
                    if found is not None:
                        kept[name] = found
        except OSError as error:
            raise pair.named(error, name) from error
        self.writer.index.directories[pair.path] = kept
        self.summary.add(pair, linked, self._placed)
        return directories

    def _place_entry(
        self, name: str, status: os.stat_result, pair: DirPair, clean: bool
    ) -> bytes | None:
        """Place an entry that is not simply linked; its signature, if it may enter the index."""
        has_links = status.st_nlink > 1
        inode = (status.st_dev, status.st_ino)
        if has_links and self.links.link(inode, name, pair.target):
            self._placed[name] = self._records[inode]
            self._note_flags(name, pair, self._flags.get(inode, 0))
            return self._entries.get(inode)
        place = self._place_file if stat.S_ISREG(status.st_mode) else self._place_special
        found = place(name, pair, clean)
        if has_links:
            self.links.placed(inode, status.st_nlink, name, pair.target)
            self._entries[inode] = found
            self._records[inode] = in_group(self._placed[name], len(self._records) + 1)
            self._placed[name] = self._records[inode]
            self._flags[inode] = self.summary.flags.get(pair.at(name), 0)
        return found

    def _note_flags(self, name: str, pair: DirPair, own: int) -> None:
        if own:
            self.summary.flags[pair.at(name)] = own

    def _place_file(self, name: str, pair: DirPair, clean: bool) -> bytes | None:
        with opened(name, pair.source) as one:
            began = self.writer.before_reading(one)  # before the first stat
            before, own = os.fstat(one), flags.get(one)
            self._note_flags(name, pair, own)
            # a frozen file has the same flags in all commits that have it: then whether a live file
            # is clean says that of its flags, too
            may_link = self._base_flags.get(pair.at(name), 0) == own
            frozen = self._link_equal(name, one, before, pair, clean) if may_link else 0
            if not frozen:
                other = self.precopied.take(before, name, pair.target)
                copied, xattrs = copy_file(name, one, before, pair.target, self.content, other)
                frozen, self._placed[name] = copied.st_ino, record(before, xattrs)
            after = os.fstat(one)
        if signature(before, 0) != signature(after, 0):
            raise TreeChanged(pair.named_path(name))
        return self.writer.entry(before, after, began, frozen)

    def _link_equal(
        self, name: str, one: int, status: os.stat_result, pair: DirPair, clean: bool
    ) -> int:
        """Link the parent commit's file of that name if it is equal; its inode, or 0. What is
        linked without reading it is recorded without extended attributes."""
        if pair.parent_dir is None:
            return 0
        try:
            other = open_file(name, pair.parent_dir)
        except OSError:
            return 0
        try:
            frozen = os.fstat(other)
            equal = same_status(status, frozen) and self._may_join(status, frozen, pair)
            xattrs = NOT_KNOWN
            if equal and not clean:
                xattrs = shared_xattrs(one, other)
                equal = xattrs != NOT_KNOWN and same_content(one, other, status.st_size)
            if not equal or not _try_link(name, pair):
                return 0
        finally:
            os.close(other)
        self._joined[frozen.st_ino] = status.st_ino
        self._placed[name] = record(status, xattrs)
        return frozen.st_ino

    def _may_join(self, status: os.stat_result, frozen: os.stat_result, pair: DirPair) -> bool:
        """Whether a live file may become a name of the frozen one: not if another live file did,
        since files that only look alike are not made one, and only if the frozen one can have all
        its names."""
        other = self._joined.get(frozen.st_ino, status.st_ino)
        return other == status.st_ino and fits(frozen, status.st_nlink, pair.target)

    def _place_special(self, name: str, pair: DirPair, clean: bool) -> bytes | None:
        began = now()  # it has no content that could be written back
        before = os.stat(name, dir_fd=pair.source, follow_symlinks=False)
        if stat.S_ISREG(before.st_mode) or stat.S_ISDIR(before.st_mode):
            raise TreeChanged(pair.named_path(name))
        if not self._link_equal_special(name, before, pair):
            copy_special(name, before, pair.source, name, pair.target)
        self._placed[name] = record(before)
        after = os.stat(name, dir_fd=pair.source, follow_symlinks=False)
        frozen = os.stat(name, dir_fd=pair.target, follow_symlinks=False).st_ino
        return self.writer.entry(before, after, began, frozen)

    def _link_equal_special(self, name: str, status: os.stat_result, pair: DirPair) -> bool:
        if pair.parent_dir is None:
            return False
        try:
            frozen = os.stat(name, dir_fd=pair.parent_dir, follow_symlinks=False)
        except OSError:
            return False
        if not same_status(status, frozen) or not self._may_join(status, frozen, pair):
            return False
        if not same_special(name, pair.source, pair.parent_dir) or not _try_link(name, pair):
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
    early: int = 0,
) -> tuple[os.stat_result, int]:
    """Copy the open file, which has `status`; the status of the copy, and the checksum of its
    extended attributes. `older` is an open copy of that name that is out of date: it is updated,
    and closed. A new file gets the `early` flags while it is empty."""
    other = os.open(name, WRITE, 0o600, dir_fd=target) if older is None else older
    try:
        if early:
            put(other, early)
        content.copy(one, other, status, over=older is not None)
        xattrs = copy_attributes(one, other)
        return os.fstat(other), xattrs
    finally:
        os.close(other)


def _try_link(name: str, pair: DirPair) -> bool:
    """Give the parent commit's file of that name a name in the target, too; False if it can't have
    one."""
    try:
        os.link(
            name, name, src_dir_fd=pair.parent_dir, dst_dir_fd=pair.target, follow_symlinks=False
        )
        return True
    except OSError as error:
        return _linked_after(error, name, pair)


def _linked_after(error: OSError, name: str, pair: DirPair) -> bool:
    fds = {"src_dir_fd": pair.parent_dir, "dst_dir_fd": pair.target}
    try:
        projects.link_after(error, name, name, **fds)
        return True
    except OSError as final:
        if final.errno not in _CANNOT_LINK:
            raise
        return False
