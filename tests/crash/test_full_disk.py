"""A disk without a byte left, and one that became read-only: refused in a line, and no harm."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.check import check, expect
from tests.crash.conftest import available
from tests.crash.counts import count
from tests.crash.faults import filled, performed, refusal
from tests.crash.history import wiped
from tests.crash.state import state_of
from tests.crash.verbs import VERBS
from tests.crash.worker import Worker
from tests.lab.filesystems import remount

pytestmark = pytest.mark.root


@pytest.fixture
def place() -> Iterator[Path]:
    with available("ext4") as root:
        yield root


@pytest.mark.parametrize("name", VERBS)
def test_a_full_disk_refuses_and_a_freed_one_goes_on(
    name: str, place: Path, worker: Worker, request: pytest.FixtureRequest
) -> None:
    root = place / "pool"
    expected = worker.run(expect, root, name)
    wiped(root)
    worker.run(VERBS[name].build, root)
    filler = worker.run(filled, place)
    ended = worker.run(performed, root, name)
    frees = VERBS[name].frees
    assert ended.code == 0 if frees else refusal(name, ended) == []
    assert worker.run(state_of, root) == (expected.after if frees else expected.before)
    filler.unlink()
    assert worker.run(check, root, name, expected, frees) == []
    count(request, "full disk", name, "ext4", 1)


@pytest.mark.parametrize("name", VERBS)
def test_a_read_only_disk_refuses_and_can_be_read(name: str, place: Path, worker: Worker) -> None:
    root = place / "pool"
    expected = worker.run(expect, root, name)
    wiped(root)
    worker.run(VERBS[name].build, root)
    remount(place, "ro")
    assert refusal(name, worker.run(performed, root, name)) == []
    assert worker.run(state_of, root) == expected.before
    remount(place, "rw")
    assert worker.run(check, root, name, expected) == []
