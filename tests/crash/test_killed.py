"""Every mutating verb, killed before each of its system calls that change a disk.

Then a fresh process looks: everything is as it was before the verb, or as it is after it, and
nothing is lost.
"""

import pytest

from tests.crash.conftest import Ground
from tests.crash.killing import killed, looked, recovered
from tests.crash.stage import Stage
from tests.crash.tally import Sample, count
from tests.crash.verbs import VERBS
from tests.crash.verdict import judged, learned

MANY = 8  # fewer points than that are not a verb, but a command line that was refused
JOURNALLED = [name for name, verb in VERBS.items() if verb.journalled]


@pytest.mark.parametrize("name", VERBS)
def test_a_killed_verb_happened_or_did_not(
    name: str, ground: Ground, stage: Stage, sample: Sample, request: pytest.FixtureRequest
) -> None:
    lesson = stage.run(learned, ground.root, name)
    assert lesson.before != lesson.after
    points = sample.choose(lesson.calls, 40 if ground.kind == "dir" else 4, near=(-1, 0, 1))
    died = 0
    for number in points:
        died += stage.run(killed, ground.root, name, number)
        assert stage.run(judged, ground.root, name, lesson) == [], lesson.calls[number]
    assert died >= min(MANY, len(points) - 1)
    count(request, "killed", name, ground.kind, died)


@pytest.mark.parametrize("name", JOURNALLED)
def test_a_killed_recovery_is_taken_up_again(
    name: str, ground: Ground, stage: Stage, sample: Sample, request: pytest.FixtureRequest
) -> None:
    """The verb is killed as soon as its journal is written, then the recovery at each step."""
    lesson = stage.run(learned, ground.root, name)
    steps = stage.run(looked, ground.root, name)
    died = 0
    for number in sample.choose(steps, 40 if ground.kind == "dir" else 4):
        died += stage.run(recovered, ground.root, name, number)
        complaints = stage.run(judged, ground.root, name, lesson, True)
        assert complaints == [], steps[number]
    assert died > 2
    count(request, "recovery killed", name, ground.kind, died)
