"""The data: how many files of which size, and how they are changed between two commits.

Everything is drawn from seeds, so that every tool meets the same bytes in the same order.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PAGE = 8 * KIB  # PostgreSQL's
SEGMENT = 16 * MIB  # of a write-ahead log


@dataclass(frozen=True)
class File:
    """One file of a workload: its path below the tree, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class Page:
    """A stretch of a file that was overwritten, and what stood there before."""

    path: str
    offset: int
    old: bytes


@dataclass(frozen=True)
class Workload:
    """`total` bytes in `count` files, of which `segments` are as large as a log segment."""

    name: str
    about: str
    total: int
    count: int
    directories: int
    segments: int = 0
    pages: int = 4  # rewritten in each changed file

    def files(self) -> list[File]:
        """The files in a fixed order; segments first, the rest equal and of whole pages."""
        rest = (self.total - self.segments * SEGMENT) // (self.count - self.segments)
        even = rest // PAGE * PAGE or rest
        sizes = [SEGMENT] * self.segments + [even] * (self.count - self.segments)
        return [
            File(f"{number % self.directories:03}/{number:06}", size)
            for number, size in enumerate(sizes)
        ]

    def changed(self, change: str) -> int:
        """How many files a change touches: a share as in "1 %", or a number as in "12 files"."""
        number, unit = change.split()
        if unit == "%":
            return -(-self.count * int(number) // 100)
        return min(self.count, int(number))


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("tenth", "100 MiB in 120 files", 100 * MIB, 120, 4),
        Workload("database", "1 GiB in 1,200 files", GIB, 1200, 12, segments=4),
        Workload("large", "10 GiB in 2,000 files", 10 * GIB, 2000, 20, segments=4),
        Workload("small", "20,000 files of 4 KiB", 20_000 * 4 * KIB, 20_000, 100),
        Workload("bigfile", "one file of 1 GiB", GIB, 1, 1, pages=1),
        Workload("many", "200,000 files of 512 bytes", 200_000 * 512, 200_000, 400),
    )
}


def write(tree: Path, files: Iterable[File]) -> None:
    """Fill `tree`. The bytes do not repeat: what finds duplicates is given none."""
    made: set[str] = set()
    for file in files:
        parent = os.path.dirname(file.path)
        if parent not in made:
            (tree / parent).mkdir(parents=True, exist_ok=True)
            made.add(parent)
        with open(tree / file.path, "wb") as target:  # noqa: PTH123  (200,000 times)
            _pour(target.fileno(), file)


def _pour(target: int, file: File) -> None:
    source = random.Random(file.path)
    for start in range(0, file.size, SEGMENT):
        os.write(target, source.randbytes(min(SEGMENT, file.size - start)))


def rewrite(tree: Path, workload: Workload, change: str, seed: str) -> list[Page]:
    """Overwrite some pages of some files in place, as a database does; other files each seed."""
    chance = random.Random(seed)
    files = workload.files()
    chosen = chance.sample(files, workload.changed(change))
    return [page for file in chosen for page in _rewrite(tree, file, workload.pages, chance)]


def _rewrite(tree: Path, file: File, pages: int, chance: random.Random) -> list[Page]:
    length = min(PAGE, file.size)
    places = range(0, max(file.size - length, 0) + 1, length)
    offsets = chance.sample(places, min(pages, len(places)))
    target = os.open(tree / file.path, os.O_RDWR)
    try:
        old = [Page(file.path, offset, os.pread(target, length, offset)) for offset in offsets]
        for offset in offsets:
            os.pwrite(target, chance.randbytes(length), offset)
    finally:
        os.close(target)
    return old


def undone(tree: Path, pages: Sequence[Page]) -> bool:
    """Does `tree` hold again what stood there? Looked up for a few: it proves a reset happened."""
    some = pages[:: max(1, len(pages) // 20)]
    return all(_read(tree, page) == page.old for page in some)


def _read(tree: Path, page: Page) -> bytes:
    with (tree / page.path).open("rb") as file:
        return os.pread(file.fileno(), len(page.old), page.offset)
