"""Backends: a past of which nothing is known, and whether a tree is a subvolume."""

from pathlib import Path

from dvol.backends import Past
from dvol.fs import btrfs

# no index and no earlier commit
UNKNOWN = Past(Path("/nonexistent/index"))


def is_subvolume(path: Path) -> bool:
    with btrfs.opened(path) as fd:
        return btrfs.is_subvolume(fd)


def is_readonly(path: Path) -> bool:
    with btrfs.opened(path) as fd:
        return btrfs.is_readonly(fd)


def make_readonly(path: Path) -> None:
    with btrfs.opened(path) as fd:
        btrfs.set_readonly(fd, True)
