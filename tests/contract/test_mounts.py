"""What is mounted in a live tree in the midst of a reset, after dvol has looked: the reset fails as
a whole, and what is there stays as it is. (What is there before is refused; see test_undo.)"""

import os
from pathlib import Path

import pytest

from dvol.engine.local import LocalEngine
from dvol.errors import DvolError, PathOccupied
from tests.contract.beneath_files import disk
from tests.contract.trees import described
from tests.contract.unchanged import Volume, made, on
from tests.lab.filesystems import bound

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("mounted_late")]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A directory of another device."""
    other = tmp_path / "other"
    (other / "inner").mkdir(parents=True)
    (other / "f").write_text("other")
    other.chmod(0o711)
    return other


@pytest.fixture
def volume(place: Path, other: Path) -> Volume:
    volume = made(place)
    (volume.tree / "d").mkdir()
    (volume.tree / "f").write_text("x")
    volume.commit()
    assert other.stat().st_dev != volume.tree.stat().st_dev
    return volume


@pytest.mark.parametrize("name", ["d", "extra", "f"])
@on("ext4")
def test_a_reset_stops_at_what_is_mounted_in_the_tree(
    volume: Volume, other: Path, name: str
) -> None:
    """Before any step is taken: a directory, one that the commit lacks, a file."""
    (volume.tree / "extra").mkdir()
    source = other / "f" if name == "f" else other
    before = described(other)
    with bound(source, volume.tree / name):
        with pytest.raises(PathOccupied, match=rf"mounted at .+/{name} is"):
            volume.reset()
        assert described(other) == before
    assert not list(volume.root.glob(".dvol/lost*"))


@on("ext4")
def test_the_attributes_of_what_is_mounted_in_the_tree_stay(volume: Volume, other: Path) -> None:
    """An empty directory, which a reset would give owner, mode and times of the commit's."""
    before = described(other / "inner")
    with bound(other / "inner", volume.tree / "d"):
        with pytest.raises(PathOccupied, match=r"mounted at .+/d is"):
            volume.reset()
        assert described(other / "inner") == before


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_reset_that_was_taken_back_does_not_happen_after_a_power_cut(kind: str) -> None:
    """What is mounted is of the same device, so only the last steps fail. Their journal must be
    gone for good: what kept them from being taken may be gone too."""
    with disk(kind, 128 << 20) as own:
        volume = made(own.root)
        (volume.tree / "f").write_text("committed")
        volume.commit()
        (volume.tree / "f").write_text("changed")
        (volume.tree / "extra").mkdir()
        (own.root / "elsewhere").mkdir()
        with bound(own.root / "elsewhere", volume.tree / "extra"):
            os.sync()
            with pytest.raises(DvolError):
                volume.reset()
            copy = own.copied()
        with own.unmounted(), own.attached(copy) as root:
            assert len(LocalEngine(root / "volumes").log("v")) == 1
            tree = root / "volumes/v/branches/master"
            assert (tree / "f").read_text() == "changed"
            assert (tree / "extra").exists()
