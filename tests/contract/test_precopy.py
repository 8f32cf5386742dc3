"""Clones made ahead of a freeze: whatever becomes of the tree meanwhile, what is frozen is as it is
when it is frozen. Only XFS gains by them, so only there are they made."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dvol.backends import Backend, FreezeHints, choose
from dvol.engine.commit import PendingCommit
from tests.contract.trees import described, inodes
from tests.contract.unchanged import made, on

MIB = 1 << 20
xfs = on("xfs")


@pytest.fixture
def backend(place: Path) -> Backend:
    return choose(place)


@pytest.fixture
def tree(place: Path, backend: Backend) -> Path:
    tree = place / "tree"
    backend.create(tree)
    (tree / "base").mkdir()
    for name in ("large", "base/table"):
        (tree / name).write_bytes(os.urandom(4 * MIB))
    (tree / "small").write_bytes(b"x")
    return tree


def ahead(place: Path) -> FreezeHints:
    return FreezeHints(place / "no index", precopied=place / "ahead")


def nothing(tree: Path) -> None:
    """As it was."""


def written(tree: Path) -> None:
    with (tree / "large").open("r+b") as file:
        file.seek(MIB + 5)
        file.write(b"changed")


def grown(tree: Path) -> None:
    with (tree / "large").open("ab") as file:
        file.write(os.urandom(3 * MIB + 7))


def cut(tree: Path) -> None:
    os.truncate(tree / "large", 2 * MIB + 100)


def cut_at_a_block(tree: Path) -> None:
    os.truncate(tree / "large", 2 * MIB)


def emptied(tree: Path) -> None:
    os.truncate(tree / "large", 0)


def small(tree: Path) -> None:
    os.truncate(tree / "large", 10)


def holes(tree: Path) -> None:
    os.truncate(tree / "large", 0)
    os.truncate(tree / "large", 8 * MIB)
    written(tree)


def small_hole(tree: Path) -> None:
    os.truncate(tree / "large", 0)
    os.truncate(tree / "large", 8192)


def gone(tree: Path) -> None:
    (tree / "large").unlink()


def moved(tree: Path) -> None:
    os.rename(tree / "large", tree / "base/elsewhere")


def swapped(tree: Path) -> None:
    os.rename(tree / "large", tree / "other")
    os.rename(tree / "base/table", tree / "large")
    os.rename(tree / "other", tree / "base/table")


def linked(tree: Path) -> None:
    os.link(tree / "large", tree / "base/twin")


def symlink(tree: Path) -> None:
    (tree / "large").unlink()
    (tree / "large").symlink_to("/etc/passwd")


def dressed(tree: Path) -> None:
    os.chown(tree / "large", 1234, 5678)
    (tree / "large").chmod(0o4711)
    os.setxattr(tree / "large", "user.note", b"x")
    os.utime(tree / "large", ns=(1, 2))


MEANWHILE = [
    *(nothing, written, grown, cut, cut_at_a_block, emptied, small, holes, small_hole),
    *(gone, moved, swapped, linked, symlink, dressed),
]


@xfs
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_what_is_frozen_is_as_it_is_then(
    backend: Backend, place: Path, tree: Path, meanwhile: Callable[[Path], None]
) -> None:
    backend.precopy(tree, ahead(place))
    assert len(os.listdir(place / "ahead")) == 2
    meanwhile(tree)
    before = described(tree)
    backend.freeze(tree, place / "frozen", ahead(place))
    assert described(place / "frozen") == before == described(tree)
    assert not inodes(place / "frozen") & inodes(tree)


@xfs
def test_it_is_the_clone_that_becomes_the_frozen_file(
    backend: Backend, place: Path, tree: Path
) -> None:
    backend.precopy(tree, ahead(place))
    inode = str((tree / "large").stat().st_ino)
    clone = (place / "ahead" / inode).stat().st_ino
    backend.freeze(tree, place / "frozen", ahead(place))
    assert (place / "frozen/large").stat().st_ino == clone
    assert os.listdir(place / "ahead") == []


@on("dir", "ext4", "tmpfs")
def test_nothing_is_copied_ahead_where_that_is_no_gain(
    backend: Backend, place: Path, tree: Path
) -> None:
    backend.precopy(tree, ahead(place))
    assert not (place / "ahead").exists()
    backend.freeze(tree, place / "frozen", ahead(place))
    assert described(place / "frozen") == described(tree)


@xfs
def test_what_a_dead_commit_has_cloned_is_deleted_by_the_next_verb(place: Path) -> None:
    volume = made(place)
    (volume.tree / "large").write_bytes(os.urandom(2 * MIB))
    first = volume.pool.commit("v", "x", "Ann <ann@example.org>")
    (volume.tree / "large").write_bytes(os.urandom(2 * MIB))
    files = volume.pool.access.recovered("v")
    PendingCommit(files, "master", (), first._replace(id="1" * 40)).precopy()
    staged = volume.root / ".dvol/staging" / ("1" * 40)
    assert len(list(staged.glob("precopied/*"))) == 1
    volume.commit()
    assert os.listdir(volume.root / ".dvol/staging") == []
