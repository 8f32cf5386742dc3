"""A pool of an ordinary user, in which root does something too: it stays the user's pool."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from dvol.engine.local import LocalEngine
from dvol.fs import btrfs
from dvol.tree.metadata import copy_special
from tests.contract.contents import ACL
from tests.contract.places import environment
from tests.contract.trees import described

pytestmark = pytest.mark.root
everywhere = pytest.mark.parametrize(
    "filesystem", ["ext4", "xfs", "btrfs"], indirect=True, scope="session"
)
USER = 65534
Command = Callable[..., str]

# each makes files that the one before did not
OF_ROOT = (
    "commit -m root v",
    "drop HEAD~1 v",
    "tag release v",
    "reset --hard HEAD~1 v",
    "undo v",
    "checkout -b side v",
    "checkout -b other v",
    "checkout master v",
    "branch -d other v",
    "config v gc.keep 90d",
    "commit -m another v",
    "prune --keep-last 1 v",
    "init w",
    "switch v",
    "rm -f w",
    "restore w",
    "fsck --data v",
    "gc --now -f",
)
OF_THE_USER = (
    "log v",
    "reflog v",
    "list",
    "branch v",
    "commit -m user v",
    "reset --hard HEAD~1 v",
    "undo v",
    "checkout side v",
    "checkout master v",
    "branch -d side v",
    "tag -d release v",
    "config v gc.keep 60d",
    "fsck v",
    "fsck --data v",
    "rm -f w",
    "restore w",
    "rm -f v",
    "gc --now -f",
)


def ran(words: list[str]) -> str:
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, (words[-4:], done.stderr)
    return done.stdout


@pytest.fixture
def pool(place: Path) -> Path:
    """A directory of the user's, in which his pool will be."""
    place.chmod(0o755)
    os.chown(place, USER, USER)
    return place / "pool"


@pytest.fixture
def user(nobody: list[str], pool: Path) -> Command:
    """A command of the user."""
    return lambda *words: ran([*nobody, "-m", "dvol", "--pool", str(pool), *words])


@pytest.fixture
def root(pool: Path) -> Command:
    """A command of root."""
    return lambda *words: ran([sys.executable, "-m", "dvol", "--pool", str(pool), *words])


@pytest.fixture
def volume(pool: Path, user: Command) -> Path:
    """A volume of the user's with two commits; returns its live tree."""
    user("init", "v")
    tree = pool / "v" / "branches" / "master"
    for text in ("1", "2"):
        write(tree / "file", text)
        user("commit", "-m", text, "v")
    return tree


def write(path: Path, text: str) -> None:
    path.write_text(text)
    os.chown(path, USER, USER)


def foreign(pool: Path) -> list[str]:
    """The files that are not the user's."""
    seen = os.walk(pool)
    paths = [os.path.join(folder, name) for folder, *names in seen for name in chain(*names)]
    owners = ((path, os.lstat(path)) for path in paths)
    return [path for path, status in owners if (status.st_uid, status.st_gid) != (USER, USER)]


@everywhere
def test_all_that_root_makes_belongs_to_the_user(volume: Path, pool: Path, root: Command) -> None:
    for number, words in enumerate(OF_ROOT):
        write(volume / "file", f"by root {number}")
        root(*words.split())
        assert foreign(pool) == [], words


@everywhere
def test_the_user_goes_on_after_root(volume: Path, user: Command, root: Command) -> None:
    for number, words in enumerate(OF_ROOT):
        write(volume / "file", f"by root {number}")
        root(*words.split())
    for number, words in enumerate(OF_THE_USER):
        if volume.exists():
            write(volume / "file", f"by the user {number}")
        user(*words.split())


@everywhere
def test_attributes_of_what_the_user_may_not_write_to_are_kept(volume: Path, user: Command) -> None:
    """Only who may write to a file may set its user.* attributes."""
    write(volume / "locked", "x")
    (volume / "closed").mkdir()
    os.chown(volume / "closed", USER, USER)
    for name, mode in (("locked", 0o444), ("closed", 0o555), (".", 0o555)):
        os.setxattr(volume / name, "user.one", b"1")
        os.setxattr(volume / name, "system.posix_acl_access", ACL)
        (volume / name).chmod(mode)
    user("commit", "-m", "locked", "v")
    before = described(volume)
    for name in ("locked", "closed", "."):
        os.setxattr(volume / name, "user.one", b"2")
        os.setxattr(volume / name, "user.two", b"2")
    user("reset", "--hard", "HEAD", "v")
    assert described(volume) == before


@everywhere
def test_a_new_pool_in_a_directory_of_the_user_belongs_to_him(
    pool: Path, user: Command, root: Command
) -> None:
    """An empty directory that he has made for it; where root makes the pool, it is root's."""
    pool.mkdir()
    os.chown(pool, USER, USER)
    root("init", "v")
    assert foreign(pool) == []
    assert user("list")


@pytest.mark.parametrize("filesystem", ["btrfs"], indirect=True, scope="session")
def test_a_pool_that_has_subvolumes_keeps_them(place: Path) -> None:
    """Root has worked in the user's pool with an earlier build."""
    pool = place / "pool"
    engine = LocalEngine(pool)
    engine.init("v")
    os.chown(pool, USER, USER)
    tree = pool / "v" / "branches" / "master"
    (tree / "file").write_text("1")
    LocalEngine(pool).commit("v", "1", "Ann <ann@example.org>")
    (tree / "file").write_text("2")
    LocalEngine(pool).reset("v")
    assert (tree / "file").read_text() == "1"
    assert tree.stat().st_ino == btrfs.ROOT


@pytest.mark.parametrize("filesystem", ["ext4"], indirect=True, scope="session")
def test_no_link_is_followed_that_the_user_puts_in_the_place_of_a_special_file(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that root copies into is the user's from the start."""
    for name in ("source", "target"):
        (place / name).mkdir()
    outside = place / "outside"
    outside.touch(0o600)
    os.mkfifo(place / "source" / "fifo", 0o666)
    made = os.chown

    def swapped(name: str, *owner: int, dir_fd: int, follow_symlinks: bool) -> None:
        made(name, *owner, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        os.unlink(name, dir_fd=dir_fd)
        os.symlink(outside, name, dir_fd=dir_fd)

    os.chown(place / "source" / "fifo", USER, USER)
    monkeypatch.setattr(os, "chown", swapped)
    one, other = (os.open(place / name, os.O_RDONLY) for name in ("source", "target"))
    try:
        status = os.stat("fifo", dir_fd=one)
        with pytest.raises(OSError, match="Stale"):
            copy_special("fifo", status, one, "fifo", other)
    finally:
        os.close(one)
        os.close(other)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600
