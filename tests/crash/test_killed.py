"""Every mutating verb, killed before each of its system calls that change a disk.

Then a fresh process checks that the pool has the state before the verb or the state after it, and
that no file is lost.
"""

import pytest

from tests.crash.check import check_killed, expect
from tests.crash.conftest import Filesystem
from tests.crash.counts import Sample, count
from tests.crash.killing import killed, recovery_calls, recovery_killed
from tests.crash.verbs import ALL
from tests.crash.worker import Worker

MANY = 8  # fewer points than that are not a verb, but a command line that was refused
JOURNALLED = [name for name, verb in ALL.items() if verb.journalled]


@pytest.mark.parametrize("name", ALL)
def test_a_killed_verb_happened_or_did_not(
    name: str,
    filesystem: Filesystem,
    worker: Worker,
    sample: Sample,
    request: pytest.FixtureRequest,
) -> None:
    expected = worker.run(expect, filesystem.pool, name)
    assert expected.before != expected.after
    points = sample.choose(expected.calls, 40 if filesystem.kind == "dir" else 4, near=(-1, 0, 1))
    died = 0
    for number in points:
        died += worker.run(killed, filesystem.pool, name, number)
        assert worker.run(check_killed, filesystem.pool, name, expected) == [], expected.calls[
            number
        ]
    assert died >= min(MANY, len(points) - 1)
    count(request, "killed", name, filesystem.kind, died)


@pytest.mark.parametrize("name", JOURNALLED)
def test_a_killed_recovery_is_taken_up_again(
    name: str,
    filesystem: Filesystem,
    worker: Worker,
    sample: Sample,
    request: pytest.FixtureRequest,
) -> None:
    """The verb is killed as soon as its journal is written, then the recovery at each step."""
    expected = worker.run(expect, filesystem.pool, name)
    steps = worker.run(recovery_calls, filesystem.pool, name)
    died = 0
    for number in sample.choose(steps, 40 if filesystem.kind == "dir" else 4):
        died += worker.run(recovery_killed, filesystem.pool, name, number)
        complaints = worker.run(check_killed, filesystem.pool, name, expected, True)
        assert complaints == [], steps[number]
    assert died > 2
    count(request, "recovery killed", name, filesystem.kind, died)
