"""The walk that makes one tree from another, directory by directory.

By descriptor and never by path, because programs in containers decide what is inside a tree: a
directory that is swapped for a symlink during the walk must not lead out of the tree. A `Placer`
decides what happens to the files of a directory; those of the copy backend freeze, thaw and link.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from typing import Protocol

from dvol.errors import DvolError, EncryptedDirectory, TreeChanged
from dvol.fs import refusals
from dvol.fs.beneath import DIRECTORY
from dvol.fs.create import give_copy
from dvol.fs.flags import ENCRYPTED, ask
from dvol.tree.levels import Level, ascend, descend
from dvol.tree.metadata import NOT_KNOWN, copy_attributes


class DirPair(Level):
    """A directory that is being made: the open source and target, and `parent_dir`, the same
    directory in the parent commit, if there is one: its files may be linked. `path` is relative to
    the tree."""

    fds = ("source", "target", "parent_dir")

    def __init__(
        self, source: int, target: int, parent_dir: int | None, path: str, label: str, began: int
    ) -> None:
        self.source = source
        self.target = target
        self.parent_dir = parent_dir
        self.path = path
        self.label = label  # of the tree, for messages
        self.began = began  # when the walk began, in ns by the clock of the file system
        self.status = os.fstat(source)
        self.flags = ask(source)  # inode flags
        self.xattrs = NOT_KNOWN  # their checksum, once they were copied
        self.directories: Iterator[str] = iter(())

    def at(self, name: str) -> str:
        """The path of an entry of the directory, relative to the tree."""
        return f"{self.path}/{name}" if self.path else name

    def named_path(self, name: str = "") -> str:
        """The path of an entry of the directory, for messages."""
        return "/".join(filter(None, (self.label, self.path, name)))

    def named(self, error: OSError, name: str) -> DvolError:
        """The error to raise for `name`. ENOENT, ENOTDIR, ELOOP and ESTALE mean that a process
        writes to the tree."""
        path = self.named_path(name)
        changed = isinstance(error, FileNotFoundError | NotADirectoryError)
        if changed or error.errno in (errno.ELOOP, errno.ESTALE):
            return TreeChanged(path)
        return refusals.named(error, path)

    def inner(self, name: str) -> DirPair:
        """Make the directory `name` in the target; the pair of it and its source."""
        os.mkdir(name, 0o700, dir_fd=self.target)
        source = os.open(name, DIRECTORY, dir_fd=self.source)
        try:
            target = os.open(name, DIRECTORY, dir_fd=self.target)
        except OSError:
            os.close(source)
            raise
        parent_dir = open_parent_dir(name, self.parent_dir)
        return DirPair(source, target, parent_dir, self.at(name), self.label, self.began)

    def finish(self) -> None:
        """Copy the attributes. Last, because filling a directory changes its times and
        may need its write bit."""
        self.xattrs = copy_attributes(self.source, self.target)

    def require_unchanged(self) -> None:
        """Raise TreeChanged if the source changed since the walk began: it may have lost a file to
        a directory that was walked before, or got one from a directory that was walked already. A
        ctime in the future does not count as a change: it was written before the clock was set
        back.
        """
        ctime = os.fstat(self.source).st_ctime_ns
        if ctime != self.status.st_ctime_ns or self.began < ctime <= time.time_ns():
            raise TreeChanged(self.named_path())


class Placer(Protocol):
    """Makes the files of a directory."""

    def place(self, pair: DirPair) -> list[str]:
        """Make all entries but the directories, whose names are returned."""


def fill(
    source: int,
    target: int,
    parent_dir: int | None,
    label: str,
    placer: Placer,
    path: str = "",
    watched: bool = True,
) -> None:
    """Make the new, open directory `target` equal to the open `source`; `path` is where it is in
    the tree that is called `label`. The source is not `watched` for changes if only the walk can
    change it, as it does on an overlay where a file of the lower layer gets another name.

    Depth first with a stack of its own: containers make trees deeper than Python's. Raises
    TreeChanged, EncryptedDirectory, DiskFailed. The descriptors stay open, and the caller closes
    them.
    """
    began = os.fstat(target).st_ctime_ns
    fds = [os.dup(source), os.dup(target), None if parent_dir is None else os.dup(parent_dir)]
    pairs = [DirPair(fds[0] or 0, fds[1] or 0, fds[2], path, label, began)]
    try:
        _enter(pairs[0], placer)
        while pairs:
            pair = pairs[-1]
            name = next(pair.directories, None)
            try:
                if name is None:
                    _leave(pairs, watched)
                    continue
                descend(pairs, pair.inner(name))
            except OSError as error:
                raise pair.named(error, name or "") from error
            _enter(pairs[-1], placer)
    finally:
        for pair in pairs:
            pair.close()


def _enter(pair: DirPair, placer: Placer) -> None:
    """Make the entries of a directory but the directories. Refused if they would be copied from an
    encrypted directory to plain text; in a pool that is encrypted itself they are not."""
    if pair.flags & ENCRYPTED and not ask(pair.target) & ENCRYPTED:
        raise EncryptedDirectory(pair.named_path())
    give_copy(pair.target, pair.status)
    pair.directories = iter(placer.place(pair))


def _leave(pairs: list[DirPair], watched: bool) -> None:
    """Leave a directory whose entries are made."""
    pair = ascend(pairs)
    try:
        if watched:
            pair.require_unchanged()
        pair.finish()
    finally:
        pair.close()


Found = list[os.DirEntry[str]]


class _Directory(Level):
    """A directory whose directories in `waiting` were not walked yet."""

    fds = ("fd",)

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path
        self.waiting: list[str] = []

    def entries(self) -> tuple[str, Found, Found]:
        """Its path, the directories in it, and the other entries."""
        folders: Found = []
        others: Found = []
        with os.scandir(self.fd) as entries:
            for entry in entries:
                (folders if entry.is_dir(follow_symlinks=False) else others).append(entry)
        self.waiting = [entry.name for entry in folders]
        return self.path, folders, others


def directories(tree: int, tolerant: bool = False) -> Iterator[tuple[str, Found, Found]]:
    """Each directory of the open `tree`: its path, the directories in it, and the other entries.

    If `tolerant`, a directory that is deleted or replaced during the walk is left out; else
    OSError. One that is moved is OSError ESTALE.
    """
    levels = [_Directory(os.open(".", DIRECTORY, dir_fd=tree), "")]
    try:
        yield levels[-1].entries()
        while levels:
            above = levels[-1]
            if not above.waiting:
                ascend(levels).close()
                continue
            name = above.waiting.pop()
            try:
                inner = os.open(name, DIRECTORY, dir_fd=above.fd)
            except (FileNotFoundError, NotADirectoryError):
                if tolerant:
                    continue
                raise
            descend(levels, _Directory(inner, f"{above.path}/{name}" if above.path else name))
            yield levels[-1].entries()
    finally:
        for level in levels:
            level.close()


def open_parent_dir(name: str, parent: int | None) -> int | None:
    """The directory `name` in the open `parent`; None if there is none, or no `parent`."""
    if parent is None:
        return None
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except OSError:
        return None
