"""Whether an index is right: each file in it is read and compared with the frozen tree.

An index only saves work, but with a wrong one a commit would keep old content instead of new. The
rules by which an index is written are in `tree.change_detection`; here their result is checked.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dvol.fs.beneath import Beneath
from dvol.fs.directories import is_directory
from dvol.tree.change_detection import live_signature
from dvol.tree.content import same_content
from dvol.tree.index import epoch, load
from dvol.tree.metadata import opened, same_special, same_status, same_xattrs


def wrong_entry(index: Path, tree: Path) -> str | None:
    """The path of a file that the index says is equal to the frozen one, and is not; None if there
    is no such file.

    A process may write to the tree meanwhile: a file counts only if it still has the signature in
    the index after it was read.
    """
    with Beneath(tree) as live:
        known = load(index, epoch(live.directory("")))
        if known.base is None or not is_directory(known.base):
            return None
        with Beneath(known.base) as frozen:
            for folder, files in known.directories.items():
                name = _wrong_one(folder, files, live, frozen)
                if name is not None:
                    return f"{folder}/{name}" if folder else name
    return None


def _wrong_one(folder: str, files: dict[str, bytes], live: Beneath, frozen: Beneath) -> str | None:
    try:
        here, there = live.directory(folder), frozen.directory(folder)
    except OSError:  # it is no directory any more: then the index says nothing of its files
        return None
    for name, entry in files.items():
        matches = _matches(name, entry, here)
        if matches and not _same(name, here, there) and _matches(name, entry, here):
            return name
    return None


def _matches(name: str, entry: bytes, directory: int) -> bool:
    """Whether a file has the signature in the index: then a commit takes it for unchanged."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return entry.startswith(live_signature(status))


def _same(name: str, here: int, there: int) -> bool:
    try:
        one = os.stat(name, dir_fd=here, follow_symlinks=False)
        other = os.stat(name, dir_fd=there, follow_symlinks=False)
        if not same_status(one, other):
            return False
        if not stat.S_ISREG(one.st_mode):
            return same_special(name, here, there)
        with opened(name, here) as live, opened(name, there) as frozen:
            equal = same_content(live, frozen, other.st_size)
            return equal and same_xattrs(live, frozen)
    except OSError:  # it was deleted or replaced meanwhile
        return False
