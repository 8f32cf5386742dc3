"""Every kind of difference that a live tree can have from its commit, one function for each."""

import os
from collections.abc import Callable
from pathlib import Path

from tests.contract.unchanged import overwritten, same_times

LONG_AGO = 10**18 + 123_456_789
Change = Callable[[Path], None]


def fill(tree: Path) -> None:
    """What the differences change: one of each kind."""
    for path in ("d/e/f/deep", "d/file", "d/other", "top", os.fsdecode(b"\xff/new\nline/\xfe")):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(f"content of {path!a}")
    (tree / "empty").mkdir()
    (tree / "d/link").symlink_to("file")
    os.mkfifo(tree / "d/fifo")
    (tree / "closed").mkdir(0o700)
    (tree / "closed/inner").write_text("x")
    os.setxattr(tree / "closed", "user.one", b"1")
    os.link(tree / "d/file", tree / "closed/name")
    for path in (tree, *tree.rglob("*")):
        os.utime(path, ns=(LONG_AGO, LONG_AGO + 1), follow_symlinks=False)


def content(tree: Path) -> None:
    (tree / "top").write_text("changed")
    (tree / "d/e/f/deep").write_text("changed")
    (tree / os.fsdecode(b"\xff/new\nline/\xfe")).write_text("changed")


def content_only(tree: Path) -> None:
    status = (tree / "top").stat()
    overwritten(tree / "top", b"x" * status.st_size)
    same_times(tree / "top", status)


def missing(tree: Path) -> None:
    for name in ("top", "d/link", "d/fifo", "d/other", "closed/name"):
        (tree / name).unlink()
    (tree / "empty").rmdir()
    remove(tree / "d/e")
    remove(tree / os.fsdecode(b"\xff"))


def extra(tree: Path) -> None:
    (tree / "new/nested/deep").mkdir(parents=True)
    for name in ("new/nested/deep/file", "d/e/new", os.fsdecode(b"\xfd\n")):
        (tree / name).write_text("new")
    (tree / "new/link").symlink_to("nested")
    os.mkfifo(tree / "new/nested/fifo")
    os.setxattr(tree / "new/nested", "user.one", b"1")
    (tree / "new/nested").chmod(0o2700)
    os.utime(tree / "new/nested", ns=(LONG_AGO, LONG_AGO + 77))


def file_times(tree: Path) -> None:
    os.utime(tree / "top", ns=(7, 8))
    os.utime(tree / "d/link", ns=(7, 8), follow_symlinks=False)
    os.utime(tree / "d/fifo", ns=(7, 8))


def directory_times(tree: Path) -> None:
    for name in (".", "d", "d/e/f", "empty", "closed"):
        os.utime(tree / name, ns=(7, 8))


def file_attributes(tree: Path) -> None:
    (tree / "top").chmod(0o4711)
    (tree / "d/fifo").chmod(0o600)
    os.setxattr(tree / "d/other", "user.one", b"2")
    os.setxattr(tree / "closed/inner", "user.two", b"")


def directory_attributes(tree: Path) -> None:
    tree.chmod(0o1777)
    (tree / "d").chmod(0o2711)
    os.setxattr(tree / "closed", "user.one", b"other")
    os.setxattr(tree / "closed", "user.two", b"2")
    os.removexattr(tree / "closed", "user.one")
    os.setxattr(tree / "empty", "user.one", b"1")


def directory_attributes_and_files(tree: Path) -> None:
    directory_attributes(tree)
    content(tree)
    extra(tree)


def links_broken(tree: Path) -> None:
    (tree / "closed/name").unlink()
    (tree / "closed/name").write_text((tree / "d/file").read_text())
    os.utime(tree / "closed/name", ns=(LONG_AGO, LONG_AGO + 1))


def links_made(tree: Path) -> None:
    for name in ("d/e/f/deep", "top", "new"):
        (tree / name).unlink(missing_ok=True)
        os.link(tree / "d/other", tree / name)


def renamed(tree: Path) -> None:
    (tree / "d/e").rename(tree / "moved")
    (tree / "top").rename(tree / "empty/top")


def swapped(tree: Path) -> None:
    (tree / "d").rename(tree / "aside")
    (tree / "closed").rename(tree / "d")
    (tree / "aside").rename(tree / "closed")


def everything_gone(tree: Path) -> None:
    for path in tree.iterdir():
        remove(path)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            remove(inner)
        path.rmdir()
    else:
        path.unlink()


DIFFERENCES = {
    change.__name__: change
    for change in (
        content, content_only, missing, extra, file_times, directory_times, file_attributes,
        directory_attributes, directory_attributes_and_files, links_broken, links_made, renamed,
        swapped, everything_gone,
    )
}  # fmt: skip
