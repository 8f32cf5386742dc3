"""Every mutating verb, with each of its calls that change a disk failing in turn.

The verb succeeds all the same or is refused in one line, and has happened or not.
"""

import pytest

from tests.crash.conftest import Ground
from tests.crash.faults import ERRORS, answered, failed
from tests.crash.stage import Stage
from tests.crash.tally import Sample, count
from tests.crash.verbs import VERBS
from tests.crash.verdict import learned


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", VERBS)
def test_a_call_that_fails_fails_the_verb_or_does_not_matter(
    name: str,
    error: str,
    ground: Ground,
    stage: Stage,
    sample: Sample,
    request: pytest.FixtureRequest,
) -> None:
    lesson = stage.run(learned, ground.root, name)
    points = sample.choose(lesson.calls, 10 if ground.kind == "dir" else 1)
    for number in points:
        ended = stage.run(failed, ground.root, name, number, ERRORS[error])
        complaints = stage.run(answered, ground.root, name, lesson, ended)
        assert complaints == [], (lesson.calls[number], ended.said)
    count(request, "failed", name, ground.kind, len(points))
