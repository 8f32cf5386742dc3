"""A file of a live tree that is in use as swap space: the kernel lets nobody copy, rename or delete
it. What would need that is refused, with one line that names the file, and nothing has changed."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dvol.backends import FreezeHints
from dvol.backends.copy.copy import Copy
from dvol.cli.main import main
from dvol.errors import SwapInUse
from dvol.fs import swap
from tests.contract.trees import described
from tests.contract.unchanged import ANN, Volume, made, on

pytestmark = pytest.mark.root
NAMES = ["swap", "d/with space"]


@pytest.fixture
def volume(place: Path) -> Volume:
    volume = made(place)
    (volume.tree / "file").write_text("1")
    volume.commit()
    return volume


@pytest.fixture
def swapping(place: Path) -> Iterator[Callable[[Path], Path]]:
    """Makes a file that is in use as swap space until the test ends, wherever it is then."""

    def make(path: Path) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.touch(0o600)
        subprocess.run(["chattr", "+C", path], capture_output=True)  # which btrfs needs
        path.write_bytes(bytes(1 << 20))
        subprocess.run(["mkswap", "-q", path], check=True)
        subprocess.run(["swapon", "--priority", "0", path], check=True)
        return path

    yield make
    for path in swap.below(place):
        subprocess.run(["swapoff", path], check=True)


VERBS = {
    "commit": ("commit", "-m", "2", "v"),
    "reset": ("reset", "--hard", "HEAD", "v"),
    "discard": ("reset", "--hard", "--discard", "HEAD", "v"),
    "rm": ("rm", "-f", "v"),
}


@on("ext4", "xfs", "btrfs")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("words", VERBS.values(), ids=VERBS)
def test_a_verb_that_needs_a_swap_file_is_refused_by_its_name(
    volume: Volume,
    swapping: Callable[[Path], Path],
    name: str,
    words: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (volume.tree / "d").mkdir()
    volume.commit()
    path = swapping(volume.tree / name)
    before = described(volume.tree)
    options = ["--pool", str(volume.pool.root), "--disable-docker-integration"]
    assert main([*options, *words]) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{path} is in use as swap space" in said
    assert f"swapoff {path}" in said
    assert described(volume.tree) == before
    assert not [*volume.root.glob(".dvol/staging/*"), *volume.root.glob(".dvol/lost*")]
    assert volume.pool.fsck() == []


@on("ext4", "xfs", "btrfs")
def test_a_branch_with_a_swap_file_is_not_deleted(
    volume: Volume, swapping: Callable[[Path], Path]
) -> None:
    path = swapping(volume.tree / "swap")
    volume.pool.branch("v", "side")
    with pytest.raises(SwapInUse, match=str(path)):
        volume.pool.delete_branch("v", "master")


@on("ext4", "xfs", "btrfs")
def test_a_stash_names_the_swap_file(volume: Volume, swapping: Callable[[Path], Path]) -> None:
    path = swapping(volume.tree / "swap")
    with pytest.raises(SwapInUse, match=str(path)):
        volume.pool.stash(["v"], "side", "a state", ANN)
    assert [branch.name for branch in volume.pool.branches("v")] == ["master"]


@on("ext4", "xfs", "btrfs")
def test_a_reset_does_not_set_a_directory_with_a_swap_file_aside(
    volume: Volume, swapping: Callable[[Path], Path]
) -> None:
    """The kernel would rename the directory, and nothing could delete it from the undo entry."""
    path = swapping(volume.tree / "new" / "swap")
    for discard in (False, True):
        with pytest.raises(SwapInUse, match=str(path)):
            volume.pool.reset("v", discard=discard)
    assert path.exists()


@on("ext4")  # on XFS it shares blocks with the commit, and is no swap file any more
def test_a_swap_file_that_no_verb_moves_is_in_no_ones_way(
    volume: Volume, swapping: Callable[[Path], Path]
) -> None:
    path = volume.tree / "swap"
    swapping(path)
    subprocess.run(["swapoff", path], check=True)
    volume.commit()
    subprocess.run(["swapon", path], check=True)
    (volume.tree / "file").write_text("2")
    volume.reset()
    assert (volume.tree / "file").read_text() == "1"


@on("ext4")
def test_a_refill_is_not_begun_that_would_stop_at_a_swap_file(
    volume: Volume, swapping: Callable[[Path], Path], tmp_path: Path
) -> None:
    """It could not be taken back."""
    path = swapping(volume.tree / "swap")
    frozen = next(volume.root.glob("commits/*"))
    with pytest.raises(SwapInUse, match=str(path)):
        Copy().stage_refill(frozen, volume.tree, tmp_path / "entry", FreezeHints(None))
