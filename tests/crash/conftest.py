"""The stage, and the disks that pools lie on: a directory, and ext4, XFS and btrfs."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash import tally, tracer
from tests.crash.stage import Stage
from tests.lab import Unavailable
from tests.lab.filesystems import mounted

DISKS = ("ext4", "xfs", "btrfs")
ROOM = 4 << 30  # bytes that all images of all tests may take, with plenty to spare
# Btrfs frees a deleted subvolume later, and pools come and go here faster than it does.
ROOMY = {"btrfs": (("commit=1",), 1 << 30)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    if not tracer.SUPPORTED:
        pytest.skip("the tracer of the crash rings knows x86-64 only")
    stage = Stage()
    yield stage
    stage.close()


@dataclass(frozen=True)
class Ground:
    """Where a pool may be built: `kind` of file system, and a path that is free."""

    kind: str
    root: Path


@pytest.fixture(scope="session", params=["dir", *DISKS])
def disk(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """In memory, all of them: what is durable is not asked here, or asked of an image file."""
    with ExitStack() as undo:
        if request.param == "dir":
            place = Path(tempfile.mkdtemp(prefix="dvol-", dir=memory()))
            undo.callback(shutil.rmtree, place, ignore_errors=True)
        else:
            place = undo.enter_context(available(request.param, *ROOMY.get(request.param, ())))
        yield Ground(request.param, place)


@pytest.fixture
def ground(disk: Ground) -> Iterator[Ground]:
    place = Path(tempfile.mkdtemp(prefix="t", dir=disk.root))
    yield Ground(disk.kind, place / "pool")
    shutil.rmtree(place, ignore_errors=True)


@contextmanager
def available(kind: str, options: tuple[str, ...] = (), size: int = 16 << 20) -> Iterator[Path]:
    """A file system of a kind, small, with its image in memory; else a skip."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with ExitStack() as undo:
        try:
            root = undo.enter_context(mounted(kind, size, memory(), options))
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield root


def memory() -> Path:
    """Where files are quick: in memory, if there is enough and we may."""
    place = Path("/dev/shm")
    usable = place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > ROOM
    return place if usable else Path("/var/tmp")


@pytest.fixture
def sample(request: pytest.FixtureRequest) -> tally.Sample:
    return tally.Sample(every=request.config.getoption("--every-point"))
