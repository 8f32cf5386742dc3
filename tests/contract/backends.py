"""Backends: a past of which nothing is known, and whether a tree is a subvolume."""

from pathlib import Path

from dvol.backends import FreezeHints
from dvol.fs import btrfs
from dvol.fs.directories import opened_directory

# no index and no earlier commit
UNKNOWN = FreezeHints(Path("/nonexistent/index"))


def is_subvolume(path: Path) -> bool:
    with opened_directory(path) as fd:
        return btrfs.is_subvolume(fd)


def is_readonly(path: Path) -> bool:
    with opened_directory(path) as fd:
        return btrfs.is_readonly(fd)


def make_readonly(path: Path) -> None:
    with opened_directory(path) as fd:
        btrfs.set_readonly(fd, True)
