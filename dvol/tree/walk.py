"""The walk that makes one tree from another, directory by directory.

By descriptor and never by path, because programs in containers decide what is inside a tree: a
directory that is swapped for a symlink during the walk must not lead out of the tree. A `Placer`
decides what happens to the files of a directory; those of the copy backend freeze, thaw and link.
"""

from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Iterator
from typing import Protocol

from dvol.errors import DiskFailed, TreeChanged, disk_failed
from dvol.fs.beneath import DIRECTORY
from dvol.tree.metadata import NOT_KNOWN, copy_attributes


class DirPair:
    """A directory that is being made: the open source and target, and `parent_dir`, the same
    directory in the parent commit, if there is one: its files may be linked. `path` is relative to
    the tree."""

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
        self.xattrs = NOT_KNOWN  # their checksum, once they were copied
        self.directories: Iterator[str] = iter(())

    def named_path(self, name: str = "") -> str:
        """The path of an entry of the directory, for messages."""
        return "/".join(filter(None, (self.label, self.path, name)))

    def named(self, error: OSError, name: str) -> DiskFailed | TreeChanged:
        """The error to raise for `name`. ENOENT, ENOTDIR, ELOOP and ESTALE mean that a process
        writes to the tree."""
        path = self.named_path(name)
        changed = isinstance(error, FileNotFoundError | NotADirectoryError)
        if changed or error.errno in (errno.ELOOP, errno.ESTALE):
            return TreeChanged(path)
        return disk_failed(error, path)

    def inner(self, name: str) -> DirPair:
        """Make the directory `name` in the target; the pair of it and its source."""
        os.mkdir(name, 0o700, dir_fd=self.target)
        path = f"{self.path}/{name}" if self.path else name
        source = os.open(name, DIRECTORY, dir_fd=self.source)
        try:
            target = os.open(name, DIRECTORY, dir_fd=self.target)
        except OSError:
            os.close(source)
            raise
        parent_dir = open_parent_dir(name, self.parent_dir)
        return DirPair(source, target, parent_dir, path, self.label, self.began)

    def finish(self) -> None:
        """Copy the attributes and close. Last, because filling a directory changes its times and
        may need its write bit.

        Raises TreeChanged if the source changed since the walk began: it may have lost a file to a
        directory that was walked before, or got one from a directory that was walked already. A
        ctime in the future does not count as a change: it was written before the clock was set
        back.
        """
        ctime = os.fstat(self.source).st_ctime_ns
        if ctime != self.status.st_ctime_ns or self.began < ctime <= time.time_ns():
            raise TreeChanged(self.named_path())
        self.xattrs = copy_attributes(self.source, self.target)
        self.close()

    def close(self) -> None:
        for fd in (self.source, self.target, self.parent_dir):
            if fd is not None:
                os.close(fd)


class Placer(Protocol):
    """Makes the files of a directory."""

    def place(self, pair: DirPair) -> list[str]:
        """Make all entries but the directories, whose names are returned."""


def fill(
    source: int, target: int, parent_dir: int | None, label: str, placer: Placer, path: str = ""
) -> None:
    """Make the new, open directory `target` equal to the open `source`; `path` is where it is in
    the tree that is called `label`.

    Depth first with a stack of its own: containers make trees deeper than Python's. Raises
    TreeChanged, DiskFailed. The descriptors stay open, and the caller closes them.
    """
    allow_deep_trees()
    began = os.fstat(target).st_ctime_ns
    fds = [os.dup(source), os.dup(target), None if parent_dir is None else os.dup(parent_dir)]
    pairs = [DirPair(fds[0] or 0, fds[1] or 0, fds[2], path, label, began)]
    try:
        pairs[0].directories = iter(placer.place(pairs[0]))
        while pairs:
            pair = pairs[-1]
            name = next(pair.directories, None)
            if name is None:
                pair.finish()
                pairs.pop()
                continue
            try:
                pairs.append(pair.inner(name))
            except OSError as error:
                raise pair.named(error, name) from error
            pairs[-1].directories = iter(placer.place(pairs[-1]))
    finally:
        for pair in pairs:
            pair.close()


Found = list[os.DirEntry[str]]


def directories(tree: int, tolerant: bool = False) -> Iterator[tuple[str, Found, Found]]:
    """Each directory of the open `tree`: its path, the directories in it, and the other entries.

    If `tolerant`, a directory that is deleted or replaced during the walk is left out; else
    OSError.
    """
    allow_deep_trees()
    pairs = [(os.dup(tree), "", [""])]
    try:
        while pairs:
            fd, path, waiting = pairs[-1]
            if not waiting:
                os.close(pairs.pop()[0])
                continue
            name = waiting.pop()
            try:
                inner = os.open(name or ".", DIRECTORY, dir_fd=fd)
            except (FileNotFoundError, NotADirectoryError):
                if tolerant:
                    continue
                raise
            pairs.append((inner, f"{path}/{name}" if path else name, []))
            folders, others = _split_entries(inner)
            pairs[-1][2].extend(entry.name for entry in folders)
            yield pairs[-1][1], folders, others
    finally:
        for fd, _, _ in pairs:
            os.close(fd)


def _split_entries(directory: int) -> tuple[Found, Found]:
    folders: Found = []
    others: Found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            (folders if entry.is_dir(follow_symlinks=False) else others).append(entry)
    return folders, others


def open_parent_dir(name: str, parent: int | None) -> int | None:
    """The directory `name` in the open `parent`; None if there is none, or no `parent`."""
    if parent is None:
        return None
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except OSError:
        return None


def allow_deep_trees() -> None:
    """Raise the soft limit of open files to the hard one: a walk needs a few for each level, and
    the usual 1024 end at depth 300."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
