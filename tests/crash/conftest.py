"""The worker process, and the file systems that pools are built on: a plain directory, ext4, XFS
and btrfs."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.inode_flags import unlock
from tests.crash import counts, tracer
from tests.crash.verbs import OF_A_USER, OF_FLAGS
from tests.crash.worker import Worker
from tests.lab import Unavailable
from tests.lab.filesystems import mounted

DISKS = ("ext4", "xfs", "btrfs")
SPACE = 4 << 30  # bytes in memory: more than the images of all tests take
# Btrfs frees a deleted subvolume later, and pools come and go here faster than it does.
ROOMY = {"btrfs": (("commit=1",), 1 << 30)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a sample the verbs of an ordinary user, and those of flags, are tried on one file system:
    they differ from the others by steps that no file system sees in another way."""
    mine = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in mine:
        item.add_marker(pytest.mark.slow)
    left = {item for item in mine if _lacks_flags(item)}
    if not config.getoption("--every-point"):
        left |= {item for item in mine if _is_for_every_point(item)}
    items[:] = [item for item in items if item not in left]


def _is_for_every_point(item: pytest.Item) -> bool:
    parameters = item.callspec.params if isinstance(item, pytest.Function) else {}
    name, disk = parameters.get("name"), parameters.get("disk", "dir")
    return (name in OF_A_USER and disk != "dir") or (name in OF_FLAGS and disk != "ext4")


def _lacks_flags(item: pytest.Item) -> bool:
    """The plain directory is on tmpfs, which has inode flags since Linux 6.6."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) else {}
    return parameters.get("name") in OF_FLAGS and parameters.get("disk", "dir") == "dir"


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """The process that runs the verbs."""
    if not tracer.SUPPORTED:
        pytest.skip("the tracer of the crash rings knows x86-64 only")
    worker = Worker()
    yield worker
    worker.close()


@dataclass(frozen=True)
class Filesystem:
    """A directory on a file system: its `kind`, and its path."""

    kind: str
    root: Path

    @property
    def pool(self) -> Path:
        """Where a pool may be built; nothing is there yet."""
        return self.root / "pool"


@pytest.fixture(scope="session", params=["dir", *DISKS])
def disk(request: pytest.FixtureRequest) -> Iterator[Filesystem]:
    """A file system of each kind, all in memory: no test here asks it what is durable."""
    with ExitStack() as undo:
        if request.param == "dir":
            place = Path(tempfile.mkdtemp(prefix="dvol-", dir=memory()))
            place.chmod(0o755)
            undo.callback(shutil.rmtree, place, ignore_errors=True)
        else:
            place = undo.enter_context(available(request.param, *ROOMY.get(request.param, ())))
        yield Filesystem(request.param, place)


@pytest.fixture
def filesystem(disk: Filesystem) -> Iterator[Filesystem]:
    """A fresh directory on the disk."""
    place = Path(tempfile.mkdtemp(prefix="t", dir=disk.root))
    place.chmod(0o777)  # some verbs are another user's
    yield Filesystem(disk.kind, place)
    unlock(place)
    shutil.rmtree(place, ignore_errors=True)


@contextmanager
def available(kind: str, options: tuple[str, ...] = (), size: int = 16 << 20) -> Iterator[Path]:
    """Mount a small file system of a kind, its image in memory; skip the test where that fails."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with ExitStack() as undo:
        try:
            root = undo.enter_context(mounted(kind, size, memory(), options))
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield root


def memory() -> Path:
    """A directory in memory if there is enough room and we may write there, else on the disk."""
    place = Path("/dev/shm")
    usable = place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > SPACE
    return place if usable else Path("/var/tmp")


@pytest.fixture
def sample(request: pytest.FixtureRequest) -> counts.Sample:
    return counts.Sample(every=request.config.getoption("--every-point"))
