"""What is mounted where, as this process sees it: proc_pid_mountinfo(5), read in one place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dvol.errors import PathOccupied

_PROC = Path("/proc")
_ESCAPED = re.compile(rb"\\([0-7]{3})")  # how the kernel spells space, tab, newline, backslash


class Mount(NamedTuple):
    """One mount: the directory `root` of the file system on `device` ("8:1") is at `point`."""

    device: str
    root: Path
    point: Path


def mounts(pid: int | str = "self") -> list[Mount]:
    """Every mount that a process sees, in the kernel's order; OSError if there is none with that
    number."""
    return [
        Mount(device.decode("ascii"), Path(os.fsdecode(root)), Path(os.fsdecode(point)))
        for device, root, point in _lines(pid)
    ]


def place_of(path: Path, seen: list[Mount]) -> Mount | None:
    """Where a directory lies in its file system, whatever mount shows it: `root` is its path there.
    None if no mount in `seen` shows it."""
    real = Path(os.path.realpath(path))
    found = [mount for mount in seen if real.is_relative_to(mount.point)]
    if not found:
        return None
    over = max(found, key=lambda mount: len(mount.point.parts))
    top = [mount for mount in found if mount.point == over.point][-1]  # the last one hides others
    return Mount(top.device, top.root / real.relative_to(top.point), real)


def mounted_in(path: str | Path) -> str | None:
    """A mount point at or below a real path, None if there is none."""
    wanted = os.fsencode(path)
    for _, _, point in _lines():
        if point == wanted or point.startswith(wanted + b"/"):
            return os.fsdecode(point)
    return None


def refuse(tree: Path) -> None:
    """Raise PathOccupied if something is mounted on a tree or in it: renaming or deleting a
    directory above would take the mount along."""
    point = mounted_in(tree)
    if point is not None:
        raise PathOccupied(f"what is mounted at {point}")


def _lines(pid: int | str = "self") -> Iterator[tuple[bytes, bytes, bytes]]:
    """Device, root and mount point of each line."""
    for line in (_PROC / str(pid) / "mountinfo").read_bytes().splitlines():
        device, root, point = line.split(b" ")[2:5]
        yield device, _unescaped(root), _unescaped(point)


def _unescaped(field: bytes) -> bytes:
    return _ESCAPED.sub(lambda digits: bytes([int(digits[1], 8)]), field)
