"""Comparing a live tree with a frozen one: what has to change so that they are equal.

Reads only. The index says what need not be read; where it proves nothing contents are compared.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from dvol.backends.copy.freeze import WriteBack
from dvol.errors import InTheWay, disk_failed
from dvol.fs.beneath import DIRECTORY
from dvol.tree.change_detection import may_vouch, signature
from dvol.tree.content import same_content
from dvol.tree.index import Directory, Index, Known, now
from dvol.tree.metadata import opened, same_special, same_status, same_xattrs
from dvol.tree.walk import allow_deep_trees


class Kind(StrEnum):
    ADD = "add"  # it is only in the frozen tree
    REMOVE = "remove"  # it is only in the live tree
    REPLACE = "replace"  # it differs
    DRESS = "dress"  # a directory's owner, mode, or extended attributes differ
    TIMES = "times"  # a directory's times will differ


class Change(NamedTuple):
    """One change that makes the live tree more like the frozen one; `old` is a live inode."""

    kind: Kind
    path: str
    old: int = 0


class Pair:
    """A directory that both trees have."""

    def __init__(self, live: int, frozen: int, path: str) -> None:
        self.live = live
        self.frozen = frozen
        self.path = path
        self.names: Iterator[str] = iter(())  # of directories both have

    def at(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name

    def close(self) -> None:
        os.close(self.live)
        os.close(self.frozen)


class Entry(NamedTuple):
    """An entry of the live tree that is no directory, and the frozen inode of the same name."""

    name: str
    status: os.stat_result
    frozen: int


_NONE: Directory = {}


class Comparison:
    """Two trees, and what is known about them beforehand.

    `names` counts the names of the frozen files that have several in their tree.
    """

    def __init__(
        self,
        known: Known,
        written_back: WriteBack,
        ended: bool,
        names: dict[int, int],
        device: int,
        label: str,
        index: Index,
    ) -> None:
        self.known = known
        self.written_back = written_back
        self.ended = ended
        self.names = names
        self.device = device
        self.label = label
        self.index = index  # of what stays as it is
        self.changes: list[Change] = []
        self._kept: dict[int, list[os.stat_result]] = {}
        self._broken: set[int] = set()

    def run(self, live: int, frozen: int) -> None:
        """Compare two open trees; then `changes` are complete, directories' times last."""
        allow_deep_trees()
        self._walk(live, frozen)
        self._broken = {inode for inode, kept in self._kept.items() if self._is_broken(inode, kept)}
        if self._broken:  # rare: once more, replacing them whole
            self.changes.clear()
            self._walk(live, frozen)
        self.changes.sort(key=lambda change: change.kind in (Kind.DRESS, Kind.TIMES))

    def _is_broken(self, inode: int, kept: list[os.stat_result]) -> bool:
        """A file that stays must have the same names as the frozen one, and no others."""
        names = self.names.get(inode, 1)
        whole = len(kept) == names and all(status.st_nlink == names for status in kept)
        return not whole or len({status.st_ino for status in kept}) > 1

    def _walk(self, live: int, frozen: int) -> None:
        stack = [Pair(os.dup(live), os.dup(frozen), "")]
        try:
            stack[0].names = iter(self._compare(stack[0]))
            while stack:
                pair = stack[-1]
                name = next(pair.names, None)
                if name is None:
                    stack.pop().close()
                    continue
                stack.append(self._inner(pair, name))
                stack[-1].names = iter(self._compare(stack[-1]))
        except OSError as error:
            raise disk_failed(error, f"{self.label}/{stack[-1].path}") from error
        finally:
            for pair in stack:
                pair.close()

    def _inner(self, pair: Pair, name: str) -> Pair:
        live = os.open(name, DIRECTORY, dir_fd=pair.live)
        try:
            if os.fstat(live).st_dev != self.device:
                raise InTheWay(f"what is mounted at {self.label}/{pair.at(name)}")
            return Pair(live, os.open(name, DIRECTORY, dir_fd=pair.frozen), pair.at(name))
        except BaseException:
            os.close(live)
            raise

    def _compare(self, pair: Pair) -> list[str]:
        """Note what differs in one directory; the names of the directories that both have."""
        changed, directories = len(self.changes), []
        self.index.directories[pair.path] = {}
        with os.scandir(pair.frozen) as entries:
            frozen = {entry.name: entry for entry in entries}
        with os.scandir(pair.live) as entries:
            for entry in entries:
                name, other = entry.name, frozen.pop(entry.name, None)
                folder = other is not None and other.is_dir(follow_symlinks=False)
                if folder and entry.is_dir(follow_symlinks=False):
                    directories.append(name)
                    continue
                status = entry.stat(follow_symlinks=False)
                if other is None:
                    self._leave(name, status, pair, Kind.REMOVE)
                elif folder or not self._stays(Entry(name, status, other.inode()), pair):
                    self._leave(name, status, pair, Kind.REPLACE)
        self.changes += [Change(Kind.ADD, pair.at(name)) for name in frozen]
        self._compare_directory(pair, len(self.changes) > changed)
        return directories

    def _stays(self, entry: Entry, pair: Pair) -> bool:
        """Whether an entry that is no directory is equal to the frozen one of its name."""
        name, status = entry.name, entry.status
        vouched = self.known.directories.get(pair.path, _NONE).get(name)
        if vouched != signature(status, entry.frozen) or status.st_dev != self.device:
            equal, vouched = self._read(entry, pair)
            if not equal:
                return False
        if status.st_nlink > 1 or entry.frozen in self.names:
            self._kept.setdefault(entry.frozen, []).append(status)
            if entry.frozen in self._broken:
                return False
        if vouched is not None:
            self.index.directories[pair.path][name] = vouched
        return True

    def _read(self, entry: Entry, pair: Pair) -> tuple[bool, bytes | None]:
        """Compare an entry with the frozen one; whether they are equal, and the signature under
        which that may be remembered."""
        name = entry.name
        frozen = os.stat(name, dir_fd=pair.frozen, follow_symlinks=False)
        if not same_status(entry.status, frozen):
            return False, None
        regular = stat.S_ISREG(frozen.st_mode)
        equal = self._same_file if regular else self._same_special
        return equal(name, pair)

    def _same_file(self, name: str, pair: Pair) -> tuple[bool, bytes | None]:
        with opened(name, pair.live) as one, opened(name, pair.frozen) as other:
            began = self.written_back.of(one)
            before, frozen = os.fstat(one), os.fstat(other)
            same = same_status(before, frozen) and same_xattrs(one, other)
            if not same or not same_content(one, other, frozen.st_size):
                return False, None
            return True, self._vouched(before, os.fstat(one), began, frozen.st_ino)

    def _same_special(self, name: str, pair: Pair) -> tuple[bool, bytes | None]:
        began = now()
        before = os.stat(name, dir_fd=pair.live, follow_symlinks=False)
        frozen = os.stat(name, dir_fd=pair.frozen, follow_symlinks=False)
        if not same_status(before, frozen) or not same_special(name, pair.live, pair.frozen):
            return False, None
        after = os.stat(name, dir_fd=pair.live, follow_symlinks=False)
        return True, self._vouched(before, after, began, frozen.st_ino)

    def _vouched(
        self, before: os.stat_result, after: os.stat_result, began: int, frozen: int
    ) -> bytes | None:
        vouches = may_vouch(before, after, began, self.ended) and after.st_dev == self.device
        return signature(after, frozen) if vouches else None

    def _leave(self, name: str, status: os.stat_result, pair: Pair, kind: Kind) -> None:
        if status.st_dev != self.device:
            raise InTheWay(f"what is mounted at {self.label}/{pair.at(name)}")
        self.changes.append(Change(kind, pair.at(name), status.st_ino))

    def _compare_directory(self, pair: Pair, touched: bool) -> None:
        live, frozen = os.fstat(pair.live), os.fstat(pair.frozen)
        worn = (live.st_mode, live.st_uid, live.st_gid)
        if worn != (frozen.st_mode, frozen.st_uid, frozen.st_gid) or not same_xattrs(
            pair.live, pair.frozen
        ):
            self.changes.append(Change(Kind.DRESS, pair.path))
        elif touched or live.st_mtime_ns != frozen.st_mtime_ns:
            self.changes.append(Change(Kind.TIMES, pair.path))
