"""Every mutating verb, with each of its calls that change a disk failing in turn.

The verb succeeds all the same or is refused in one line, and has happened or not.
"""

import errno
from pathlib import Path

import pytest

from tests.crash.check import Expected, expect
from tests.crash.conftest import Filesystem
from tests.crash.counts import Sample, count
from tests.crash.faults import ERRORS, REFUSALS, check_answer, failed
from tests.crash.image import calls_of
from tests.crash.verbs import ALL
from tests.crash.worker import Worker

# verbs that move HEAD or a branch
LOGGED = ("commit", "commit together", "reset", "undo")
LOGGED += ("checkout", "checkout -b", "stash", "branch -d", "restore a branch", "restore a state")


def assert_answer(
    worker: Worker, pool: Path, name: str, expected: Expected, number: int, error: int
) -> None:
    """The verb, whose call of that number fails with that error, answers as it must."""
    ended = worker.run(failed, pool, name, number, error)
    complaints = worker.run(check_answer, pool, name, expected, ended)
    assert complaints == [], (errno.errorcode[error], expected.calls[number], ended.said)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", ALL)
def test_a_call_that_fails_fails_the_verb_or_does_not_matter(
    name: str,
    error: str,
    filesystem: Filesystem,
    worker: Worker,
    sample: Sample,
    request: pytest.FixtureRequest,
) -> None:
    expected = worker.run(expect, filesystem.pool, name)
    points = sample.choose(expected.calls, 10 if filesystem.kind == "dir" else 1)
    for number in points:
        assert_answer(worker, filesystem.pool, name, expected, number, ERRORS[error])
    count(request, "failed", name, filesystem.kind, len(points))


@pytest.mark.parametrize("name", ALL)
def test_a_call_that_is_refused_wedges_nothing(
    name: str,
    filesystem: Filesystem,
    worker: Worker,
    sample: Sample,
    request: pytest.FixtureRequest,
) -> None:
    """In a sample each point is tried with one of the errors, in turn."""
    expected = worker.run(expect, filesystem.pool, name)
    points = sample.choose(expected.calls, 14 if filesystem.kind == "dir" else 2)
    tried = 0
    for turn, number in enumerate(points):
        for error in REFUSALS if sample.every else [REFUSALS[turn % len(REFUSALS)]]:
            if expected.calls[number].name == "ioctl" and error in ("EACCES", "EPERM"):
                continue  # it says that subvolumes are not for this user: another backend
            value = getattr(errno, error)
            assert_answer(worker, filesystem.pool, name, expected, number, value)
            tried += 1
    count(request, "refused", name, filesystem.kind, tried)


@pytest.mark.parametrize("name", LOGGED)
def test_a_fault_of_the_reflog_fails_no_verb(
    name: str, filesystem: Filesystem, worker: Worker
) -> None:
    """Neither its open nor its write."""
    expected = worker.run(expect, filesystem.pool, name)
    calls = worker.run(calls_of, filesystem.pool, name)  # a tree that was read has other times
    writes = [call.number for call in calls if call.target.endswith("/.dvol/reflog")]
    assert writes
    for number in [each - back for each in writes for back in (1, 0)]:
        ended = worker.run(failed, filesystem.pool, name, number, ERRORS["ENOSPC"])
        assert ended.code == 0, (calls[number], ended.said)
        assert worker.run(check_answer, filesystem.pool, name, expected, ended) == []
