"""Paths below a directory: resolved without ever leaving it, whatever stands in the way."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvol.fs.beneath import Beneath


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside" / "inner").mkdir(parents=True)
    return tmp_path / "outside"


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Path:
    """A directory with directories, and with ways out of it."""
    root = tmp_path / "root"
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "a" / "file").touch()
    (root / "link").symlink_to(outside)
    (root / "a" / "link").symlink_to("b")
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture
def below(root: Path) -> Iterator[Beneath]:
    with Beneath(root) as below:
        yield below


def is_at(fd: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(fd), path.stat())


@pytest.mark.parametrize("path", ["", "a", "a/b", "a/b/c"])
def test_a_directory_is_opened_by_its_path(below: Beneath, root: Path, path: str) -> None:
    assert is_at(below.directory(path), root / path)


def test_any_directory_may_follow_any_other(below: Beneath, root: Path) -> None:
    for path in ("a/b/c", "a", "", "a/b", "a/b", "", "a/b/c"):
        assert is_at(below.directory(path), root / path)


def test_neighbours_share_the_open_directory(below: Beneath) -> None:
    assert below.directory("a/b") == below.directory("a/b")
    assert below.parent("a/b/one")[0] == below.parent("a/b/two")[0]


@pytest.mark.parametrize(
    ("path", "directory", "name"), [("x", "", "x"), ("a/x", "a", "x"), ("a/b/c", "a/b", "c")]
)
def test_a_parent_is_the_directory_that_holds_the_name(
    below: Beneath, root: Path, path: str, directory: str, name: str
) -> None:
    fd, last = below.parent(path)
    assert is_at(fd, root / directory)
    assert last == name


@pytest.mark.parametrize("path", ["link", "link/inner", "up", "up/outside", "a/link", "a/link/c"])
def test_no_symlink_is_followed_not_even_within(below: Beneath, path: str) -> None:
    with pytest.raises(OSError) as caught:
        below.directory(path)
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)


@pytest.mark.parametrize("path", ["loop", "fifo", "a/file", "a/file/x", "fifo/x", "loop/x"])
def test_what_is_no_directory_is_refused_and_holds_nobody(below: Beneath, path: str) -> None:
    with pytest.raises(OSError):
        below.directory(path)


def test_what_is_missing_is_said_so(below: Beneath) -> None:
    for path in ("nothing", "a/nothing", "nothing/a", "a/b/c/d/e"):
        with pytest.raises(FileNotFoundError):
            below.directory(path)


def test_a_root_that_is_a_symlink_is_refused(root: Path) -> None:
    with pytest.raises(OSError):
        Beneath(root / "link")


def test_after_a_failure_other_paths_still_work(below: Beneath, root: Path) -> None:
    """It failed half way, so it may not take where it got to for where it was asked to go."""
    for path in ("a/nothing", "a/b/nothing", "a/link", "link/inner", "a/file/x"):
        for _ in range(2):
            with pytest.raises(OSError):
                below.directory(path)
        assert is_at(below.directory(""), root)
        assert is_at(below.directory("a"), root / "a")
        assert is_at(below.directory("a/b"), root / "a/b")


def test_a_directory_swapped_for_a_symlink_leads_nowhere(
    below: Beneath, root: Path, outside: Path
) -> None:
    below.directory("a/b/c")
    below.directory("")
    (root / "a").rename(root / "aside")
    (root / "a").symlink_to(outside)
    with pytest.raises(OSError):
        below.parent("a/inner/name")


def test_an_open_directory_stays_itself_when_its_name_is_swapped(
    below: Beneath, root: Path, outside: Path
) -> None:
    fd = below.directory("a/b")
    (root / "a").rename(root / "aside")
    (root / "a").symlink_to(outside)
    assert is_at(fd, root / "aside" / "b")
    assert is_at(below.directory("a/b"), root / "aside" / "b")


def test_odd_names_are_names(below: Beneath, root: Path) -> None:
    for name in (b"\xff\xfe", b"new\nline", b" ", b"...", b"x" * 255):
        path = "a/" + os.fsdecode(name)
        (root / path).mkdir()
        assert is_at(below.directory(path), root / path)


def test_a_path_far_longer_than_the_kernel_takes_is_opened(root: Path) -> None:
    name, depth = "d" * 255, 40
    fd = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    with Beneath(root) as below:
        last = below.directory("/".join([name] * depth))
        assert os.path.samestat(os.fstat(last), os.fstat(fd))
    os.close(fd)


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with Beneath(root) as below:
        for path in ("a/b/c", "a", "", "a/nothing", "link/x", "a/file/x", "a/b"):
            try:
                below.parent(path + "/name")
            except OSError:
                continue
    with pytest.raises(OSError):
        Beneath(root / "nothing")
    assert os.listdir("/proc/self/fd") == before


def test_descriptors_are_not_inherited(below: Beneath) -> None:
    assert not os.get_inheritable(below.directory(""))
    assert not os.get_inheritable(below.directory("a/b"))
