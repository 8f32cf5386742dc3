"""No commit that was reported is gone before its time, whatever is done to a pool.

Without `--steps N` it is a short run, the same each time; `SEED=N` repeats a long one.
"""

import os
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.crash.worker import Worker
from tests.model import counts
from tests.model.machine import KeptModel

USUAL = 20  # the seed of a short run
SETTINGS = settings(
    max_examples=10,
    stateful_step_count=60,
    deadline=None,
    database=None,
    phases=(Phase.generate,),  # a failure is not made smaller, which would take many minutes
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    print_blob=False,
)


@pytest.mark.slow
def test_no_commit_is_gone_before_its_time(
    part: tuple[int, int], killer: Worker | None, request: pytest.FixtureRequest
) -> None:
    number, steps = part
    first = chosen_seed(request) + 1000 * number
    counted: Counter[str] = Counter()
    try:
        for current in range(first, first + 1000):
            print(f"SEED={current}")
            run(current, killer, counted)
            if counted["steps"] >= steps:
                break
    finally:
        counts.count(request, first, dict(counted))


def chosen_seed(request: pytest.FixtureRequest) -> int:
    long = request.config.getoption(counts.OPTION)
    return int(os.environ.get("SEED") or (random.randrange(10**6) if long else USUAL))


def run(number: int, killer: Worker | None, counted: Counter[str]) -> None:
    """Let hypothesis try some walks, chosen by that seed."""

    @seed(number)
    class Model(KeptModel):
        worker = killer
        totals = counted

    run_state_machine_as_test(Model, settings=SETTINGS)
