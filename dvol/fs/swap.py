"""Files that are in use as swap space. The kernel lets none be copied, renamed or deleted, and its
ETXTBSY and EPERM do not say why (swapon(2), IS_SWAPFILE in the kernel)."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from dvol.errors import SwapInUse

_SWAPS = Path("/proc/swaps")  # proc_swaps(5)
_ESCAPED = re.compile(rb"\\([0-7]{3})")  # how the kernel spells space, tab, newline, backslash


def is_swap(path: str | Path) -> bool:
    """Whether the file at a path is in use as swap space, by device and inode."""
    with suppress(OSError):
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode):
            return any(_is_same(other, status) for other in _files())
    return False


def refuse(directory: Path) -> None:
    """Raise SwapInUse if such a file lies below a directory, whose path is real. To rename the
    directory would succeed, and to delete it would not."""
    for path in below(directory):
        raise SwapInUse(str(path))


def below(directory: Path) -> list[Path]:
    """Such files below a directory, whose path is real."""
    return [path for path in _files() if path.is_relative_to(directory) and is_swap(path)]


def _files() -> list[Path]:
    """The paths as this process sees them; a partition among them is no file of a tree."""
    with suppress(OSError):  # a kernel without swap
        fields = [line.split(maxsplit=1)[0] for line in _SWAPS.read_bytes().splitlines()[1:]]
        return [Path(os.fsdecode(_unescaped(field))) for field in fields]
    return []


def _unescaped(field: bytes) -> bytes:
    return _ESCAPED.sub(lambda digits: bytes([int(digits[1], 8)]), field)


def _is_same(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), status)
    except OSError:
        return False
