"""Backends copy trees faithfully: everything a program could see, on every file system."""

import os
import resource
import stat
import subprocess
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dvol.backends import Backend
from dvol.engine.local import LocalEngine
from dvol.errors import BackendFailed, DvolError
from tests.contract.backends import UNKNOWN
from tests.contract.contents import (
    ACL,
    CONTENTS,
    DAY,
    ROOTS,
    empty_directories,
    files,
    hard_links,
    links_to_outside,
    modes,
    sparse,
    special,
    symlinks,
)
from tests.contract.trees import described, inodes, space
from tests.lab.filesystems import bound

ANN = "Ann <ann@example.org>"
TIB = 1 << 40


@pytest.fixture
def tree(place: Path, backend: Backend) -> Path:
    backend.create(place / "tree")
    return place / "tree"


def move_of(backend: Backend, move: str) -> Callable[[Path, Path], object]:
    """Freeze or restore, as what takes two paths."""
    return partial(backend.freeze, hints=UNKNOWN) if move == "freeze" else backend.thaw


def round_trip(backend: Backend, tree: Path, accessed: bool = False) -> Path:
    """Freeze, restore, and compare; returns the frozen tree."""
    before = described(tree, accessed)
    frozen, restored = tree.with_name("frozen"), tree.with_name("restored")
    backend.freeze(tree, frozen, UNKNOWN)
    assert described(frozen, accessed) == before
    backend.thaw(frozen, restored)
    assert described(restored, accessed) == before
    assert described(tree) == described(frozen)
    return frozen


# -- what is in a tree -------------------------------------------------------------------------


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_tree_comes_back_as_it_was(
    backend: Backend, tree: Path, content: Callable[[Path], None]
) -> None:
    content(tree)
    round_trip(backend, tree)


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_any_tree_is_deleted_whole(
    backend: Backend, tree: Path, content: Callable[[Path], None]
) -> None:
    content(tree)
    parent_dir = described(tree.with_name("outside")) if content is links_to_outside else None
    backend.delete(tree)
    assert not os.path.lexists(tree)
    if parent_dir:
        assert [one.content for one in described(tree.with_name("outside")).values()] == [
            one.content for one in parent_dir.values()
        ]


def test_an_empty_tree_comes_back(backend: Backend, tree: Path) -> None:
    round_trip(backend, tree)


def test_a_new_tree_is_empty_and_0755_whatever_the_umask(backend: Backend, place: Path) -> None:
    before = os.umask(0o077)
    try:
        backend.create(place / "new")
    finally:
        os.umask(before)
    assert os.listdir(place / "new") == []
    assert oct((place / "new").stat().st_mode) == oct(stat.S_IFDIR | 0o755)


def test_copies_have_their_mode_whatever_the_umask(backend: Backend, tree: Path) -> None:
    modes(tree)
    (tree / "fifo").touch()
    before = os.umask(0o077)
    try:
        round_trip(backend, tree)
    finally:
        os.umask(before)


def test_when_a_file_was_last_read_comes_back(backend: Backend, tree: Path) -> None:
    """Given times so late that reading does not change them (relatime)."""
    names = ("file", "link", "fifo", "directory")
    (tree / "file").write_text("x")
    (tree / "link").symlink_to("file")
    os.mkfifo(tree / "fifo")
    (tree / "directory").mkdir()
    soon = (tree / "file").stat().st_mtime_ns + 3600 * 10**9 + 123456789
    for name in names:
        os.utime(tree / name, ns=(soon, DAY), follow_symlinks=False)
    frozen = tree.with_name("frozen")
    backend.freeze(tree, frozen, UNKNOWN)
    assert {os.lstat(frozen / name).st_atime_ns for name in names} == {soon}


# -- sharing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [files, hard_links, links_to_outside, sparse])
def test_a_live_tree_shares_no_inode_with_a_frozen_one(
    backend: Backend, tree: Path, content: Callable[[Path], None]
) -> None:
    content(tree)
    frozen = round_trip(backend, tree)
    restored = frozen.with_name("restored")
    assert inodes(tree) & inodes(frozen) == set()
    assert inodes(restored) & inodes(frozen) == set()
    assert inodes(restored) & inodes(tree) == set()


def test_writing_to_a_restored_tree_changes_nothing_frozen(backend: Backend, tree: Path) -> None:
    files(tree)
    hard_links(tree)
    frozen = round_trip(backend, tree)
    before = described(frozen)
    for path in (p for p in frozen.with_name("restored").rglob("*") if p.is_file()):
        with path.open("r+b") as file:
            file.write(b"overwritten")
    assert before == described(frozen)


def test_hard_links_within_a_tree_are_whole_and_none_leads_out(
    backend: Backend, tree: Path
) -> None:
    links_to_outside(tree)
    frozen = round_trip(backend, tree)
    assert (frozen / "one").stat().st_nlink == 2
    assert (frozen / "alone").stat().st_nlink == 1


def test_the_copy_of_a_sparse_file_takes_no_more_space(backend: Backend, tree: Path) -> None:
    sparse(tree)
    frozen = round_trip(backend, tree)
    assert space(frozen) <= space(tree) + (1 << 20)


def test_a_sparse_file_of_a_terabyte_stays_sparse(backend: Backend, tree: Path) -> None:
    with (tree / "huge").open("wb") as file:
        for at in (0, TIB // 3, TIB - 4):
            file.seek(at)
            file.write(b"data")
    frozen = round_trip(backend, tree)
    assert (frozen / "huge").stat().st_size == TIB
    assert space(frozen) < 10 << 20


@pytest.mark.root
@pytest.mark.parametrize("filesystem", ["ext4"], indirect=True, scope="session")
def test_a_file_with_as_many_names_as_can_be_comes_back(backend: Backend, tree: Path) -> None:
    """On ext4, which takes 65,000; a copier must not need one more for itself."""
    (tree / "0").write_text("x")
    for number in range(1, os.pathconf(tree, "PC_LINK_MAX")):
        os.link(tree / "0", tree / str(number))
    frozen = tree.with_name("frozen")
    backend.freeze(tree, frozen, UNKNOWN)
    assert (frozen / "0").stat().st_nlink == 65_000
    assert len(os.listdir(frozen)) == 65_000


# -- deep --------------------------------------------------------------------------------------


def dig(tree: Path, depth: int) -> None:
    """Directories within directories, and a file in the last: far longer than PATH_MAX."""
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("directory", dir_fd=fd)
        inner = os.open("directory", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd))
    os.close(fd)


def with_few_descriptors(work: Callable[[], object]) -> None:
    """Do the work in a process that may have no more than 300 files open."""
    child = os.fork()
    if not child:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_deep_tree_comes_back(backend: Backend, tree: Path) -> None:
    dig(tree, 1600)
    frozen, restored = tree.with_name("frozen"), tree.with_name("restored")
    with_few_descriptors(lambda: backend.freeze(tree, frozen, UNKNOWN))
    with_few_descriptors(lambda: backend.thaw(frozen, restored))
    assert described(tree) == described(frozen) == described(restored)
    for one in (tree, frozen, restored):
        with_few_descriptors(partial(backend.delete, one))
        assert not one.exists()


def branch(tree: Path, depth: int) -> None:
    """Three directories at each of many levels, one of which goes on, with a file in each."""
    for _ in range(depth):
        for name in ("before", "on", "past"):
            (tree / name / "inner").mkdir(parents=True)
            (tree / name / "file").write_text(name)
        tree = tree / "on"


@pytest.mark.parametrize("depth", [63, 64, 65, 66, 130, 200])
def test_a_deep_tree_with_branches_comes_back(backend: Backend, tree: Path, depth: int) -> None:
    """The walk goes up and down again where upper levels are closed."""
    branch(tree, depth)
    round_trip(backend, tree)


def test_a_deep_tree_that_the_commit_before_lacks(place: Path) -> None:
    """A level may be in the parent commit, and those below it not."""
    engine = LocalEngine(place / "pool")
    engine.init("v")
    tree = place / "pool" / "v" / "branches" / "master"
    branch(tree, 30)
    engine.commit("v", "1", ANN)
    branch(tree / "/".join(["on"] * 20) / "inner", 100)
    second = engine.commit("v", "2", ANN)
    assert described(place / "pool" / "v" / "commits" / second.id) == described(tree)
    branch(tree / "before" / "inner", 80)
    (tree / "/".join(["on"] * 25) / "file").write_text("changed")
    engine.reset("v", "HEAD^")
    engine.undo("v")
    assert (tree / "before" / "inner" / "on" / "file").exists()
    assert engine.fsck(data=True) == []


def test_a_deep_tree_is_reset_with_few_descriptors(backend: Backend, tree: Path) -> None:
    dig(tree, 1600)
    (tree / "file").write_text("before")
    frozen, entry = tree.with_name("frozen"), tree.with_name("entry")

    def reset() -> None:
        backend.freeze(tree, frozen, UNKNOWN)
        (tree / "file").write_text("after")
        entry.mkdir()
        assert len(backend.stage_reset(frozen, tree, entry, UNKNOWN).steps) > 0

    with_few_descriptors(reset)


# -- needs root --------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.parametrize("content", ROOTS.values(), ids=ROOTS)
def test_what_only_root_can_make_comes_back_as_it_was(
    backend: Backend, tree: Path, content: Callable[[Path], None]
) -> None:
    content(tree)
    round_trip(backend, tree)


@pytest.mark.root
@pytest.mark.parametrize("content", ROOTS.values(), ids=ROOTS)
def test_what_only_root_can_make_is_deleted_whole(
    backend: Backend, tree: Path, content: Callable[[Path], None]
) -> None:
    content(tree)
    backend.delete(tree)
    assert not tree.exists()


@pytest.mark.root
def test_an_attribute_that_stands_in_the_way_does_not_arrive(backend: Backend, tree: Path) -> None:
    """A default ACL of the place of the copy must not colour the copy."""
    os.setxattr(tree.parent, "system.posix_acl_default", ACL)
    files(tree)
    empty_directories(tree)
    for path in (tree, *tree.rglob("*")):
        for name in os.listxattr(path, follow_symlinks=False):
            os.removexattr(path, name)
    round_trip(backend, tree)


@pytest.mark.root
@pytest.mark.parametrize("content", [*CONTENTS.values(), *ROOTS.values()], ids=[*CONTENTS, *ROOTS])
def test_commit_and_reset_bring_a_tree_back_as_it_was(
    place: Path, content: Callable[[Path], None]
) -> None:
    """The whole way through the engine, after the tree was emptied."""
    pool = LocalEngine(place / "volumes")
    pool.init("v")
    tree = place / "volumes" / "v" / "branches" / "master"
    content(tree)
    before = described(tree)
    done = pool.commit("v", "x", ANN)
    assert described(place / "volumes" / "v" / "commits" / done.id) == before
    subprocess.run(["find", tree, "-mindepth", "1", "-delete"], check=True)
    tree.chmod(0o700)
    pool.reset("v")
    assert described(tree) == before


# -- hostile and broken ------------------------------------------------------------------------


def test_deleting_what_is_not_there_is_no_error(backend: Backend, place: Path) -> None:
    backend.delete(place / "nothing")


def test_deleting_a_file_or_a_symlink_deletes_just_that(backend: Backend, place: Path) -> None:
    (place / "file").touch()
    (place / "directory").mkdir()
    (place / "link").symlink_to("directory")
    backend.delete(place / "file")
    backend.delete(place / "link")
    assert os.listdir(place) == ["directory"]


def test_deleting_follows_no_symlink(backend: Backend, tree: Path) -> None:
    outside = tree.with_name("outside")
    outside.mkdir()
    (outside / "file").write_text("not yours")
    (tree / "deep").mkdir()
    for name in ("link", "deep/link"):
        (tree / name).symlink_to(outside)
    backend.delete(tree)
    assert (outside / "file").read_text() == "not yours"


@pytest.mark.root
def test_deleting_stops_at_what_is_mounted_in_the_tree(backend: Backend, tree: Path) -> None:
    outside = tree.with_name("outside")
    outside.mkdir()
    (outside / "file").write_text("not yours")
    (tree / "mounted").mkdir()
    with bound(outside, tree / "mounted"), pytest.raises(OSError):
        backend.delete(tree)
    assert (outside / "file").read_text() == "not yours"


@pytest.mark.parametrize("move", ["freeze", "restore"])
def test_a_tree_that_is_not_there_is_an_error(backend: Backend, place: Path, move: str) -> None:
    with pytest.raises(DvolError):
        move_of(backend, move)(place / "nothing", place / "copy")


@pytest.mark.parametrize("move", ["freeze", "restore"])
def test_a_symlink_in_place_of_a_tree_is_not_followed(
    backend: Backend, tree: Path, move: str
) -> None:
    tree.with_name("link").symlink_to(tree)
    with pytest.raises(DvolError):
        move_of(backend, move)(tree.with_name("link"), tree.with_name("copy"))


@pytest.mark.parametrize("move", ["freeze", "restore"])
def test_a_target_that_exists_is_not_overwritten(backend: Backend, tree: Path, move: str) -> None:
    files(tree)
    target = tree.with_name("target")
    target.mkdir()
    (target / "precious").touch()
    with pytest.raises((DvolError, OSError)):
        move_of(backend, move)(tree, target)
    assert os.listdir(target) == ["precious"]


@pytest.mark.root
@pytest.mark.parametrize("filesystem", ["ext4", "tmpfs"], indirect=True, scope="session")
def test_a_full_disk_is_said_so_and_what_was_made_can_be_deleted(
    backend: Backend, tree: Path
) -> None:
    """Not on XFS, where a clone takes no space."""
    limit = os.statvfs(tree)
    with (tree / "file").open("wb") as file:
        for _ in range(0, limit.f_bavail * limit.f_frsize * 2 // 3, 1 << 20):
            file.write(b"x" * (1 << 20))
    with pytest.raises(BackendFailed, match="No space left on device"):
        backend.freeze(tree, tree.with_name("frozen"), UNKNOWN)
    backend.delete(tree.with_name("frozen"))
    assert not tree.with_name("frozen").exists()


def test_no_descriptor_is_left_open(backend: Backend, tree: Path) -> None:
    for content in (files, symlinks, hard_links, special, empty_directories):
        (tree / content.__name__).mkdir()
        content(tree / content.__name__)
    before = set(os.listdir("/proc/self/fd"))
    round_trip(backend, tree)
    with pytest.raises(DvolError):
        backend.freeze(tree / "nothing", tree.with_name("nothing"), UNKNOWN)
    backend.delete(tree)
    assert set(os.listdir("/proc/self/fd")) == before
