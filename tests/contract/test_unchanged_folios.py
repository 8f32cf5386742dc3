"""Stores through mmap to files of many pages. On XFS the page cache holds such a file in large
folios, and one store can make all pages of a folio writable: the stores that follow cause no fault,
and so touch no time. What a file holds must be in the next commit all the same."""

import mmap
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from dvol.errors import TreeChanged
from tests.contract.unchanged import DISKS, TICK, Volume, made, overwritten

PAGE = 4096
SIZE = 4 << 20  # two folios of 2 MiB, if the kernel makes them as large as it may
PAGES = SIZE // PAGE


def written_at_once(path: Path) -> None:
    path.write_bytes(os.urandom(SIZE))


def page_by_page(path: Path) -> None:
    """Written so, it may have a folio for each page."""
    with path.open("wb", buffering=0) as file:
        for _ in range(PAGES):
            file.write(os.urandom(PAGE))
            os.fdatasync(file.fileno())


def read_ahead(path: Path) -> None:
    """Not in memory when it is mapped."""
    written_at_once(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sparse(path: Path) -> None:
    """Holes, in which a store allocates a block."""
    with path.open("wb") as file:
        file.truncate(SIZE)


FILES = [written_at_once, page_by_page, read_ahead, sparse]


any_file = pytest.mark.parametrize("volume", FILES, indirect=True, ids=lambda made: made.__name__)


@pytest.fixture
def volume(request: pytest.FixtureRequest, place: Path) -> Volume:
    """A volume with such a file; nobody is known to write."""
    volume = made(place)
    write = getattr(request, "param", written_at_once)
    write(volume.tree / "f")
    return volume


@contextmanager
def mapped(path: Path, times: int = 1) -> Iterator[list[mmap.mmap]]:
    """Shared mappings of the file, that many."""
    with path.open("r+b") as file, ExitStack() as undo:
        yield [undo.enter_context(mmap.mmap(file.fileno(), SIZE)) for _ in range(times)]


def store(memory: mmap.mmap, page: int) -> None:
    """One store: eight bytes that no page has."""
    at = page * PAGE + random.randrange(0, PAGE, 8)
    memory[at : at + 8] = os.urandom(8)


def assert_committed(volume: Volume) -> None:
    """The next commit holds what the file holds."""
    time.sleep(random.choice((0, TICK)))
    assert (volume.commit() / "f").read_bytes() == (volume.tree / "f").read_bytes()


def touched(memory: mmap.mmap) -> None:
    """Every page is mapped by a read: the first store to a folio then makes it writable."""
    for page in range(PAGES):
        memory[page * PAGE]


@DISKS
@any_file
@pytest.mark.parametrize("prepare", [lambda _: None, touched], ids=["fresh", "read before"])
def test_a_store_to_any_page_is_noticed(
    volume: Volume, prepare: Callable[[mmap.mmap], None]
) -> None:
    """The page beside the one that caused the fault, and any other."""
    with mapped(volume.tree / "f") as (memory,):
        prepare(memory)
        store(memory, 0)
        volume.known()
        for page in (1, 0, *random.sample(range(PAGES), 8)):
            store(memory, page)
            assert_committed(volume)


@DISKS
def test_stores_before_and_after_a_commit_fall_into_one_folio(volume: Volume) -> None:
    """The first store of a round makes the folio writable, the second is one without a fault."""
    with mapped(volume.tree / "f") as (memory,):
        touched(memory)
        for _ in range(8):
            page = random.randrange(PAGES - 1)
            store(memory, page)
            store(memory, page + 1)
            assert_committed(volume)
            store(memory, page + 1)
            assert_committed(volume)


@DISKS
def test_each_of_several_mappings_is_noticed(volume: Volume) -> None:
    """What one has made writable the other has not: each has page tables of its own. So has a
    child, which stores when it is told."""
    with mapped(volume.tree / "f", times=3) as memories, child_of(memories[0]) as store_there:
        for memory in memories:
            touched(memory)
            store(memory, 0)
        volume.known()
        for _ in range(4):
            for memory in memories:
                store(memory, random.randrange(PAGES))
                assert_committed(volume)
            store_there(random.randrange(PAGES))
            assert_committed(volume)


@contextmanager
def child_of(memory: mmap.mmap) -> Iterator[Callable[[int], None]]:
    """A process that has inherited the mapping; what lets it store to a page, and waits for it."""
    asked, answered = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(asked[1])
        while page := os.read(asked[0], 4):
            store(memory, int.from_bytes(page, "little"))
            os.write(answered[1], b".")
        os._exit(0)

    def store_there(page: int) -> None:
        os.write(asked[1], page.to_bytes(4, "little"))
        os.read(answered[0], 1)

    try:
        yield store_there
    finally:
        for fd in (*asked, *answered):
            os.close(fd)
        os.waitpid(child, 0)


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Do the work again and again in another thread."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@DISKS
def test_a_store_during_a_write_back_is_noticed(volume: Volume) -> None:
    """The file is written back all the time: that takes from the pages what lets a store cause no
    fault, at any moment."""
    path = volume.tree / "f"
    with path.open("rb") as file, mapped(path) as (memory,):
        touched(memory)
        with meanwhile(partial(os.fdatasync, file.fileno())):
            for _ in range(8):
                for page in random.sample(range(PAGES), 20):
                    store(memory, page)
                assert_committed(volume)


@DISKS
@any_file
def test_stores_during_a_commit_are_in_it_or_in_the_next(volume: Volume) -> None:
    """They begin long after the folios were made writable, and end somewhere in the midst of the
    commit, which writes all back in the end."""
    with mapped(volume.tree / "f") as (memory,):
        touched(memory)
        for _ in range(25):
            began = time.monotonic()
            with suppress(TreeChanged):  # it has seen that the file changes
                volume.commit()
            length = time.monotonic() - began
            for page in range(0, PAGES, 64):
                store(memory, page)
            time.sleep(2 * TICK)
            until = time.monotonic() + length * random.random()
            thread = threading.Thread(target=store_until, args=(memory, until))
            thread.start()
            with suppress(TreeChanged):
                volume.commit()
            thread.join()
            assert_committed(volume)


def store_until(memory: mmap.mmap, until: float) -> None:
    while time.monotonic() < until:
        store(memory, random.randrange(PAGES))


@DISKS
def test_a_store_after_a_commit_is_undone_by_a_reset(volume: Volume) -> None:
    path = volume.tree / "f"
    with mapped(path) as (memory,):
        touched(memory)
        store(memory, 0)
        frozen = volume.known() / "f"
        store(memory, 1)
        time.sleep(TICK)
        volume.reset()
        assert path.read_bytes() == frozen.read_bytes()


@DISKS
def test_a_write_beside_a_mapping_is_noticed(volume: Volume) -> None:
    """A write(2) to a folio that a store has made writable."""
    path = volume.tree / "f"
    with mapped(path) as (memory,):
        touched(memory)
        store(memory, 0)
        volume.known()
        overwritten(path, os.urandom(SIZE))
        assert_committed(volume)
        store(memory, 3)
        assert_committed(volume)
