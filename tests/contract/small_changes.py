"""A tree of fifty small files, and changes to it that are easy to miss: most leave the names, the
sizes or the modification times of the files as they were."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.contract.unchanged import overwritten, same_times

FILES = 50


def fill(tree: Path) -> None:
    """Ten files in each of the directories `d0` to `d4`."""
    for number in range(FILES):
        path = tree / f"d{number % 5}" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"content of {number:05d}")


def touched(tree: Path) -> None:
    os.utime(tree / "d3" / "8", ns=(10**18, 10**18 + 7))


def modes(tree: Path) -> None:
    (tree / "d3" / "8").chmod(0o600)
    (tree / "d4").chmod(0o2750)


def owners(tree: Path) -> None:
    owner = (1234, 5678) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    os.chown(tree / "d3" / "8", *owner)
    os.chown(tree / "d4", *owner)


def attributes(tree: Path) -> None:
    """With the mtime that it had: only ctime tells."""
    for path in (tree / "d3" / "8", tree / "d4", tree):
        status = path.stat()
        os.setxattr(path, "user.one", b"value")
        same_times(path, status)


def in_place(tree: Path) -> None:
    """Size and mtime as they were."""
    path = tree / "d3" / "8"
    status = path.stat()
    overwritten(path, b"CONTENT OF 00008")
    same_times(path, status)


def renamed_over(tree: Path) -> None:
    path = tree / "d3" / "8"
    status = path.stat()
    (tree / "new").write_text("CONTENT OF 00008")
    (tree / "new").chmod(status.st_mode & 0o7777)
    same_times(tree / "new", status)
    (tree / "new").rename(path)


def two_swapped(tree: Path) -> None:
    """Equal in all but content and inode."""
    one, other = tree / "d3" / "8", tree / "d3" / "13"
    same_times(other, one.stat())
    one.rename(tree / "aside")
    other.rename(one)
    (tree / "aside").rename(other)


def directory_renamed(tree: Path) -> None:
    (tree / "d3").rename(tree / "renamed")


def directories_swapped(tree: Path) -> None:
    for source, target in (("d3", "aside"), ("d4", "d3"), ("aside", "d4")):
        (tree / source).rename(tree / target)


def directory_copied_over(tree: Path) -> None:
    """As from a backup: the same names and times, other inodes and other content."""
    shutil.copytree(tree / "d3", tree / "copy")
    overwritten(tree / "copy" / "8", b"CONTENT OF 00008")
    same_times(tree / "copy" / "8", (tree / "d3" / "8").stat())
    shutil.rmtree(tree / "d3")
    (tree / "copy").rename(tree / "d3")


def kinds(tree: Path) -> None:
    for name in ("8", "13", "18", "23"):
        (tree / "d3" / name).unlink()
    (tree / "d3" / "8").mkdir()
    (tree / "d3" / "13").symlink_to("18")
    os.mkfifo(tree / "d3" / "18")
    (tree / "d3" / "23").write_text("")


def symlink_retargeted(tree: Path) -> None:
    """To a text of the same length, with the same times."""
    status = os.lstat(tree / "link")
    (tree / "link").unlink()
    (tree / "link").symlink_to("elsewherE")
    os.utime(tree / "link", ns=(1, status.st_mtime_ns), follow_symlinks=False)


def holes(tree: Path) -> None:
    """Of the same length and mtime."""
    path = tree / "d3" / "8"
    status = path.stat()
    with path.open("wb") as file:
        file.truncate(status.st_size)
    same_times(path, status)


CHANGES = {
    change.__name__: change
    for change in (
        touched, modes, owners, attributes, in_place, renamed_over, two_swapped,
        directory_renamed, directories_swapped, directory_copied_over, kinds,
        symlink_retargeted, holes,
    )
}  # fmt: skip
Change = Callable[[Path], None]
