"""Names of one file stay names of one file, look-alikes stay two, and the link limit is no wall."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.beneath_files import disk
from tests.contract.contents import linked_groups
from tests.contract.trees import described
from tests.contract.unchanged import DISKS, TICK, Volume, inode, made, overwritten, same_times

LIMIT = 65_000  # names of a file on ext4


@pytest.fixture
def volume(place: Path) -> Volume:
    volume = made(place)
    linked_groups(volume.tree)
    return volume


# -- groups made and broken --------------------------------------------------------------------


def broken_by_a_copy(tree: Path) -> None:
    """Equal in all but the inode."""
    status = (tree / "b/one").stat()
    (tree / "b/one").unlink()
    (tree / "b/one").write_text("one")
    same_times(tree / "b/one", status)


def broken_by_a_deletion(tree: Path) -> None:
    (tree / "b/one").unlink()


def made_of_look_alikes(tree: Path) -> None:
    (tree / "c/alike").unlink()
    os.link(tree / "c/like", tree / "c/alike")


def joined_across_directories(tree: Path) -> None:
    for name in ("b/two", "c/another"):
        (tree / name).unlink(missing_ok=True)
        os.link(tree / "a/one", tree / name)


def names_exchanged(tree: Path) -> None:
    """Two groups swap a name each."""
    (tree / "b/one").rename(tree / "aside")
    (tree / "b/two").rename(tree / "b/one")
    (tree / "aside").rename(tree / "b/two")


def name_moved(tree: Path) -> None:
    (tree / "b/one").rename(tree / "c/one")


def name_given_outside(tree: Path) -> None:
    """Beside the tree: a link count that is not the tree's."""
    os.link(tree / "c/like", tree.parents[3] / "outside")
    os.link(tree / "a/one", tree.parents[3] / "outside-one")


def content_of_all_changed(tree: Path) -> None:
    status = (tree / "a/one").stat()
    overwritten(tree / "a/one", b"ONE")
    same_times(tree / "a/one", status)


def specials_broken(tree: Path) -> None:
    for name in ("link", "fifo"):
        (tree / "b" / name).unlink()
    (tree / "b/link").symlink_to("one")
    os.mkfifo(tree / "b/fifo")


def group_in_a_new_directory(tree: Path) -> None:
    (tree / "new/deep").mkdir(parents=True)
    os.link(tree / "a/one", tree / "new/deep/one")
    (tree / "new/x").write_text("x")
    os.link(tree / "new/x", tree / "new/deep/x")


CHANGES = {
    change.__name__: change
    for change in (
        broken_by_a_copy, broken_by_a_deletion, made_of_look_alikes, joined_across_directories,
        names_exchanged, name_moved, name_given_outside, content_of_all_changed, specials_broken,
        group_in_a_new_directory,
    )
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@DISKS
def test_groups_are_what_they_were_in_every_state(
    volume: Volume, change: Callable[[Path], None]
) -> None:
    volume.known()
    before = described(volume.known())
    assert before == described(volume.tree)
    change(volume.tree)
    changed = described(volume.tree)
    assert described(volume.commit()) == changed
    volume.reset("HEAD^")
    assert described(volume.tree) == before
    assert described(volume.commit()) == before
    volume.reset("HEAD^")
    volume.undo()
    assert described(volume.tree) == before
    volume.assert_apart()


@DISKS
def test_a_reset_over_what_no_commit_has_comes_back_by_undo(volume: Volume) -> None:
    before = described(volume.known())
    for change in (names_exchanged, made_of_look_alikes, group_in_a_new_directory):
        change(volume.tree)
    changed = described(volume.tree)
    volume.reset()
    assert described(volume.tree) == before
    volume.undo()
    assert described(volume.tree) == changed
    volume.undo()
    assert described(volume.tree) == before


@DISKS
def test_look_alikes_are_never_joined(volume: Volume) -> None:
    """Nor where the older commit had them as one."""
    (volume.tree / "c/alike").unlink()
    os.link(volume.tree / "c/like", volume.tree / "c/alike")
    os.utime(volume.tree / "c/like", ns=(10**18, 10**18))
    one = volume.known()
    assert inode(one / "c/like") == inode(one / "c/alike")
    (volume.tree / "c/alike").unlink()
    (volume.tree / "c/alike").write_text("the same")
    os.utime(volume.tree / "c/alike", ns=(10**18, 10**18))
    for _ in range(2):
        two = volume.known()
        assert inode(two / "c/like") != inode(two / "c/alike")
    volume.reset()
    assert inode(volume.tree / "c/like") != inode(volume.tree / "c/alike")


@DISKS
def test_a_store_through_any_name_of_a_group_is_noticed(volume: Volume) -> None:
    """Its other names may be known as unchanged from before."""
    volume.known()
    volume.known()
    status = (volume.tree / "b/one").stat()
    overwritten(volume.tree / "b/one", b"ONE")
    same_times(volume.tree / "b/one", status)
    frozen = volume.commit()
    assert (frozen / "a/one").read_text() == (frozen / "b/one").read_text() == "ONE"


@DISKS
def test_an_unchanged_group_is_linked_whole(volume: Volume) -> None:
    first = volume.known()
    second = volume.known()
    third = volume.known()
    for name in ("a/one", "b/one", "a/link", "b/link", "a/fifo", "b/fifo"):
        assert inode(first / name) == inode(second / name) == inode(third / name)
    assert inode(third / "a/one") == inode(third / "b/one")


# -- the link limit ----------------------------------------------------------------------------


@pytest.fixture
def nearly_full() -> Iterator[Callable[[int], Volume]]:
    """Makes a volume whose commit has a file and a group with room for only so many names."""
    with disk("ext4") as own:

        def make(left: int) -> Volume:
            volume = made(own.root)
            linked_groups(volume.tree)
            first = volume.known()
            own.set_names({first / "c/like": LIMIT - left, first / "a/one": LIMIT - left})
            return volume

        yield make


@pytest.mark.root
@pytest.mark.parametrize("left", range(4))
def test_a_frozen_file_with_no_room_for_a_name_is_copied_anew(
    nearly_full: Callable[[int], Volume], left: int
) -> None:
    """One name, and a group of two; known by the index, or compared."""
    volume = nearly_full(left)
    state = described(volume.tree)
    for full in (False, True, False, False):
        time.sleep(TICK)
        assert described(volume.commit(full=full)) == state
    volume.reset()
    assert described(volume.tree) == state
    volume.assert_apart()


@pytest.mark.root
@pytest.mark.parametrize("left", range(4))
def test_an_undo_copies_what_can_have_no_further_name(
    nearly_full: Callable[[int], Volume], left: int
) -> None:
    volume = nearly_full(left)
    (volume.tree / "a/two").write_text("changed")
    changed = described(volume.tree)
    volume.reset()
    volume.undo()
    assert described(volume.tree) == changed
