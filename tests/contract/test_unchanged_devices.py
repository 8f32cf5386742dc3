"""Files of another device that are mounted into the tree, with the very status that the tree's own
have: they are neither believed nor vouched for, though a reset mostly refuses before."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dvol.errors import PathOccupied
from tests.contract.beneath_files import Disk, disk
from tests.contract.unchanged import Volume, made
from tests.lab.filesystems import bound

pytestmark = pytest.mark.root
OLD, NEW = b"o" * 8192, b"n" * 8192


@pytest.fixture
def own() -> Iterator[Disk]:
    with disk("ext4") as own:
        yield own


@pytest.fixture
def volume(own: Disk) -> Volume:
    """Whose index vouches for its one file."""
    volume = made(own.root)
    (volume.tree / "f").write_bytes(OLD)
    volume.known()
    volume.known()
    return volume


@contextmanager
def standing_in(own: Disk, volume: Volume, here: bytes, there: bytes) -> Iterator[None]:
    """On `f` its copy on another device is mounted, with the same status."""
    path = volume.tree / "f"
    if there != path.read_bytes():
        own.overwrite(path, there)
    with own.unmounted():
        copy = own.copied()
    if here != there:
        own.overwrite(path, here)
    with own.attached(copy) as root:
        other = root / path.relative_to(own.root)
        assert other.stat().st_dev != path.stat().st_dev
        assert (other.stat().st_ino, other.read_bytes()) == (path.stat().st_ino, there)
        with bound(other, path):
            yield


@pytest.mark.usefixtures("mounted_late")
def test_a_commit_believes_no_file_of_another_device(own: Disk, volume: Volume) -> None:
    with standing_in(own, volume, OLD, NEW):
        assert (volume.commit() / "f").read_bytes() == NEW
    assert (volume.commit() / "f").read_bytes() == OLD


@pytest.mark.usefixtures("mounted_late")
def test_a_reset_believes_no_file_of_another_device(own: Disk, volume: Volume) -> None:
    with standing_in(own, volume, OLD, NEW), pytest.raises(PathOccupied):
        volume.reset()


@pytest.mark.usefixtures("mounted_late")
def test_a_reset_vouches_for_no_file_of_another_device(own: Disk, volume: Volume) -> None:
    volume.index.unlink()
    with standing_in(own, volume, NEW, OLD):
        volume.reset()
    assert (volume.commit() / "f").read_bytes() == NEW
