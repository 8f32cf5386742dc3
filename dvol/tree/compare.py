"""Comparing a tree with a frozen one: the changes that would make it equal to that one.

Reads only. A live tree is compared with the help of its index. Two frozen trees are compared
without an index, at any time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from dvol.errors import PathOccupied, disk_failed
from dvol.fs import flags
from dvol.fs.beneath import DIRECTORY
from dvol.fs.clock import now
from dvol.tree.change_detection import signature
from dvol.tree.content import same_content
from dvol.tree.flags import NO_FLAGS, Flags
from dvol.tree.hardlinks import count_names
from dvol.tree.index import NOTHING, Directory, Index, IndexWriter, LoadedIndex
from dvol.tree.levels import Level, ascend, descend
from dvol.tree.metadata import opened, same_special, same_status, same_xattrs


class Kind(StrEnum):
    """What a change does to the first tree."""

    ADD = "add"  # the entry is only in the frozen tree
    REMOVE = "remove"  # the entry is only in the first tree
    REPLACE = "replace"  # the entries differ
    ATTRIBUTES = "attributes"  # a directory's owner, mode, xattrs or inode flags differ
    TIMES = "times"  # a directory's times differ, or will when its entries are changed


class Change(NamedTuple):
    """One change that makes the first tree more like the frozen one. `old` is the inode of the
    entry in the first tree that it removes or replaces, else 0."""

    kind: Kind
    path: str
    old: int = 0


class Pair(Level):
    """A directory that both trees have."""

    fds = ("live", "frozen")

    def __init__(self, live: int, frozen: int, path: str) -> None:
        self.live = live
        self.frozen = frozen
        self.path = path
        self.names: Iterator[str] = iter(())  # of the directories in it that both trees have

    def at(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name


class LiveEntry(NamedTuple):
    """An entry of the first tree that is no directory, and the frozen inode of the same name."""

    name: str
    status: os.stat_result
    frozen: int


_NONE: Directory = {}


def compare(one: int, other: int, label: str) -> list[Change]:
    """The changes that make the open frozen tree `one`, called `label`, equal to the open frozen
    tree `other`. Neither an index nor a pause is needed: frozen trees never change."""
    names = count_names(one)

    def links(status: os.stat_result) -> int:
        """Commits share inodes, so st_nlink of a frozen file counts names in other trees, too."""
        return names.get(status.st_ino, 1)

    comparison = Comparison(count_names(other), label, links=links)
    comparison.run(one, other)
    return comparison.changes


def _link_count(status: os.stat_result) -> int:
    return status.st_nlink


class Comparison:
    """A tree compared with a frozen one. `label` names the first tree in messages.

    `names` counts, by inode, the names of the frozen files that have several in their tree. `links`
    returns that count for a file of the first tree. `known` says which files need not be read.
    Files that are found equal are entered in the index of `writer`, if there is one. `inode_flags`
    are those that the frozen tree had while it was live; None if they are not known: then they
    are not compared.
    """

    def __init__(
        self,
        names: dict[int, int],
        label: str,
        known: LoadedIndex = NOTHING,
        writer: IndexWriter | None = None,
        links: Callable[[os.stat_result], int] = _link_count,
        inode_flags: Flags | None = None,
    ) -> None:
        self.names = names
        self.label = label
        self.known = known
        self.writer = writer
        self.links = links
        self.inode_flags = inode_flags
        self.index = writer.index if writer else Index()  # of the files that are equal
        self.changes: list[Change] = []
        self._device = 0
        self._kept: dict[int, list[os.stat_result]] = {}
        self._relinked: set[int] = set()

    def run(self, live: int, frozen: int) -> None:
        """Compare two open trees; afterwards `changes` are complete, those of directories'
        attributes and times last."""
        self._device = os.fstat(live).st_dev
        self._walk(live, frozen)
        self._relinked = {
            inode for inode, kept in self._kept.items() if self._links_differ(inode, kept)
        }
        if self._relinked:  # rare: compare again, and replace all names of these files
            self.changes.clear()
            self._walk(live, frozen)
        self.changes.sort(key=lambda change: change.kind in (Kind.ATTRIBUTES, Kind.TIMES))

    def _links_differ(self, inode: int, kept: list[os.stat_result]) -> bool:
        """A file that stays must have as many names as the frozen one, and no others."""
        names = self.names.get(inode, 1)
        whole = len(kept) == names and all(self.links(status) == names for status in kept)
        return not whole or len({status.st_ino for status in kept}) > 1

    def _walk(self, live: int, frozen: int) -> None:
        stack = [Pair(os.dup(live), os.dup(frozen), "")]
        try:
            stack[0].names = iter(self._compare_entries(stack[0]))
            while stack:
                pair = stack[-1]
                name = next(pair.names, None)
                if name is None:
                    ascend(stack).close()
                    continue
                descend(stack, self._open_inner(pair, name))
                stack[-1].names = iter(self._compare_entries(stack[-1]))
        except OSError as error:
            raise disk_failed(error, f"{self.label}/{stack[-1].path}") from error
        finally:
            for pair in stack:
                pair.close()

    def _open_inner(self, pair: Pair, name: str) -> Pair:
        live = os.open(name, DIRECTORY, dir_fd=pair.live)
        try:
            if os.fstat(live).st_dev != self._device:
                raise PathOccupied(f"what is mounted at {self.label}/{pair.at(name)}")
            return Pair(live, os.open(name, DIRECTORY, dir_fd=pair.frozen), pair.at(name))
        except BaseException:
            os.close(live)
            raise

    def _compare_entries(self, pair: Pair) -> list[str]:
        """Note what differs among the entries of one directory; returns the names of the
        directories that both trees have."""
        changed, directories = len(self.changes), []
        self.index.directories[pair.path] = {}
        with os.scandir(pair.frozen) as entries:
            frozen = {entry.name: entry for entry in entries}
        with os.scandir(pair.live) as entries:
            for entry in entries:
                name, other = entry.name, frozen.pop(entry.name, None)
                frozen_is_dir = other is not None and other.is_dir(follow_symlinks=False)
                if frozen_is_dir and entry.is_dir(follow_symlinks=False):
                    directories.append(name)
                    continue
                status = entry.stat(follow_symlinks=False)
                if other is None:
                    self._add_change(name, status, pair, Kind.REMOVE)
                elif frozen_is_dir or not self._stays(LiveEntry(name, status, other.inode()), pair):
                    self._add_change(name, status, pair, Kind.REPLACE)
        self.changes += [Change(Kind.ADD, pair.at(name)) for name in frozen]
        self._compare_attributes(pair, len(self.changes) > changed)
        return directories

    def _stays(self, entry: LiveEntry, pair: Pair) -> bool:
        """Whether an entry that is no directory equals the frozen one of its name, with its
        links."""
        name, status = entry.name, entry.status
        clean = self.known.directories.get(pair.path, _NONE).get(name)
        if clean != signature(status, entry.frozen) or status.st_dev != self._device:
            equal, clean = self._compare_entry(entry, pair)
            if not equal:
                return False
        if self.links(status) > 1 or entry.frozen in self.names:
            self._kept.setdefault(entry.frozen, []).append(status)
            if entry.frozen in self._relinked:
                return False
        if clean is not None:
            self.index.directories[pair.path][name] = clean
        return True

    def _compare_entry(self, entry: LiveEntry, pair: Pair) -> tuple[bool, bytes | None]:
        """Compare an entry with the frozen one by status and content; whether they are equal, and
        the signature that may enter the index."""
        name = entry.name
        frozen = os.stat(name, dir_fd=pair.frozen, follow_symlinks=False)
        if os.path.samestat(entry.status, frozen):  # one file: commits share what did not change
            return True, None
        if not same_status(entry.status, frozen):
            return False, None
        regular = stat.S_ISREG(frozen.st_mode)
        equal = self._same_file if regular else self._same_special
        return equal(name, pair)

    def _same_file(self, name: str, pair: Pair) -> tuple[bool, bytes | None]:
        with opened(name, pair.live) as one, opened(name, pair.frozen) as other:
            began = self.writer.before_reading(one) if self.writer else 0
            before, frozen = os.fstat(one), os.fstat(other)
            same = same_status(before, frozen) and same_xattrs(one, other)
            differing = self._differing_flags(one, pair.at(name)) if same else 0
            same = same and not (differing and differing & self._settable())
            if not same or not same_content(one, other, frozen.st_size):
                return False, None
            # a signature speaks for the flags, too
            clean = self._entry(before, os.fstat(one), began, frozen.st_ino)
            return True, None if differing else clean

    def _same_special(self, name: str, pair: Pair) -> tuple[bool, bytes | None]:
        began = now()
        before = os.stat(name, dir_fd=pair.live, follow_symlinks=False)
        frozen = os.stat(name, dir_fd=pair.frozen, follow_symlinks=False)
        if not same_status(before, frozen) or not same_special(name, pair.live, pair.frozen):
            return False, None
        after = os.stat(name, dir_fd=pair.live, follow_symlinks=False)
        return True, self._entry(before, after, began, frozen.st_ino)

    def _differing_flags(self, one: int, path: str) -> int:
        """The flags in which an open entry of the first tree may differ from the frozen one."""
        return flags.get(one) ^ (self.inode_flags or NO_FLAGS).get(path, 0)

    def _settable(self) -> int:
        """The flags of which a difference is a change; none if those of the frozen tree are not
        known."""
        return 0 if self.inode_flags is None else flags.settable()

    def _entry(
        self, before: os.stat_result, after: os.stat_result, began: int, frozen: int
    ) -> bytes | None:
        return self.writer.entry(before, after, began, frozen) if self.writer else None

    def _add_change(self, name: str, status: os.stat_result, pair: Pair, kind: Kind) -> None:
        if status.st_dev != self._device:
            raise PathOccupied(f"what is mounted at {self.label}/{pair.at(name)}")
        self.changes.append(Change(kind, pair.at(name), status.st_ino))

    def _compare_attributes(self, pair: Pair, entries_change: bool) -> None:
        live, frozen = os.fstat(pair.live), os.fstat(pair.frozen)
        differing = self._differing_flags(pair.live, pair.path)
        owned = (live.st_mode, live.st_uid, live.st_gid)
        if (
            owned != (frozen.st_mode, frozen.st_uid, frozen.st_gid)
            or not same_xattrs(pair.live, pair.frozen)
            or (differing and differing & self._settable())
        ):
            self.changes.append(Change(Kind.ATTRIBUTES, pair.path))
        elif entries_change or live.st_mtime_ns != frozen.st_mtime_ns:
            self.changes.append(Change(Kind.TIMES, pair.path))
