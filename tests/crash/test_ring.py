"""The crash rings can fail: they notice a pool that is broken by hand, and a verb without syncs."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.calls import SYNCS
from tests.crash.check import check, expect
from tests.crash.conftest import DISKS, Filesystem
from tests.crash.cut_disk import cut_disk
from tests.crash.faults import performed
from tests.crash.killing import at
from tests.crash.tracer import KILL, Suspension, traced
from tests.crash.worker import Worker


def a_file_of_before(root: Path) -> None:
    (root / "v/branches/master/file").write_text("not committed")


def a_file_too_many(root: Path) -> None:
    (root / "v/branches/master/new").write_text("new")


def other_rights(root: Path) -> None:
    (root / "v/branches/master/mode").chmod(0o600)


def an_emptied_file_in_a_commit(root: Path) -> None:
    commit = next((root / "v/commits").iterdir())
    os.truncate(commit / "kept", 0)


def a_lost_branch(root: Path) -> None:
    shutil.rmtree(root / "v/branches/side")


def what_was_discarded_is_gone(root: Path) -> None:
    for path in [*root.rglob("replaced")]:
        path.write_text("1")


def something_left_over(root: Path) -> None:
    (root / "v" / "temporary").touch()


BROKEN = (
    *(a_file_of_before, a_file_too_many, other_rights, an_emptied_file_in_a_commit),
    *(a_lost_branch, what_was_discarded_is_gone, something_left_over),
)


@pytest.mark.parametrize("disk", ["dir"], indirect=True)
@pytest.mark.parametrize("breaking", BROKEN)
def test_a_broken_promise_is_noticed(
    breaking: Callable[[Path], None], filesystem: Filesystem, worker: Worker
) -> None:
    expected = worker.run(expect, filesystem.pool, "reset")
    assert worker.run(performed, filesystem.pool, "reset").code == 0
    breaking(filesystem.pool)
    assert worker.run(check, filesystem.pool, "reset", expected) != []


@pytest.mark.root
@pytest.mark.parametrize("kind", DISKS)
@pytest.mark.parametrize("name", ["commit", "reset", "checkout -b"])
def test_a_verb_that_skips_its_syncs_is_caught(name: str, kind: str, worker: Worker) -> None:
    with cut_disk(worker, kind) as disk:
        disk.run(name, skipped=SYNCS)
        assert any(complaints for _, complaints in disk.check())


@pytest.mark.parametrize("disk", ["dir"], indirect=True)
def test_a_call_is_killed_failed_or_left_out_before_it_is_made(
    filesystem: Filesystem, worker: Worker
) -> None:
    made = filesystem.root / "made"
    assert worker.run(two_directories, made, KILL).killed
    assert os.listdir(made) == []
    assert worker.run(two_directories, made, -errno.ENOSPC).code == errno.ENOSPC
    assert os.listdir(made) == []
    assert worker.run(two_directories, made, 0).code == 0
    assert os.listdir(made) == ["second"]
    assert worker.run(two_directories, made, None).code == 0
    assert sorted(os.listdir(made)) == ["first", "second"]


def two_directories(place: Path, decision: object) -> Suspension:
    """A process that makes two, of which the first is decided about."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()

    def run() -> int:
        try:
            (place / "first").mkdir()
            (place / "second").mkdir()
        except OSError as error:
            return error.errno or 1
        return 0

    return traced(run, str(place), at(0, decision))
