"""Backends: a past of which nothing is known, and whether a tree is a subvolume."""

from pathlib import Path

from dvol.backends import Past, subvolumes

# no index and no earlier commit
UNKNOWN = Past(Path("/nonexistent/index"))


def is_subvolume(path: Path) -> bool:
    with subvolumes.opened(path) as fd:
        return subvolumes.is_subvolume(fd)


def is_readonly(path: Path) -> bool:
    with subvolumes.opened(path) as fd:
        return subvolumes.is_readonly(fd)


def make_readonly(path: Path) -> None:
    with subvolumes.opened(path) as fd:
        subvolumes.set_readonly(fd, True)
