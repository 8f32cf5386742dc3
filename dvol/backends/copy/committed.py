"""Whether what a reset in place will set aside is in a commit already."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from dvol.fs.beneath import Beneath
from dvol.tree.metadata import same_status
from dvol.tree.walk import directories

_SET_ASIDE = ("removed", "replaced")


def is_committed(changes: Any, tree: Path, frozen: Path) -> bool:
    """See `Backend.is_committed`. Files are compared by status, and none is read."""
    with Beneath(tree) as live, Beneath(frozen) as commit:
        paths = [path for kind, path, *_ in changes if kind in _SET_ASIDE]
        return all(_is_same(path, live, commit) for path in paths)


def _is_same(path: str, live: Beneath, commit: Beneath) -> bool:
    one, other = _status(path, live), _status(path, commit)
    if other is None or one is None or not stat.S_ISDIR(one.st_mode):
        return one is not None and other is not None and same_status(one, other)
    if not stat.S_ISDIR(other.st_mode):
        return False
    for inner, _, files in directories(live.directory(path)):
        inside = f"{path}/{inner}" if inner else path
        if not all(_is_same(f"{inside}/{entry.name}", live, commit) for entry in files):
            return False
    return True


def _status(path: str, beneath: Beneath) -> os.stat_result | None:
    try:
        directory, name = beneath.parent(path)
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
