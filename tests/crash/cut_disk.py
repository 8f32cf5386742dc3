"""A disk that is cut off at the calls of a verb: one image for each state of the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash.check import Expected
from tests.crash.conftest import available
from tests.crash.image import OPTIONS, Images, build_pool, check_image, run_with_images
from tests.crash.state import kept, state_of
from tests.crash.verbs import VERBS
from tests.crash.worker import Worker
from tests.lab.filesystems import detach


class CutDisk:
    """A disk with a pool, the images taken of it, and what the next boot finds on each image."""

    def __init__(self, worker: Worker, kind: str, mount: Path) -> None:
        self.worker, self.kind, self.mount = worker, kind, mount
        self.root, self.directory = mount / "pool", mount.parent / "images"
        self.directory.mkdir()

    def run(self, name: str, skipped: frozenset[str] = frozenset(), **how) -> None:
        """Build the pool, run the verb and take the images, then unmount the disk."""
        self.worker.run(build_pool, self.root, name)
        before = self.worker.run(state_of, self.root)
        files = self.worker.run(kept, self.root, VERBS[name].discards, VERBS[name].deletes)
        images = Images(self.mount, self.directory, **how)
        ended, self.images = self.worker.run(run_with_images, self.root, name, images, skipped)
        assert ended.code == 0, ended.said
        after = self.worker.run(state_of, self.root)
        self.name, self.expected = name, Expected(before, after, files, ended.calls)
        detach(self.mount)

    def check(self) -> Iterator[tuple[str, list[str]]]:
        """For each image its points, and the complaints about it."""
        end = len(self.expected.calls)
        for first, points in self.images.points_of.items():
            done = end in points
            where = (self.kind, self.directory / str(first), self.mount, self.root)
            found = self.worker.run(check_image, *where, self.name, self.expected, done)
            at = "the end" if first == end else self.expected.calls[first]
            yield f"points {first} to {points[-1]}: {at}", found

    @property
    def points(self) -> int:
        return sum(map(len, self.images.points_of.values()))


@contextmanager
def cut_disk(worker: Worker, kind: str) -> Iterator[CutDisk]:
    """A fresh file system of a kind on a small disk; unmounted and gone afterwards."""
    with available(kind, OPTIONS[kind]) as mount:
        yield CutDisk(worker, kind, mount)
