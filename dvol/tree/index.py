"""The index: under which signature each file of a live tree was last known equal to a frozen one.

It only ever saves work. An index that is missing, torn, of another boot, device or format, or
whose frozen tree is gone, vouches for nothing; then contents are compared. When a signature may
be vouched for is decided in `clean`.

On disk: a line of JSON, then the paths of the directories, the names of their files, and the
signatures, each joined without a loop, since there may be 200,000 of them.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from dvol.errors import BadDocument
from dvol.fs.durable import filesystem, read_file
from dvol.tree.change_detection import SIGNATURE, SLACK, Moment, live_signature, still_proves

FORMAT = 1
TESTED = frozenset({"ext4", "xfs", "btrfs"})  # elsewhere mmap may not touch ctime (tmpfs, FUSE)
_COARSE = 5  # CLOCK_REALTIME_COARSE, by which file systems stamp; Python has no name for it
_PATIENCE = 0.1  # seconds
_STEP = 0.0002  # seconds; a tick is 4 ms or 1

Directory = dict[str, bytes]  # name -> signature


class Index:
    """Signatures by directory (its path in the tree, "" for the root) and name."""

    def __init__(
        self, moment: Moment | None = None, directories: dict[str, Directory] | None = None
    ) -> None:
        self.moment = moment  # None where nothing can be vouched for
        self.directories = {} if directories is None else directories

    def save(self, path: Path, base: Path) -> None:
        """Write it to a new file; see `Memory`."""
        if self.moment is None:
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
            **self.moment._asdict(),
            "directories": len(used),
            "paths": len(paths),
            "names": len(names),
            "sum": zlib.crc32(body),
        }
        path.write_bytes(json.dumps(header).encode() + b"\n" + body)


class Known(NamedTuple):
    """An index that was read, and the frozen tree that it vouches by; None if it proves nothing."""

    directories: dict[str, Directory]
    base: Path | None

    def is_clean(self, directory: str, name: str, status: os.stat_result) -> bool:
        """Whether a file has the signature under which it was known."""
        old = self.directories.get(directory, {}).get(name)
        return old is not None and old.startswith(live_signature(status))


NOTHING = Known({}, None)


def load(path: Path, now: Moment | None) -> Known:
    """What the index at `path` proves `now`."""
    try:
        data = read_file(path)
        end = data.index(b"\n")
        header = json.loads(data[:end])
        base = path.parent / _inside(header["base"])
        if now is None or not _proves(header, base, now):
            return NOTHING
        return Known(_parsed(header, data[end + 1 :]), base)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, BadDocument):
        return NOTHING


def moment(tree: int) -> Moment | None:
    """Here and now, on the file system of the open `tree`; None where stats prove nothing."""
    if filesystem(tree) not in TESTED:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Moment(boot, os.fstat(tree).st_dev, _offset())


def now() -> int:
    """By the clock that file systems stamp with, in ns."""
    return time.clock_gettime_ns(_COARSE)


def wait_until_after(stamp: int) -> bool:
    """Wait until a new change would get a later stamp; False if the clock does not get there."""
    deadline = time.monotonic() + _PATIENCE
    while now() <= stamp:
        if time.monotonic() > deadline:
            return False
        time.sleep(_STEP)
    return True


def _offset() -> int:
    """How far the clock of the wall is ahead of the time since boot, in ns; read again if
    something came between the two, since too low an offset would hide a clock set back."""
    for _ in range(100):
        began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        wall = time.time_ns()
        ended = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if ended - began < SLACK:
            break
    return wall - began


def _inside(base: str) -> str:
    """ValueError unless it stays in the volume, of which `.dvol/index` is the path's parent."""
    parts = str(base).split("/")
    if (parts[:2] != ["..", ".."] and parts[:1] != [".."]) or ".." in parts[2:] or "" in parts:
        raise ValueError(base)
    return base


def _proves(header: dict[str, Any], base: Path, now: Moment) -> bool:
    """The inode makes sure that the frozen tree is the same one, so that no inode in it can
    have been given to another file since."""
    then = Moment(header["boot"], header["device"], header["offset"])
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
