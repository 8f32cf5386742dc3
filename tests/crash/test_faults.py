"""Every mutating verb, with each of its calls that change a disk failing in turn.

The verb succeeds all the same or is refused in one line, and has happened or not.
"""

import pytest

from tests.crash.check import expect
from tests.crash.conftest import Filesystem
from tests.crash.counts import Sample, count
from tests.crash.faults import ERRORS, check_answer, failed
from tests.crash.verbs import VERBS
from tests.crash.worker import Worker


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", VERBS)
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
        ended = worker.run(failed, filesystem.pool, name, number, ERRORS[error])
        complaints = worker.run(check_answer, filesystem.pool, name, expected, ended)
        assert complaints == [], (expected.calls[number], ended.said)
    count(request, "failed", name, filesystem.kind, len(points))
