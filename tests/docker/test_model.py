"""Many random things done to volumes and containers, against a model of what must be so.

Without `--rounds N` it is a short walk, the same choices each time. The seed is printed; SEED=N
makes the choices of a run again. What people and Docker do at the same time may turn out otherwise.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.docker.conftest import COUNTS
from tests.docker.installed import Installed
from tests.docker.model.world import World

USUAL, SEED = 60, 7
PATIENCE = 5.0  # seconds that a long run allows Docker for a container, beyond its own stop
ODDS = {
    "write": 14,
    "command": 30,
    "commands": 6,
    "users": 14,
    "disturbed": 26,
    "server_dies": 2,
    "server_dies_in_command": 5,
    "daemon_restarts": 1,
    "daemon_dies_in_command": 1,
}


@pytest.mark.slow
def test_what_happens_is_what_the_model_says(
    installed: Installed, request: pytest.FixtureRequest
) -> None:
    asked = request.config.getoption("--rounds")
    rounds, usual = (asked, random.randrange(10**6)) if asked else (USUAL, SEED)
    seed = int(os.environ.get("SEED") or usual)
    print(f"SEED={seed}")
    dice = random.Random(seed)
    began = time.monotonic()
    world = World(installed, dice)
    try:
        for _ in range(rounds):
            [kind] = dice.choices(list(ODDS), list(ODDS.values()))
            world.step(kind)
        for kind in [each for each in ODDS if not world.counts[f"step {each}"]]:
            world.step(kind)
    finally:
        longest = {
            f"longest {what}": f"{seconds:.1f} s" for what, (seconds, _) in world.longest.items()
        }
        took = {"SEED": seed, "steps": world.steps, "seconds": round(time.monotonic() - began)}
        request.node.user_properties.append(
            (COUNTS, took | dict(sorted(world.counts.items())) | longest)
        )
    world.check_all()
    for what, (seconds, where) in world.longest.items():
        if asked and "beyond" in what:  # a run that a person starts: no test asserts a time
            assert seconds < PATIENCE, f"{what}: {seconds:.1f} s in step {where}"
