"""The backend that works on every file system: a commit is a whole copy of the tree.

Trees are walked by directory descriptor and never by path, because containers decide what is
inside: a directory swapped for a symlink while we walk must not lead us out of the tree.
One entry is copied in `entries`, trees are deleted in `deletion`; here is the walk.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dvol.backends import Properties
from dvol.backends.deletion import delete_tree
from dvol.backends.entries import Copier, copy_attributes
from dvol.errors import DiskFailed, TreeChanged, disk_failed

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Copy:
    """Trees are plain directories; see `Backend` for the promises."""

    properties = Properties(name="copy", atomic_freeze=False)

    def create(self, tree: Path) -> None:
        os.mkdir(tree)
        os.chmod(tree, 0o755)  # noqa: S103  mkdir's mode is cut by the umask

    def freeze(self, tree: Path, into: Path) -> None:
        copy_tree(tree, into)

    def restore(self, frozen: Path, into: Path) -> None:
        copy_tree(frozen, into)

    def delete(self, tree: Path) -> None:
        delete_tree(tree)


@dataclass
class _Level:
    """A directory being copied: both descriptors, and the names still to come."""

    source: int
    target: int
    path: str
    began: int  # when the copy did, by the clock of the file system, in ns
    names: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = iter(os.listdir(self.source))

    def finish(self) -> None:
        """Last, because filling a directory changes its times and may need its write bit.

        A directory that changed since the copy began may have lost a file to one that was
        copied before, or won one that was copied already.
        """
        if os.fstat(self.source).st_ctime_ns > self.began:
            raise TreeChanged(self.path)
        copy_attributes(self.source, self.target)
        self.close()

    def close(self) -> None:
        os.close(self.source)
        os.close(self.target)


def copy_tree(source: Path, target: Path) -> None:
    """Make the directory `target` equal to `source`; DiskFailed names what could not be."""
    _allow_deep_trees()
    links = target.with_name(target.name + ".links")
    os.mkdir(links, 0o700)
    levels: list[_Level] = []
    try:
        os.mkdir(target, 0o700)
        began = os.lstat(target).st_ctime_ns
        levels.append(_enter(source, target, str(source), began))
        _walk(levels, Copier(links))
    except OSError as error:
        raise disk_failed(error, source) from error
    finally:
        for level in levels:
            level.close()
    delete_tree(links)


def _walk(levels: list[_Level], copier: Copier) -> None:
    """Depth first with a stack of our own: containers make trees deeper than Python's."""
    while levels:
        level = levels[-1]
        name = next(level.names, None)
        if name is None:
            level.finish()
            levels.pop()
            continue
        try:
            _copy(name, levels, copier)
        except OSError as error:
            raise _named(error, level, name) from error


def _copy(name: str, levels: list[_Level], copier: Copier) -> None:
    level = levels[-1]
    status = os.stat(name, dir_fd=level.source, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(name, 0o700, dir_fd=level.target)
        path, directories = f"{level.path}/{name}", (level.source, level.target)
        levels.append(_enter(name, name, path, level.began, directories))
    else:
        copier.copy(name, status, level.source, level.target)


def _enter(
    source: str | Path,
    target: str | Path,
    path: str,
    began: int,
    directories: tuple[int, int] | tuple[None, None] = (None, None),
) -> _Level:
    one = os.open(source, _DIRECTORY, dir_fd=directories[0])
    try:
        return _Level(one, os.open(target, _DIRECTORY, dir_fd=directories[1]), path, began)
    except OSError:
        os.close(one)
        raise


def _named(error: OSError, level: _Level, name: str) -> DiskFailed | TreeChanged:
    """ENOENT and friends under our feet mean that somebody writes to the tree."""
    path = f"{level.path}/{name}"
    if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno == errno.ELOOP:
        return TreeChanged(path)
    return disk_failed(error, path)


def _allow_deep_trees() -> None:
    """Two descriptors a level: the usual soft limit of 1024 ends at depth 500."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
