"""A tree with every kind of file, and the changes that are made to it after the commit."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

DAY = 86_400 * 10**9
Change = Callable[[Path], object]


def many_kinds(tree: Path) -> None:
    """Fill the tree with every kind of file, as the tests commit it."""
    for name in ("file", "other", "directory/inner", "directory/deep/leaf", "gone/with/all"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(f"content of {name}")
        os.utime(tree / name, ns=(DAY, DAY))
    os.link(tree / "other", tree / "directory/other-name")
    (tree / "one").write_text("a pair")
    os.link(tree / "one", tree / "two")
    (tree / "link").symlink_to("file")
    os.mkfifo(tree / "fifo")
    (tree / "empty").mkdir()


def rewritten(tree: Path) -> None:
    """Same size, same modification time."""
    text = (tree / "file").read_text()
    (tree / "file").write_text(text.upper())
    os.utime(tree / "file", ns=(DAY, DAY))


def to_directory(tree: Path) -> None:
    (tree / "file").unlink()
    (tree / "file").mkdir()
    (tree / "file" / "inside").write_text("new")


def from_directory(tree: Path) -> None:
    shutil.rmtree(tree / "directory")
    (tree / "directory").write_text("a file now")


def to_symlink(tree: Path) -> None:
    (tree / "file").unlink()
    (tree / "file").symlink_to("/etc/passwd")


def retargeted(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("elsewhere")


def unlinked_pair(tree: Path) -> None:
    (tree / "two").unlink()
    (tree / "two").write_text("a pair")


def paired(tree: Path) -> None:
    os.link(tree / "file", tree / "directory/deep/again")


def renamed(tree: Path) -> None:
    (tree / "directory").rename(tree / "moved")
    (tree / "file").rename(tree / "empty" / "file")


def attributes(tree: Path) -> None:
    (tree / "file").chmod(0o4755)
    (tree / "directory").chmod(0o1770)
    tree.chmod(0o700)


def times(tree: Path) -> None:
    for name in ("file", "empty", "link"):
        os.utime(tree / name, ns=(7, 1_600_000_000_987_654_321), follow_symlinks=False)


def everything(tree: Path) -> None:
    for change in (attributes, times, renamed, retargeted, unlinked_pair):
        change(tree)
    for number in range(50):
        (tree / f"new-{number}").write_text(str(number) * 100)


CHANGES: dict[str, Change] = {
    "changed": lambda tree: (tree / "file").write_text("something longer than before"),
    "same size": rewritten,
    "deleted": lambda tree: (tree / "file").unlink(),
    "new": lambda tree: (tree / "new").write_text("new"),
    "new directory": lambda tree: shutil.copytree(tree / "directory", tree / "empty" / "copy"),
    "deleted directory": lambda tree: shutil.rmtree(tree / "gone"),
    "file to directory": to_directory,
    "directory to file": from_directory,
    "file to symlink": to_symlink,
    "symlink": retargeted,
    "pair apart": unlinked_pair,
    "pair changed": lambda tree: (tree / "one").write_text("both"),
    "paired": paired,
    "name of a pair gone": lambda tree: (tree / "directory/other-name").unlink(),
    "special": lambda tree: (tree / "fifo").unlink(),
    "renamed": renamed,
    "attributes": attributes,
    "times": times,
    "everything": everything,
}
