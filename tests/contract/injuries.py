"""Injuries to frozen trees: what a user, a program or a disk may do to a commit."""

import os
import random
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dvol.fs import btrfs
from dvol.fs.directories import opened_directory
from dvol.tree.delete import delete_tree

Injury = Callable[[Path, str], str]  # tree, path of a file in it -> the path that differs then


@contextmanager
def writable(tree: Path) -> Iterator[None]:
    """Let a frozen tree be written to: on btrfs it is a read-only subvolume."""
    with opened_directory(tree) as fd:
        frozen = btrfs.is_subvolume(fd) and btrfs.is_readonly(fd)
        if frozen:
            btrfs.set_readonly(fd, False)
        try:
            yield
        finally:
            if frozen:
                btrfs.set_readonly(fd, True)


@contextmanager
def same_mtime(path: Path) -> Iterator[None]:
    """Put the times of a file back afterwards."""
    status = path.lstat()
    yield
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def deleted(tree: Path, path: str) -> str:
    (tree / path).unlink()
    return path


def directory_deleted(tree: Path, path: str) -> str:
    folder = path.rpartition("/")[0]
    if not folder:
        return deleted(tree, path)
    delete_tree(tree / folder)
    return folder


def truncated(tree: Path, path: str) -> str:
    with same_mtime(tree / path):
        os.truncate(tree / path, (tree / path).stat().st_size // 2)
    return path


def appended(tree: Path, path: str) -> str:
    with same_mtime(tree / path), (tree / path).open("ab") as file:
        file.write(b"more")
    return path


def added(tree: Path, path: str) -> str:
    (tree / f"{path}.new").write_text("new")
    return f"{path}.new"


def chmoded(tree: Path, path: str) -> str:
    (tree / path).chmod((tree / path).stat().st_mode ^ stat.S_IXUSR)
    return path


def chowned(tree: Path, path: str) -> str:
    os.chown(tree / path, (tree / path).stat().st_uid + 1, -1)
    return path


def touched(tree: Path, path: str) -> str:
    os.utime(tree / path, ns=(0, (tree / path).stat().st_mtime_ns + 1_000_000_000))
    return path


def to_symlink(tree: Path, path: str) -> str:
    (tree / path).unlink()
    (tree / path).symlink_to("/etc/passwd")
    return path


def flipped(tree: Path, path: str) -> str:
    with same_mtime(tree / path), (tree / path).open("r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))
    return path


def with_xattr(tree: Path, path: str) -> str:
    name = "user.injury" if os.geteuid() else "trusted.injury"
    with same_mtime(tree / path):
        os.setxattr(tree / path, name, os.urandom(4))
    return path


SEEN = {  # by the status
    one.__name__: one
    for one in (
        *(deleted, directory_deleted, truncated, appended, added),
        *(chmoded, chowned, touched, to_symlink),
    )
}
READ = {one.__name__: one for one in (flipped, with_xattr)}  # only by reading
INJURIES: dict[str, Injury] = {**SEEN, **READ}


def files_of(tree: Path) -> list[str]:
    """The paths of the files of a tree that are not empty."""
    found = (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(str(path.relative_to(tree)) for path in found if path.stat().st_size)


def changed_at_random(tree: Path, chance: random.Random) -> None:
    """Change, add and delete a few files, as a program in a container would."""
    for number in range(chance.randint(1, 4)):
        folder = chance.choice(["", "a", "a/b", "c"])
        (tree / folder).mkdir(parents=True, exist_ok=True)
        (tree / folder / f"{chance.randint(0, 9)}").write_bytes(chance.randbytes(40 + number))
    if len(left := files_of(tree)) > 3 and chance.random() < 0.3:
        (tree / chance.choice(left)).unlink()
