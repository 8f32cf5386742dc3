"""A volume on a disk, for the tests of what is unchanged and therefore neither copied nor read."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from dvol.containers import NoContainers
from dvol.engine.local import LocalEngine
from tests.contract.trees import inodes

ANN = "Ann <ann@example.org>"
TICK = 0.025  # seconds after which a change can be told from the next, once writers have ended
FLIGHT = 2.1  # the same while they may only be paused

ROOT = pytest.mark.root


def on(*kinds: str) -> pytest.MarkDecorator:
    """On these file systems, where the backend that copies is at work."""
    params = [kind if kind == "dir" else pytest.param(kind, marks=ROOT) for kind in kinds]
    return pytest.mark.parametrize("filesystem", params, indirect=True, scope="session")


BELIEVED = on("ext4", "xfs")  # whose times prove something
DISKS = on("ext4", "xfs", "tmpfs")
ALL = on("dir", "ext4", "xfs", "tmpfs")


@dataclass(frozen=True)
class Volume:
    """The volume `v` of a pool."""

    pool: LocalEngine

    @property
    def root(self) -> Path:
        return self.pool.root / "v"

    @property
    def tree(self) -> Path:
        """The live tree of the current branch."""
        return self.root / "branches" / self.pool.get("v").branch

    @property
    def index(self) -> Path:
        """Of the first branch."""
        return self.root / ".dvol" / "index" / "master"

    @property
    def frozen(self) -> list[Path]:
        """Every frozen tree, also those that were dropped."""
        return sorted(self.root.glob("commits/*")) + sorted(self.root.glob(".dvol/undo/*/*/base"))

    def commit(self, full: bool = False) -> Path:
        """Commit; the frozen tree."""
        return self.root / "commits" / self.pool.commit("v", "a change", ANN, full=full).id

    def reset(self, revision: str = "HEAD") -> None:
        self.pool.reset("v", revision)

    def undo(self) -> None:
        self.pool.undo("v")

    def known(self) -> Path:
        """Commit such that the index vouches for every file, as far as it may; the frozen tree."""
        time.sleep(TICK if self.pool.containers.certain else FLIGHT)
        return self.commit()

    def assert_apart(self) -> None:
        """No live tree shares an inode with a frozen one."""
        live = [inodes(tree) for tree in self.root.glob("branches/*") if tree.is_dir()]
        assert not set().union(*live) & set().union(*map(inodes, self.frozen))


def made(place: Path, ended: bool = True) -> Volume:
    """A new volume in `place`."""
    pool = LocalEngine(place / "volumes", NoContainers(certain=ended))
    pool.init("v")
    return Volume(pool)


def inode(path: Path) -> int:
    return os.lstat(path).st_ino


def same_times(path: Path, status: os.stat_result) -> None:
    """Set a file's times to what they were."""
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def overwritten(path: Path, content: bytes) -> None:
    """Other content of the same length in the same inode."""
    fd = os.open(path, os.O_WRONLY)
    try:
        assert os.fstat(fd).st_size == len(content)
        os.pwrite(fd, content, 0)
    finally:
        os.close(fd)
