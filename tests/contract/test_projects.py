"""Project ids: a directory that hands one down takes in no file of another project (EXDEV), and
still every verb works in it. What dvol puts in such a place gets the project of the place."""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dvol.errors import NoSpaceToReset
from tests.contract.trees import described
from tests.contract.unchanged import ANN, Volume, inode, made
from tests.lab.filesystems import mounted

pytestmark = pytest.mark.root
GET, SET = 0x801C581F, 0x401C5820  # FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
FSXATTR = struct.Struct("=5I8x")
HANDS_DOWN = 0x200
PLACES = {  # that have a project, beneath the pool
    "pool": [""],
    "volume": ["v"],
    "tree": ["v/branches/master"],
    "directory": ["v/branches/master/d"],
    "two directories": ["v/branches/master/d", "v/branches/master/e"],
    "commits": ["v/commits"],
    "all of them": ["", "v", "v/branches", "v/branches/master", "v/branches/master/d", "v/commits"],
}


def project(path: Path) -> tuple[int, bool]:
    """The project id of a file or directory, and whether it hands it down."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fields = FSXATTR.unpack(fcntl.ioctl(fd, GET, bytes(FSXATTR.size)))
        return fields[3], bool(fields[0] & HANDS_DOWN)
    finally:
        os.close(fd)


def put(path: Path, id: int) -> None:
    """Give one file or directory a project id, which a directory hands down."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fields = list(FSXATTR.unpack(fcntl.ioctl(fd, GET, bytes(FSXATTR.size))))
        fields[3] = id
        fields[0] |= HANDS_DOWN if path.is_dir() else 0
        fcntl.ioctl(fd, SET, FSXATTR.pack(*fields))
    finally:
        os.close(fd)


def put_all(root: Path, id: int) -> None:
    """As xfs_quota's "project -s" does: it leaves out symlinks and other special files."""
    for folder, _, names in os.walk(root):
        put(Path(folder), id)
        for path in (Path(folder) / name for name in names):
            if path.is_file() and not path.is_symlink():
                put(path, id)


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """XFS, which has project ids on any kernel; ext4's need CONFIG_QFMT_V2."""
    with mounted("xfs", 400 << 20) as root:
        yield root


@pytest.fixture
def volume(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """A volume with one commit."""
    place = disk / tmp_path_factory.mktemp("p").name
    place.mkdir()
    volume = made(place)
    fill(volume.tree, "1")
    volume.commit()
    return volume


def fill(tree: Path, text: str) -> None:
    for folder in (tree, tree / "d", tree / "e", tree / "d" / text):
        folder.mkdir(exist_ok=True)
        for name in ("file", f"only{text}"):
            (folder / name).write_text(text)
        link = folder / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(text)
        with suppress(FileExistsError):
            os.link(folder / "file", folder / "other")
    for other in {"1", "2"} - {text}:
        for folder in (tree, tree / "d", tree / "e"):
            (folder / f"only{other}").unlink(missing_ok=True)


def give_projects(volume: Volume, paths: list[str], everything: bool) -> None:
    for id, path in enumerate(paths, 42):
        (put_all if everything else put)(volume.pool.root / path, id)


def every_verb(volume: Volume) -> None:
    """What a user does, with what each verb must have done."""
    engine = volume.pool
    one = described(volume.tree)
    fill(volume.tree, "2")
    two = described(volume.tree)
    volume.reset()
    assert described(volume.tree) == one
    volume.undo()
    assert described(volume.tree) == two
    volume.commit()
    volume.reset("HEAD^")
    assert described(volume.tree) == one
    engine.undo("v")
    engine.reset("v", "HEAD^", discard=True)
    assert described(volume.tree) == one
    fill(volume.tree, "2")
    two = described(volume.tree)
    engine.branch("v", "side")
    assert described(volume.tree) == one
    engine.checkout("v", "master")
    assert described(volume.tree) == two
    engine.stash(["v"], "stashed", "a state", ANN)
    assert described(volume.tree) == one
    fill(volume.tree, "2")
    two = described(volume.tree)
    volume.reset()
    state = next(entry.entry for entry in engine.discarded() if entry.verb == "reset")
    engine.restore(state, "restored")
    assert described(volume.root / "branches" / "restored") == two
    engine.delete_branch("v", "side")
    engine.restore("v/side", "")
    engine.rm("v")
    engine.restore("v", "")
    assert described(volume.tree) == one
    assert engine.fsck() == []
    engine.gc(now=True)
    engine.rm("v")
    engine.gc(now=True)
    assert not [*engine.root.glob(".dvol/garbage/*"), *engine.root.glob(".dvol/trash/*")]
    engine.init("w")


@pytest.mark.parametrize("everything", [True, False], ids=["all files", "directory only"])
@pytest.mark.parametrize("paths", PLACES.values(), ids=PLACES)
def test_every_verb_works_in_a_place_with_a_project(
    volume: Volume, paths: list[str], everything: bool
) -> None:
    give_projects(volume, paths, everything)
    every_verb(volume)


@pytest.mark.parametrize("paths", PLACES.values(), ids=PLACES)
def test_what_a_verb_puts_into_a_live_tree_has_the_project_of_its_place(
    volume: Volume, paths: list[str]
) -> None:
    """So a program in it can go on to rename and to link, and its owner's space is counted."""
    give_projects(volume, paths, everything=True)
    fill(volume.tree, "2")
    (volume.tree / "d" / "1" / "file").unlink()
    volume.reset()
    assert foreign(volume.tree) == []
    volume.pool.branch("v", "side")
    side = volume.root / "branches" / "side"
    assert foreign(side) == []
    assert project(side) in (project(volume.root / "branches"), project(volume.tree))
    for folder in (side, side / "d", volume.root / "branches" / "master"):
        os.rename(folder / "file", folder / "renamed")
        os.rename(folder / "link", folder / "d2")


def foreign(tree: Path) -> list[Path]:
    """What lies in a directory that hands down another project. A directory may have its own."""
    found = []
    for folder, folders, names in os.walk(tree):
        id, hands_down = project(Path(folder))
        for path in (Path(folder) / name for name in [*folders, *names]):
            if hands_down and not path.is_symlink() and project(path) != (id, path.is_dir()):
                found += [] if project(path)[1] else [path]
    return found


def test_a_new_branch_gets_the_project_of_the_tree_that_it_comes_from(volume: Volume) -> None:
    give_projects(volume, PLACES["tree"], everything=True)
    fill(volume.tree, "2")
    volume.reset()
    state = volume.pool.discarded()[0].entry
    volume.pool.branch("v", "side")
    volume.pool.stash(["v"], "stashed", "a state", ANN)
    volume.pool.restore(state, "restored")
    trees = [volume.root / "branches" / name for name in ("master", "side", "stashed", "restored")]
    assert [project(tree) for tree in trees] == [(42, True)] * 4
    assert [project(tree / "d" / "file") for tree in trees] == [(42, False)] * 4
    assert project(volume.root / "commits") == (0, False)
    assert not [*volume.root.glob(".dvol/staging/*")]


@pytest.mark.parametrize("everything", [True, False], ids=["all files", "directory only"])
def test_commits_still_share_what_did_not_change(volume: Volume, everything: bool) -> None:
    """A file that a commit shares with the one before gets the project of the new one's place."""
    first = volume.known()
    give_projects(volume, PLACES["commits"], everything)
    second = volume.commit()
    assert inode(second / "d" / "file") == inode(first / "d" / "file")
    assert inode(second / "file") == inode(first / "file")


def test_a_reset_on_a_full_disk_fills_a_directory_with_a_project() -> None:
    with mounted("xfs", 400 << 20, clones=False) as root:
        volume = made(root)
        fill(volume.tree, "1")
        (volume.tree / "d" / "big").write_bytes(os.urandom(80 << 20))
        volume.commit()
        one = described(volume.tree)
        give_projects(volume, PLACES["all of them"], everything=True)
        fill(volume.tree, "2")
        (volume.tree / "d" / "big").write_bytes(os.urandom(80 << 20))
        free = os.statvfs(root)
        subprocess.run(
            ["fallocate", "-l", str(free.f_bavail * free.f_frsize - (30 << 20)), root / "ballast"],
            check=True,
        )
        with pytest.raises(NoSpaceToReset):
            volume.reset()
        volume.pool.reset("v", discard=True)
        assert described(volume.tree) == one
        assert foreign(volume.tree) == []


def test_a_file_with_names_in_two_projects_keeps_them(volume: Volume) -> None:
    """It was linked before its directories had any."""
    volume.reset()
    os.link(volume.tree / "d" / "file", volume.tree / "e" / "far")
    volume.commit()
    one = described(volume.tree)
    give_projects(volume, PLACES["two directories"], everything=True)
    for text in ("d/file", "e/far"):
        (volume.tree / text).unlink()
    volume.reset()
    assert described(volume.tree) == one
