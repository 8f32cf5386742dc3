"""Making writes durable: the names in a directory, or everything that a block of code writes.

The caller knows what is written, and why it must last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dvol.fs.directories import opened_directory
from dvol.fs.syscalls import ONE_LOG, dirty, filesystem, named, sync_filesystem

_BYTES_PER_FSYNC = 1 << 20  # bytes that a disk writes while a log is forced


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable: a rename is not, until its directory is synced."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with named(directory):
            os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Make a file durable. On ext4, XFS and btrfs the name of a new file is durable with it."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        with named(path):
            os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def durably(directory: Path, *staged: Path) -> Iterator[None]:
    """Make everything that the block writes on the file system of `directory` durable at its end.

    One syncfs(2), which for a freshly copied tree is far cheaper than an fsync per file. Since
    Linux 5.8 syncfs also reports write-back errors, but only those since its descriptor was opened:
    hence it is opened before the first write. A failed sync is never retried, because the kernel
    has then already thrown the pages away.

    If everything that must be durable lies below `staged` and is little, while much else is dirty
    (pages of a database that was just killed), only the files below `staged` are synced.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield
        with named(directory):
            if not (staged and filesystem(fd) in ONE_LOG and _sync_only(staged)):
                sync_filesystem(fd)
    finally:
        os.close(fd)


def _sync_only(staged: Sequence[Path]) -> bool:
    """Sync the files below some directories of dvol's own, unless a sync of everything would be
    faster: each fsync may wait for the log, syncfs waits for all dirty pages. Returns whether it
    did."""
    try:
        found = _below(staged, dirty() // _BYTES_PER_FSYNC)
    except OSError:  # too deep for a path
        return False
    for path in found:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    return bool(found)


def _below(directories: Sequence[Path], most: int) -> list[str]:
    """Regular files, then directories, each before its parent; none if they are more than
    `most`."""
    files: list[str] = []
    found = list(map(str, directories))
    for directory in found:  # the loop appends to it
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    files.append(entry.path)
        if len(files) + len(found) > most:
            return []
    return files + found[::-1]


def flush(directory: Path) -> None:
    """Write all dirty pages of the file system that holds `directory`, and wait for it."""
    with opened_directory(directory) as fd:
        sync_filesystem(fd)
