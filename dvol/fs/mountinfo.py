"""What is mounted in a tree: a rename or a deletion of a directory above would take it along."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dvol.errors import InTheWay


def mounted_in(path: str | Path) -> str | None:
    """A mount point at or below a real path, as this process sees them."""
    wanted = os.fsencode(path)
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        escaped = line.split(b" ")[4]  # proc_pid_mountinfo(5)
        point = re.sub(rb"\\([0-7]{3})", lambda digits: bytes([int(digits[1], 8)]), escaped)
        if point == wanted or point.startswith(wanted + b"/"):
            return os.fsdecode(point)
    return None


def refuse(tree: Path) -> None:
    """Raise InTheWay if something is mounted on a tree or in it."""
    point = mounted_in(tree)
    if point is not None:
        raise InTheWay(f"what is mounted at {point}")
