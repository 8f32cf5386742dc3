"""Any two frozen trees are compared: without an index, and whatever inodes commits share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dvol.backends.copy.thaw import Linker
from dvol.fs.beneath import DIRECTORY
from dvol.tree.compare import Change, Kind, compare
from dvol.tree.hardlinks import HardLinks, count_names
from dvol.tree.walk import fill

LONG_AGO = 10**18


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A frozen tree, with a file of two names."""
    tree = tmp_path / "one"
    (tree / "d").mkdir(parents=True)
    for name in ("f", "d/g", "two"):
        (tree / name).write_text(f"content of {name}")
    os.link(tree / "two", tree / "d/two")
    for path in [*tree.rglob("*"), tree]:
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return tree


@pytest.fixture
def other(one: Path, tmp_path: Path) -> Path:
    """The next commit, as a freeze makes it: what is unchanged shares its inode."""
    target = tmp_path / "other"
    target.mkdir()
    with_links(one, target)
    return target


def with_links(source: Path, target: Path) -> None:
    fds = [os.open(path, DIRECTORY) for path in (source, target)]
    linker = Linker(count_names(fds[0]), HardLinks(target.with_name("links")))
    fill(fds[0], fds[1], None, "tree", linker)
    for fd in fds:
        os.close(fd)


def changes(one: Path, other: Path) -> set[tuple[str, str]]:
    fds = [os.open(path, DIRECTORY) for path in (one, other)]
    try:
        found: list[Change] = compare(fds[0], fds[1], str(one))
    finally:
        for fd in fds:
            os.close(fd)
    return {(change.kind.value, change.path) for change in found if change.kind != Kind.TIMES}


def rewritten(path: Path) -> None:
    """Other content under the same size and times: a new file, since frozen ones never change."""
    status, content = path.stat(), path.read_bytes()
    path.unlink()
    path.write_bytes(content[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], set[tuple[str, str]]]] = {
    "nothing": (lambda tree: None, set()),
    "a file more": (lambda tree: (tree / "d/new").write_text("x"), {("add", "d/new")}),
    "a file less": (lambda tree: (tree / "f").unlink(), {("remove", "f")}),
    "content": (lambda tree: rewritten(tree / "d/g"), {("replace", "d/g")}),
    "a directory's mode": (lambda tree: (tree / "d").chmod(0o700), {("attributes", "d")}),
    "a name of two less": (
        lambda tree: (tree / "d/two").unlink(),
        {("remove", "d/two"), ("replace", "two")},
    ),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_two_frozen_trees_differ_by_what_was_changed(
    one: Path, other: Path, change: Callable[[Path], object], expected: set[tuple[str, str]]
) -> None:
    change(other)
    assert changes(one, other) == expected


def test_what_commits_share_is_not_read(
    one: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*arguments: object) -> bool:
        raise AssertionError("it is the same inode")

    monkeypatch.setattr("dvol.tree.compare.same_content", read)
    assert changes(one, other) == set()
