"""What befalls trees on btrfs at the wrong moment: a subvolume that is made in the midst of a
commit, and power cuts: after the commit of a tree that is no subvolume, and after an fsync."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dvol.backends.btrfs import Btrfs
from dvol.errors import NestedSubvolumes
from dvol.fs import btrfs
from dvol.tree.delete import delete_tree
from tests.contract.backends import UNKNOWN, is_subvolume
from tests.contract.beneath_files import Disk, disk
from tests.contract.trees import described
from tests.contract.unchanged import made, on

pytestmark = pytest.mark.root


@on("btrfs")
def test_a_subvolume_made_after_the_first_look_is_found(
    backend: Btrfs, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, frozen, snapshot = place / "tree", place / "frozen", btrfs.snapshot
    backend.create(tree)

    def late(source: int, into: Path, *, readonly: bool) -> None:
        btrfs.create(tree / "n")
        snapshot(source, into, readonly=readonly)

    monkeypatch.setattr(btrfs, "snapshot", late)
    with pytest.raises(NestedSubvolumes):
        backend.freeze(tree, frozen, UNKNOWN)
    assert not frozen.exists()


@pytest.fixture
def own() -> Iterator[Disk]:
    with disk("btrfs", 192 << 20) as own:
        yield own


def test_a_commit_of_a_plain_tree_survives_a_power_cut(own: Disk) -> None:
    """As in a pool from before, or of the backend that copies: no snapshot makes it durable."""
    volume = made(own.root)
    tree = volume.tree
    delete_tree(tree)
    tree.mkdir()
    (tree / "f").write_bytes(os.urandom(100_000))
    (tree / "g").touch()
    subprocess.run(["chattr", "+C", tree / "g"], check=True)  # cannot be cloned to one without
    (tree / "g").write_bytes(os.urandom(9000))
    state = {path: replace(one, flags="") for path, one in described(tree).items()}
    os.sync()
    frozen = volume.commit()
    assert not is_subvolume(frozen)
    copy = own.copied()
    with own.unmounted(), own.attached(copy) as root:
        assert described(root / frozen.relative_to(own.root)) == state


@pytest.mark.parametrize("of_the_tree", [False, True])
def test_what_a_power_cut_leaves_in_the_log_is_not_overlooked(own: Disk, of_the_tree: bool) -> None:
    """The next mount takes it from there, and tells of no change."""
    backend, tree, frozen = Btrfs(), own.root / "tree", own.root / "frozen"
    backend.create(tree)
    (tree / "file").write_text("committed")
    backend.freeze(tree, frozen, UNKNOWN)
    live = tree if of_the_tree else own.root / "restored"
    if not of_the_tree:
        backend.thaw(frozen, live)
    (own.root / "entry").mkdir()
    os.sync()
    with (live / "file").open("r+b", buffering=0) as file:
        file.write(b"C")
        os.fsync(file.fileno())
    copy = own.copied()
    with own.unmounted(), own.attached(copy) as root:
        found = backend.stage_reset(root / "frozen", root / live.name, root / "entry", UNKNOWN)
        assert found.steps
        assert (root / live.name / "file").read_text() == "Committed"  # which would be a change
