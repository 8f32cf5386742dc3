"""A disk without a byte left, and one that became read-only: refused in a line, and no harm."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.conftest import available
from tests.crash.faults import filled, performed, refusal
from tests.crash.history import wiped
from tests.crash.picture import picture
from tests.crash.stage import Stage
from tests.crash.tally import count
from tests.crash.verbs import VERBS
from tests.crash.verdict import judged, learned
from tests.lab.filesystems import remount

pytestmark = pytest.mark.root


@pytest.fixture
def place() -> Iterator[Path]:
    with available("ext4") as root:
        yield root


@pytest.mark.parametrize("name", VERBS)
def test_a_full_disk_refuses_and_a_freed_one_goes_on(
    name: str, place: Path, stage: Stage, request: pytest.FixtureRequest
) -> None:
    root = place / "pool"
    lesson = stage.run(learned, root, name)
    wiped(root)
    stage.run(VERBS[name].build, root)
    filler = stage.run(filled, place)
    ended = stage.run(performed, root, name)
    frees = VERBS[name].frees
    assert ended.code == 0 if frees else refusal(name, ended) == []
    assert stage.run(picture, root) == (lesson.after if frees else lesson.before)
    filler.unlink()
    assert stage.run(judged, root, name, lesson, frees) == []
    count(request, "full disk", name, "ext4", 1)


@pytest.mark.parametrize("name", VERBS)
def test_a_read_only_disk_refuses_and_can_be_read(name: str, place: Path, stage: Stage) -> None:
    root = place / "pool"
    lesson = stage.run(learned, root, name)
    wiped(root)
    stage.run(VERBS[name].build, root)
    remount(place, "ro")
    assert refusal(name, stage.run(performed, root, name)) == []
    assert stage.run(picture, root) == lesson.before
    remount(place, "rw")
    assert stage.run(judged, root, name, lesson) == []
