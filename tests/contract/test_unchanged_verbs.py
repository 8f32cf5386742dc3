"""A commit notices every change by itself, and so does a reset: none relies on what another verb
has found out, and a group of names counts for more than its files do."""

import os
import stat
from pathlib import Path

import pytest

from tests.contract.small_changes import CHANGES, Change, fill
from tests.contract.trees import described
from tests.contract.unchanged import Volume, made, on, same_times

LONG_AGO = 10**18
SPECIALS = ("link", "fifo", "device")


@pytest.fixture
def volume(place: Path) -> Volume:
    return made(place)


def user(tree: Path) -> None:
    os.chown(tree / "d3/8", 1234, -1)


def group(tree: Path) -> None:
    os.chown(tree / "d3/8", -1, 1234)


def longer(tree: Path) -> None:
    """By a tail: all that the commit has is equal."""
    status = (tree / "d3/8").stat()
    with (tree / "d3/8").open("a") as file:
        file.write("tail")
    same_times(tree / "d3/8", status)


def shorter(tree: Path) -> None:
    status = (tree / "d3/8").stat()
    os.truncate(tree / "d3/8", status.st_size - 4)
    same_times(tree / "d3/8", status)


def device_number(tree: Path) -> None:
    status = os.lstat(tree / "device")
    (tree / "device").unlink()
    os.mknod(tree / "device", status.st_mode, os.makedev(1, 5))
    same_times(tree / "device", status)


def attributes_of_specials(tree: Path) -> None:
    for name in SPECIALS:
        os.setxattr(tree / name, "trusted.one", b"1", follow_symlinks=False)


ALL_CHANGES = CHANGES | {
    change.__name__: change
    for change in (user, group, longer, shorter, device_number, attributes_of_specials)
}


def fill_with_specials(tree: Path) -> None:
    fill(tree)
    (tree / "link").symlink_to("elsewhere")
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    for name in SPECIALS:
        os.utime(tree / name, ns=(LONG_AGO, LONG_AGO), follow_symlinks=False)


@pytest.mark.parametrize("verb", ["commit", "reset"])
@pytest.mark.parametrize("change", ALL_CHANGES.values(), ids=ALL_CHANGES)
@on("ext4", "tmpfs")
def test_each_verb_by_itself_notices_every_change(
    volume: Volume, change: Change, verb: str
) -> None:
    fill_with_specials(volume.tree)
    volume.known()
    before = described(volume.known())
    change(volume.tree)
    changed = described(volume.tree)
    assert changed != before
    if verb == "commit":
        assert described(volume.commit()) == changed
    else:
        volume.reset()
        assert described(volume.tree) == before


def write(path: Path) -> None:
    """Always the same, in all but the inode."""
    path.unlink(missing_ok=True)
    path.write_text("x")
    os.utime(path, ns=(LONG_AGO, LONG_AGO))


@on("ext4", "tmpfs")
def test_a_group_that_became_two_is_put_together(volume: Volume) -> None:
    """Each of the two has as many names as the one had, but some are not the commit's."""
    one, two = volume.tree / "one", volume.tree / "two"
    write(one)
    os.link(one, two)
    before = described(volume.known())
    write(two)
    os.link(one, volume.tree / "one more")
    os.link(two, volume.tree / "two more")
    volume.reset()
    assert described(volume.tree) == before
