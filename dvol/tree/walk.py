"""The walk that makes one tree from another, directory by directory.

By descriptor and never by path, because containers decide what is inside a tree: a directory
swapped for a symlink while we walk must not lead us out of it. What happens to the files of a
directory is a `Placer`'s: see `freezing` and `restoring`.
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
from dvol.tree.metadata import copy_attributes


class Level:
    """A directory that is being made: the open source and target, and where the target may be
    linked from (`beside`), if there is such a directory. `path` is relative to the tree."""

    def __init__(
        self, source: int, target: int, beside: int | None, path: str, label: str, began: int
    ) -> None:
        self.source = source
        self.target = target
        self.beside = beside
        self.path = path
        self.label = label  # of the tree, for messages
        self.began = began  # when the walk did, by the clock of the file system, in ns
        self.seen = os.fstat(source).st_ctime_ns
        self.directories: Iterator[str] = iter(())

    def named(self, error: OSError, name: str) -> DiskFailed | TreeChanged:
        """ENOENT and friends under our feet mean that somebody writes to the tree."""
        path = "/".join(filter(None, (self.label, self.path, name)))
        changed = isinstance(error, FileNotFoundError | NotADirectoryError)
        if changed or error.errno in (errno.ELOOP, errno.ESTALE):
            return TreeChanged(path)
        return disk_failed(error, path)

    def inner(self, name: str) -> Level:
        """The level of a directory in this one, made in the target."""
        os.mkdir(name, 0o700, dir_fd=self.target)
        path = f"{self.path}/{name}" if self.path else name
        source = os.open(name, DIRECTORY, dir_fd=self.source)
        try:
            target = os.open(name, DIRECTORY, dir_fd=self.target)
        except OSError:
            os.close(source)
            raise
        beside = open_beside(name, self.beside)
        return Level(source, target, beside, path, self.label, self.began)

    def finish(self) -> None:
        """Last, because filling a directory changes its times and may need its write bit.

        A directory that changed since the walk began may have lost a file to one that was
        walked before, or won one that was walked already. A time to come is no such change: it
        is of before the clock was set back.
        """
        ctime = os.fstat(self.source).st_ctime_ns
        if ctime != self.seen or self.began < ctime <= time.time_ns():
            raise TreeChanged("/".join(filter(None, (self.label, self.path))))
        copy_attributes(self.source, self.target)
        self.close()

    def close(self) -> None:
        for fd in (self.source, self.target, self.beside):
            if fd is not None:
                os.close(fd)


class Placer(Protocol):
    """What makes the files of a directory."""

    def place(self, level: Level) -> list[str]:
        """Make all but the directories, whose names are returned."""


def fill(
    source: int, target: int, beside: int | None, label: str, placer: Placer, path: str = ""
) -> None:
    """Make the new, open directory `target` equal to the open `source`; `path` is where it is
    in the tree that is called `label`.

    Depth first with a stack of our own: containers make trees deeper than Python's. Raises
    TreeChanged, DiskFailed; all descriptors stay the caller's.
    """
    allow_deep_trees()
    began = os.fstat(target).st_ctime_ns
    fds = [os.dup(source), os.dup(target), None if beside is None else os.dup(beside)]
    levels = [Level(fds[0] or 0, fds[1] or 0, fds[2], path, label, began)]
    try:
        levels[0].directories = iter(placer.place(levels[0]))
        while levels:
            level = levels[-1]
            name = next(level.directories, None)
            if name is None:
                level.finish()
                levels.pop()
                continue
            try:
                levels.append(level.inner(name))
            except OSError as error:
                raise level.named(error, name) from error
            levels[-1].directories = iter(placer.place(levels[-1]))
    finally:
        for level in levels:
            level.close()


Found = list[os.DirEntry[str]]


def directories(tree: int, tolerant: bool = False) -> Iterator[tuple[str, Found, Found]]:
    """Each directory of the open `tree`: its path, and what it holds, directories and others.

    Where `tolerant`, one that goes away meanwhile, or is swapped for something else, is left out.
    """
    allow_deep_trees()
    levels = [(os.dup(tree), "", [""])]
    try:
        while levels:
            fd, path, waiting = levels[-1]
            if not waiting:
                os.close(levels.pop()[0])
                continue
            name = waiting.pop()
            try:
                inner = os.open(name or ".", DIRECTORY, dir_fd=fd)
            except (FileNotFoundError, NotADirectoryError):
                if tolerant:
                    continue
                raise
            levels.append((inner, f"{path}/{name}" if path else name, []))
            folders, others = _sorted_out(inner)
            levels[-1][2].extend(entry.name for entry in folders)
            yield levels[-1][1], folders, others
    finally:
        for fd, _, _ in levels:
            os.close(fd)


def _sorted_out(directory: int) -> tuple[Found, Found]:
    folders: Found = []
    others: Found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            (folders if entry.is_dir(follow_symlinks=False) else others).append(entry)
    return folders, others


def open_beside(name: str, parent: int | None) -> int | None:
    """The directory of that name, if there is one."""
    if parent is None:
        return None
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except OSError:
        return None


def allow_deep_trees() -> None:
    """A few descriptors a level: the usual soft limit of 1024 ends at depth 300."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
