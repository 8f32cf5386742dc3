"""Whether an index is right: each file that it vouches for is read, and compared.

An index only saves work, but a wrong one would let a commit keep old content for new. The rules
by which it is made are `backends.clean`'s; this asks whether they held.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dvol.fs.beneath import Beneath
from dvol.fs.directories import is_directory
from dvol.tree.change_detection import live_signature
from dvol.tree.content import same_content
from dvol.tree.index import load, moment
from dvol.tree.metadata import opened, same_special, same_status, same_xattrs


def wrongly_vouched(index: Path, tree: Path) -> str | None:
    """The path of a file that the index takes for equal to a frozen one, and that is not.

    Somebody may write to the tree meanwhile: a file is wrong only if it still has the signature
    by which the index would believe it, after it was read.
    """
    with Beneath(tree) as live:
        known = load(index, moment(live.directory("")))
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
    except OSError:  # it is no directory now: then nothing in it is believed
        return None
    for name, vouched in files.items():
        believed = _is_believed(name, vouched, here)
        if believed and not _same(name, here, there) and _is_believed(name, vouched, here):
            return name
    return None


def _is_believed(name: str, vouched: bytes, directory: int) -> bool:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return vouched.startswith(live_signature(status))


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
    except OSError:  # gone, or something else by now
        return False
