"""What only another boot or another device can do to a file: its status is believed nowhere else.

After a power cut ext4 and XFS show new content under old size, mtime and ctime, and the reverse.
Here the disk is changed beneath the file system, so that nothing but the content tells.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.beneath_files import Disk, disk
from tests.contract.places import environment
from tests.contract.trees import described
from tests.contract.unchanged import ANN, Volume, made, overwritten, same_times

pytestmark = pytest.mark.root
OLD, NEW = b"o" * 8192, b"n" * 8192
BOOT = Path("/proc/sys/kernel/random/boot_id")


@pytest.fixture(params=["ext4", "xfs"])
def own(request: pytest.FixtureRequest) -> Iterator[Disk]:
    with disk(request.param) as own:
        yield own


@pytest.fixture
def volume(own: Disk) -> Volume:
    """Whose index vouches for its one file."""
    volume = made(own.root)
    (volume.tree / "f").write_bytes(OLD)
    volume.known()
    status = (volume.tree / "f").stat()
    overwritten(volume.tree / "f", OLD)  # in blocks of its own, where they were shared
    same_times(volume.tree / "f", status)
    volume.known()
    volume.known()
    return volume


def in_another_boot(volume: Volume, *verb: str) -> None:
    """The command in a mount namespace where the kernel says that it was started anew."""
    other = volume.root.parents[1] / "boot_id"
    other.write_text("99999999-2222-3333-4444-555555555555\n")
    script = 'mount --bind "$0" "$1" && shift && exec "$@"'
    command = [sys.executable, "-m", "dvol", "--pool", str(volume.pool.root)]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(other), str(BOOT), *command, *verb],
        env=environment(DVOL_AUTHOR=ANN), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def last(volume: Volume) -> Path:
    return volume.root / "commits" / volume.pool.log("v")[0].id


def test_in_the_same_boot_the_status_is_believed(own: Disk, volume: Volume) -> None:
    """Else the tests below would show nothing; only a full commit can know better."""
    own.overwrite(volume.tree / "f", NEW)
    assert (volume.commit() / "f").read_bytes() == OLD
    assert (volume.commit(full=True) / "f").read_bytes() == NEW
    assert (volume.commit() / "f").read_bytes() == NEW


def test_a_commit_in_another_boot_compares(own: Disk, volume: Volume) -> None:
    own.overwrite(volume.tree / "f", NEW)
    in_another_boot(volume, "commit", "-m", "after a power cut")
    assert (last(volume) / "f").read_bytes() == NEW


def test_a_reset_in_another_boot_compares(own: Disk, volume: Volume) -> None:
    own.overwrite(volume.tree / "f", NEW)
    in_another_boot(volume, "reset", "--hard", "HEAD")
    assert (volume.tree / "f").read_bytes() == OLD
    volume.undo()
    assert (volume.tree / "f").read_bytes() == NEW


def test_what_another_boot_has_seen_is_not_believed_here(own: Disk, volume: Volume) -> None:
    in_another_boot(volume, "--disable-docker-integration", "commit", "-m", "there")
    own.overwrite(volume.tree / "f", NEW)
    assert (volume.commit() / "f").read_bytes() == NEW


def test_on_another_device_the_status_is_not_believed(own: Disk, volume: Volume) -> None:
    """A copy of the disk, on another loop device: all the rest is the same."""
    own.overwrite(volume.tree / "f", NEW)
    device, directory = own.root.stat().st_dev, own.root.parent
    with own.unmounted():
        subprocess.run(
            ["cp", "--sparse=always", directory / "image", directory / "copy"], check=True
        )
        subprocess.run(["mount", "-o", "loop", directory / "copy", own.root], check=True)
        assert own.root.stat().st_dev != device
        assert (volume.commit() / "f").read_bytes() == NEW
        subprocess.run(["umount", own.root], check=True)


def test_once_the_clock_was_set_back_the_status_is_not_believed(own: Disk, volume: Volume) -> None:
    """As if the index had been written while the clock was a minute ahead."""
    own.overwrite(volume.tree / "f", NEW)
    index = volume.index
    header, body = index.read_bytes().split(b"\n", 1)
    facts = json.loads(header)
    facts["offset"] += 60 * 10**9
    index.write_bytes(json.dumps(facts).encode() + b"\n" + body)
    assert (volume.commit() / "f").read_bytes() == NEW


@pytest.mark.parametrize("spoiled", ["missing", "torn", "garbage", "fifo", "directory", "link"])
def test_without_its_index_a_commit_compares(own: Disk, volume: Volume, spoiled: str) -> None:
    """And the one after it has an index again."""
    own.overwrite(volume.tree / "f", NEW)
    index = volume.index
    content = index.read_bytes()
    index.unlink()
    if spoiled in ("torn", "garbage"):
        index.write_bytes(content[:-9] if spoiled == "torn" else b"\0" * 500)
    elif spoiled == "fifo":
        os.mkfifo(index)
    elif spoiled == "directory":
        index.mkdir()
    elif spoiled == "link":
        index.symlink_to("/etc/passwd")
    assert (volume.commit() / "f").read_bytes() == NEW
    assert (volume.commit() / "f").read_bytes() == NEW


def test_an_index_whose_commit_was_made_anew_is_not_believed(own: Disk, volume: Volume) -> None:
    """Its inodes may be other files' by now."""
    frozen = last(volume)
    state = described(frozen)
    subprocess.run(["cp", "-a", frozen, frozen.with_name("copy")], check=True)
    subprocess.run(["rm", "-rf", frozen], check=True)
    frozen.with_name("copy").rename(frozen)
    own.overwrite(volume.tree / "f", NEW)
    assert (volume.commit() / "f").read_bytes() == NEW
    assert described(frozen) == state


def test_a_live_tree_put_in_its_place_from_a_backup_is_compared(own: Disk, volume: Volume) -> None:
    """The same names, sizes and times; other inodes, or the same ones by chance."""
    tree = volume.tree
    subprocess.run(["cp", "-a", tree, tree.with_name("copy")], check=True)
    subprocess.run(["rm", "-rf", tree], check=True)
    tree.with_name("copy").rename(tree)
    status = (tree / "f").stat()
    (tree / "f").write_bytes(NEW)
    os.utime(tree / "f", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (volume.commit() / "f").read_bytes() == NEW
