"""Stores that fall into the midst of a commit: after a file was read and before the commit ends, or
while it is read; or of a reset, while it compares. These are slowed down at the right place.
"""

import mmap
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from dvol.errors import TreeChanged
from tests.contract.places import eventually
from tests.contract.trees import described
from tests.contract.unchanged import BELIEVED, TICK, Volume, made, on, same_times
from tests.contract.writing import BLOCK, number, writing

MANY = 100  # changed files, from where on all are written back at once
PAGES = 1000  # of a file that takes tens of milliseconds to copy, since every other is a hole


@pytest.fixture
def volume(place: Path) -> Volume:
    return made(place)


def slow(path: Path) -> None:
    """A file that is slow to copy."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for page in range(PAGES):
        os.pwrite(fd, os.urandom(8), 2 * page * BLOCK)
    os.truncate(fd, 2 * PAGES * BLOCK)
    os.close(fd)


@contextmanager
def committing(volume: Volume) -> Iterator[Future[Path]]:
    """A commit in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(volume.commit)


@contextmanager
def resetting(volume: Volume) -> Iterator[None]:
    """At any moment within a reset, which has to compare, because its index is gone."""
    volume.index.unlink(missing_ok=True)
    time.sleep(TICK)
    with ThreadPoolExecutor(1) as thread:
        reset = thread.submit(volume.reset)
        time.sleep(random.random() / 25)
        yield
        reset.result()


def number_in(frozen: Path) -> int:
    return number(frozen / "d" / "f")


@BELIEVED
@pytest.mark.slow
@pytest.mark.parametrize("others", [0, MANY], ids=["one file", "one among many"])
def test_a_store_after_its_file_was_read_is_in_the_next_commit(
    volume: Volume, place: Path, others: int
) -> None:
    """Its page was stored to long before, so without a write-back it would not touch ctime."""
    (volume.tree / "d" / "later").mkdir(parents=True)
    (volume.tree / "d" / "f").write_bytes(bytes(BLOCK))
    with writing("mmap", volume.tree / "d" / "f", place) as writer:
        for step in range(3):
            for name in range(others):
                (volume.tree / f"{name}").write_text(str(step))
            slow(volume.tree / "d" / "later" / "slow")
            writer.store()
            time.sleep(TICK)
            known = set(volume.root.glob("commits/*/d/later"))
            with committing(volume) as commit:
                eventually(lambda known=known: set(volume.root.glob("commits/*/d/later")) - known)
                last = writer.store()
                assert number_in(commit.result()) in (last - 1, last)
            assert number_in(volume.commit()) == last


@on("ext4")
@pytest.mark.slow
def test_stores_while_their_file_is_read_are_in_the_next_commit(
    volume: Volume, place: Path
) -> None:
    """The first of them comes between write-back and stat, and the rest touch no ctime any more;
    by the end of the reading that ctime is older than a tick."""
    (volume.tree / "d").mkdir()
    slow(volume.tree / "d" / "f")
    with writing("mmap", volume.tree / "d" / "f", place) as writer:
        for _ in range(10):
            writer.store()
            with committing(volume) as commit:
                writer.send(f"run {0.01 + random.random() / 50}")
                error = commit.exception()
                assert error is None or isinstance(error, TreeChanged)
            last = int(writer.answer())
            assert number_in(volume.commit()) == last


@on("ext4", "tmpfs")
def test_a_file_that_changes_while_it_is_read_fails_the_commit(volume: Volume, place: Path) -> None:
    """Else one end of it could be older than the other."""
    path, failures = volume.tree / "f", 0
    slow(path)
    with path.open("r+b") as file:
        for at in (0, path.stat().st_size - BLOCK):
            file.seek(at)
            file.write(bytes(BLOCK))
    with writing("pairs", path, place):
        for _ in range(10):
            try:
                frozen = volume.commit() / "f"
            except TreeChanged:
                failures += 1
                continue
            with frozen.open("rb") as file:
                first = int.from_bytes(file.read(8), "little")
                file.seek(-BLOCK, os.SEEK_END)
                last = int.from_bytes(file.read(8), "little")
            assert first - last in (0, 1)
    assert failures > 0
    volume.commit()


@on("ext4", "tmpfs")
def test_a_file_moved_to_where_the_walk_has_been_fails_the_commit(volume: Volume) -> None:
    """Else the commit would not have it at all."""
    old, new, failures = volume.tree / "d/later/deep/x", volume.tree / "x", 0
    old.parent.mkdir(parents=True)
    for step in range(12):
        old.write_text(f"moved {step}")
        slow(volume.tree / "d/later/slow")
        known = set(volume.root.glob("commits/*/d/later"))
        with committing(volume) as commit:
            while not set(volume.root.glob("commits/*/d/later")) - known:  # as soon as can be
                time.sleep(0)
            old.rename(new)
            if isinstance(commit.exception(), TreeChanged):
                failures += 1
            else:  # it was quicker
                assert (commit.result() / "d/later/deep/x").read_text() == f"moved {step}"
        assert (volume.commit() / "x").read_text() == f"moved {step}"
    assert failures


@on("ext4")
@pytest.mark.slow
def test_writes_while_a_reset_compares_are_in_the_next_commit(volume: Volume) -> None:
    path = volume.tree / "f"
    slow(path)
    volume.known()
    for value in range(15):
        fd = os.open(path, os.O_RDWR)
        with resetting(volume):
            os.pwrite(fd, value.to_bytes(8, "little"), 0)
        os.close(fd)
        state = described(volume.tree)
        assert described(volume.commit()) == state, value


@on("ext4")
@pytest.mark.slow
@pytest.mark.parametrize("compared", ["f", "d/later/slow"], ids=["their file", "another file"])
def test_stores_while_a_reset_compares_are_in_the_next_commit(
    volume: Volume, compared: str
) -> None:
    """Their page is dirty since long, so only the write-back lets them touch ctime."""
    path = volume.tree / "f"
    (volume.tree / compared).parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(BLOCK))
    slow(volume.tree / compared)
    volume.known()
    for value in range(15):
        status = path.stat()
        fd = os.open(path, os.O_RDWR)
        with mmap.mmap(fd, BLOCK) as page:
            page[0] = page[0]  # dirty, and as it was
            same_times(path, status)
            with resetting(volume):
                page[1] = value
        os.close(fd)
        state = described(volume.tree)
        assert described(volume.commit()) == state, value
