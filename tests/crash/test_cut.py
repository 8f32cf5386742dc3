"""Every mutating verb, with the power cut before each of its calls that change a disk.

Killing a process shows nothing of what was never synced; the image file of its disk does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.conftest import DISKS, available
from tests.crash.cutting import OPTIONS, Camera, developed, filmed, prepared, rehearsed
from tests.crash.picture import kept, picture
from tests.crash.stage import Stage
from tests.crash.tally import Sample, count
from tests.crash.verbs import VERBS
from tests.crash.verdict import Lesson
from tests.lab.filesystems import detach

pytestmark = pytest.mark.root


class Darkroom:
    """A disk, what was photographed of it, and what the next boot finds on each image."""

    def __init__(self, stage: Stage, kind: str, mount: Path) -> None:
        self.stage, self.kind, self.mount = stage, kind, mount
        self.root, self.album = mount / "pool", mount.parent / "album"
        self.album.mkdir()

    def film(self, name: str, careless: frozenset[str] = frozenset(), **how) -> None:
        """Do the verb under the camera, then unmount the disk."""
        self.stage.run(prepared, self.root, name)
        before, files = self.stage.run(picture, self.root), self.stage.run(kept, self.root)
        camera = Camera(self.mount, self.album, **how)
        ended, self.camera = self.stage.run(filmed, self.root, name, camera, careless)
        assert ended.code == 0, ended.said
        after = self.stage.run(picture, self.root)
        self.name, self.lesson = name, Lesson(before, after, files, ended.calls)
        detach(self.mount)

    def develop(self) -> Iterator[tuple[str, list[str]]]:
        """Each image by its points, and the complaints about it."""
        end = len(self.lesson.calls)
        for first, points in self.camera.shots.items():
            done = end in points
            where = (self.kind, self.album / str(first), self.mount, self.root)
            found = self.stage.run(developed, *where, self.name, self.lesson, done)
            at = "the end" if first == end else self.lesson.calls[first]
            yield f"points {first} to {points[-1]}: {at}", found

    @property
    def points(self) -> int:
        return sum(map(len, self.camera.shots.values()))


@contextmanager
def darkroom(stage: Stage, kind: str) -> Iterator[Darkroom]:
    with available(kind, OPTIONS[kind]) as mount:
        yield Darkroom(stage, kind, mount)


@pytest.mark.parametrize("kind", DISKS)
@pytest.mark.parametrize("name", VERBS)
def test_a_power_cut_leaves_the_old_or_the_new(
    name: str, kind: str, stage: Stage, request: pytest.FixtureRequest
) -> None:
    with darkroom(stage, kind) as room:
        room.film(name)
        for where, complaints in room.develop():
            assert complaints == [], where
        assert len(room.camera.shots) > 1
        made = [call for call in room.lesson.calls if call.name not in VERBS[name].without]
        assert room.points == len(made) + 1
        count(request, "cut", name, kind, room.points)


@pytest.mark.parametrize("kind", DISKS)
@pytest.mark.parametrize("name", VERBS)
def test_even_where_a_stranger_syncs_just_before(
    name: str, kind: str, stage: Stage, sample: Sample, request: pytest.FixtureRequest
) -> None:
    """Then the file system has kept names and sizes of which it has no content yet."""
    with darkroom(stage, kind) as room:
        calls = stage.run(rehearsed, room.root, name)
        room.film(name, stirred=True, only=frozenset([*sample.choose(calls, 2), len(calls)]))
        for where, complaints in room.develop():
            assert complaints == [], where
        count(request, "cut, stirred", name, kind, room.points)
