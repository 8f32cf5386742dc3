"""Asking about directories of a pool's own, where "there is none" is an ordinary answer."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def is_directory(path: Path) -> bool:
    """Whether a directory, and no symlink to one, is there. Doubt is raised, not answered:
    Docker forgets a volume that is said not to exist, so an I/O error must not mean "no"."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def names_in(directory: Path) -> list[str]:
    """What it holds, in no order; nothing where there is no such directory."""
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
