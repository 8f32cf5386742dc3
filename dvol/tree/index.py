"""The index: under which signature each file of a live tree was last known equal to a frozen one.

It only ever saves work. An index that is missing, torn, of another boot, device or format, or whose
frozen tree no longer exists, proves nothing; then contents are compared. When a signature may enter
an index is decided in `change_detection`.

On disk: a line of JSON, then the paths of the directories, the names of their files, and the
signatures, each joined without a loop, since there may be 200,000 of them.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dvol.errors import BadDocument
from dvol.fs.clock import offset
from dvol.fs.create import create
from dvol.fs.documents import read_file
from dvol.fs.syscalls import filesystem
from dvol.tree.change_detection import (
    SIGNATURE,
    Epoch,
    is_not_racy,
    live_signature,
    signature,
    still_proves,
)
from dvol.tree.write_back import WriteBack

FORMAT = 1
TESTED = frozenset({"ext4", "xfs", "btrfs"})  # elsewhere mmap may not touch ctime (tmpfs, FUSE)
Directory = dict[str, bytes]  # name -> signature


class Index:
    """Signatures by directory (its path in the tree, "" for the root) and file name."""

    def __init__(
        self, epoch: Epoch | None = None, directories: dict[str, Directory] | None = None
    ) -> None:
        self.epoch = epoch  # None on a file system where a signature proves nothing
        self.directories = {} if directories is None else directories

    def forget(self, paths: Iterable[str]) -> None:
        """Let these files be compared the next time."""
        for path in paths:
            folder, name = os.path.split(path)
            self.directories.get(folder, {}).pop(name, None)

    def save(self, path: Path, base: Path) -> None:
        """Write the index to a new file, which need not be durable; nothing if it has no `epoch`.
        `base` is the frozen tree that the live one equals."""
        if self.epoch is None:
            return
        used = {name: files for name, files in self.directories.items() if files}
        paths = b"\0".join(map(os.fsencode, used))
        names = b"\0".join(os.fsencode("/".join(files)) for files in used.values())
        signatures = b"".join(b"".join(files.values()) for files in used.values())
        body = paths + names + signatures
        header = {
            "format": FORMAT,
            "base": os.path.relpath(base, path.parent.resolve()),
            "inode": os.lstat(base).st_ino,
            **self.epoch._asdict(),
            "directories": len(used),
            "paths": len(paths),
            "names": len(names),
            "sum": zlib.crc32(body),
        }
        with os.fdopen(create(path), "wb") as file:
            file.write(json.dumps(header).encode() + b"\n" + body)


class IndexWriter:
    """Enters files of the open live `tree` in an index, once they were found equal to frozen ones.

    `writers_stopped` says that every process that could write to the tree has ended.
    """

    def __init__(self, tree: int, index: Index, writers_stopped: bool) -> None:
        self.index = index
        self._write_back = WriteBack(tree, index.epoch is not None)
        self._writers_stopped = writers_stopped
        self.device = os.fstat(tree).st_dev

    def before_reading(self, file: int) -> int:
        """Write the open `file` back; returns when that began, as `WriteBack.of` does."""
        return self._write_back.of(file)

    def entry(
        self, before: os.stat_result, after: os.stat_result, began: int, frozen: int
    ) -> bytes | None:
        """The signature of a file that equals the frozen file of inode `frozen`; None where it
        would prove nothing. `before` and `after` were taken around the reading."""
        clean = is_not_racy(before, after, began, self._writers_stopped)
        return signature(after, frozen) if clean and after.st_dev == self.device else None


class LoadedIndex(NamedTuple):
    """An index as read from disk. `base` is the frozen tree that its files equal; None if the index
    proves nothing."""

    directories: dict[str, Directory]
    base: Path | None

    def is_clean(self, directory: str, name: str, status: os.stat_result) -> bool:
        """Whether a file has the signature that the index holds for it."""
        old = self.directories.get(directory, {}).get(name)
        return old is not None and old.startswith(live_signature(status))


NOTHING = LoadedIndex({}, None)


def load(path: Path | None, now: Epoch | None) -> LoadedIndex:
    """What the index at `path` proves `now`: NOTHING also if there is none or it is torn."""
    if path is None:
        return NOTHING
    try:
        data = read_file(path)
        end = data.index(b"\n")
        header = json.loads(data[:end])
        base = path.parent / _inside(header["base"])
        if now is None or not _proves(header, base, now):
            return NOTHING
        return LoadedIndex(_parsed(header, data[end + 1 :]), base)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, BadDocument):
        return NOTHING


def epoch(tree: int) -> Epoch | None:
    """The epoch of this moment, on the file system of the open `tree`; None where a status proves
    nothing."""
    if filesystem(tree) not in TESTED:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Epoch(boot, os.fstat(tree).st_dev, offset())


def _inside(base: str) -> str:
    """A path relative to the volume's `.dvol/index`; ValueError if it leads out of the volume."""
    parts = str(base).split("/")
    if (parts[:2] != ["..", ".."] and parts[:1] != [".."]) or ".." in parts[2:] or "" in parts:
        raise ValueError(base)
    return base


def _proves(header: dict[str, Any], base: Path, now: Epoch) -> bool:
    """The inode shows that the frozen tree is still the same one, so that no inode in it can have
    been given to another file since."""
    then = Epoch(header["boot"], header["device"], header["offset"])
    known = header["format"] == FORMAT and still_proves(then, now)
    return known and os.lstat(base).st_ino == header["inode"]


def _parsed(header: dict[str, Any], body: bytes) -> dict[str, Directory]:
    if zlib.crc32(body) != header["sum"]:
        raise ValueError("torn")
    if not header["directories"]:
        return {}
    names_at = header["paths"]
    signatures_at = names_at + header["names"]
    paths = os.fsdecode(body[:names_at]).split("\0")
    names = os.fsdecode(body[names_at:signatures_at]).split("\0")
    size = SIGNATURE.size
    pieces = (body[at : at + size] for at in range(signatures_at, len(body), size))
    return {
        path: dict(zip(files.split("/"), pieces, strict=False))
        for path, files in zip(paths, names, strict=True)
    }
