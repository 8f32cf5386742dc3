"""Reset in place: every kind of difference comes back byte for byte, and by undo so does what it
discarded."""

import os
import time
from pathlib import Path

import pytest

from tests.contract.differences import (
    DIFFERENCES,
    LONG_AGO,
    Change,
    content,
    directory_attributes,
    extra,
    fill,
    links_broken,
    missing,
    remove,
)
from tests.contract.trees import described
from tests.contract.unchanged import ALL, DISKS, TICK, Volume, inode, made


@pytest.fixture
def volume(place: Path) -> Volume:
    volume = made(place)
    fill(volume.tree)
    return volume


# -- kinds of difference -----------------------------------------------------------------------


def assert_comes_back(volume: Volume, change: Change) -> None:
    volume.known()
    before = described(volume.tree)
    change(volume.tree)
    discarded = described(volume.tree)
    assert discarded != before
    volume.reset()
    assert described(volume.tree) == before
    volume.assert_apart()
    volume.undo()
    assert described(volume.tree) == discarded
    volume.assert_apart()
    volume.undo()
    assert described(volume.tree) == before
    volume.assert_apart()


@pytest.mark.parametrize("change", DIFFERENCES.values(), ids=DIFFERENCES)
@ALL
def test_a_difference_is_reset_and_undone_and_done_again(volume: Volume, change: Change) -> None:
    assert_comes_back(volume, change)


# -- one kind becomes another ------------------------------------------------------------------


def as_file(path: Path) -> None:
    path.write_text("a file")
    path.chmod(0o640)


def as_symlink(path: Path) -> None:
    path.symlink_to("nowhere")


def as_fifo(path: Path) -> None:
    os.mkfifo(path, 0o640)


def as_empty_directory(path: Path) -> None:
    path.mkdir(0o750)


def as_directory(path: Path) -> None:
    (path / "x/y").mkdir(parents=True)
    (path / "x/y/file").write_text("in it")
    (path / "x/y").chmod(0o2750)


MAKERS = {
    maker.__name__.removeprefix("as_"): maker
    for maker in (as_file, as_symlink, as_fifo, as_empty_directory, as_directory)
}


def dated(path: Path, moment: int) -> None:
    for one in (*path.rglob("*"), path):
        os.utime(one, ns=(moment, moment), follow_symlinks=False)


@pytest.mark.parametrize("new", MAKERS.values(), ids=MAKERS)
@DISKS
def test_one_kind_becomes_another_and_back(place: Path, new: Change) -> None:
    """From every kind, below the root and deep, with times that tell any touch."""
    volume = made(place)
    (volume.tree / "d/e").mkdir(parents=True)
    for name, maker in MAKERS.items():
        for directory in (volume.tree, volume.tree / "d/e"):
            maker(directory / name)
            dated(directory / name, LONG_AGO)

    def change(tree: Path) -> None:
        for name in MAKERS:
            for directory in (tree, tree / "d/e"):
                remove(directory / name)
                new(directory / name)
                dated(directory / name, LONG_AGO + 1)

    assert_comes_back(volume, change)


# -- deep, and often ---------------------------------------------------------------------------


@DISKS
def test_a_difference_below_a_path_longer_than_the_kernel_takes_comes_back(
    volume: Volume,
) -> None:
    fd = os.open(volume.tree, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 255, dir_fd=fd)
        inner = os.open("x" * 255, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner

    def write(name: str, text: bytes) -> None:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=fd)
        os.write(file, text)
        os.close(file)

    def change(tree: Path) -> None:
        write("file", b"changed")
        os.mkdir("new", dir_fd=fd)
        os.symlink("nowhere", "new/link", dir_fd=fd)
        os.mkfifo("new/fifo", dir_fd=fd)

    write("file", b"old")
    assert_comes_back(volume, change)
    os.close(fd)


@DISKS
def test_every_discarded_state_comes_back_in_turn(volume: Volume) -> None:
    """Undo is a reset too: it sets aside what it finds."""
    volume.known()
    states = []
    for change in (content, extra, directory_attributes, links_broken):
        change(volume.tree)
        states.append(described(volume.tree))
        volume.reset()
    volume.undo()
    assert described(volume.tree) == states[-1]
    (volume.tree / "top").write_text("in between")
    between = described(volume.tree)
    volume.undo()
    volume.undo()
    assert described(volume.tree) == between


@DISKS
@pytest.mark.parametrize("steps", ["HEAD^", "HEAD^^"])
def test_an_undone_reset_over_commits_brings_tree_and_list_back(volume: Volume, steps: str) -> None:
    for change in (content, extra, missing):
        change(volume.tree)
        volume.known()
    (volume.tree / "uncommitted").write_text("as well")
    discarded, line = described(volume.tree), volume.pool.log("v")
    frozen = {path.name: described(path) for path in volume.frozen}
    volume.reset(steps)
    volume.undo()
    assert described(volume.tree) == discarded
    assert volume.pool.log("v") == line
    assert {path.name: described(path) for path in volume.root.glob("commits/*")} == frozen


@DISKS
def test_a_reset_to_what_is_there_touches_nothing(volume: Volume) -> None:
    volume.known()
    paths = [volume.tree, *volume.tree.rglob("*")]
    before = [(inode(path), os.lstat(path).st_ctime_ns) for path in paths]
    time.sleep(TICK)
    for _ in range(2):
        volume.reset()
    assert [(inode(path), os.lstat(path).st_ctime_ns) for path in paths] == before
    assert not list(volume.root.glob(".dvol/undo/*/*"))
