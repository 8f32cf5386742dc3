"""The machine is cut off at random moments, booted again, and held against a journal outside it.

`--rounds N` says how often (3). The seed is printed; SEED=N makes the same choices again.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance import agent
from tests.acceptance.load import Crew
from tests.acceptance.modelled import VERBS
from tests.acceptance.postgres import Postgres
from tests.acceptance.stranger import Stranger
from tests.lab.bootstrap import BUILD

VOLUMES = ("shop_db", "shop_cache", "shop_files")
LONGEST = 5.0  # seconds of work, before a verb is awaited to cut it off


def test_nothing_is_lost_by_a_cut_at_any_moment(
    stranger: Stranger, request: pytest.FixtureRequest
) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    cuts = request.config.getoption("--rounds") or 3
    print(f"SEED={seed}, {cuts} cuts of {stranger.guest.name}")
    guest, dice = stranger.guest, random.Random(seed)
    verbs = dice.sample(VERBS, len(VERBS))
    database = Postgres(stranger)
    database.start()
    request.addfinalizer(database.close)
    crew = Crew(VOLUMES, agents(stranger), BUILD / "acceptance" / f"journal-{guest.name}")
    request.addfinalizer(crew.close)
    stranger.sh("sync", "root")  # what the laboratory has put there
    for number in range(cuts):
        database.work()
        database.await_work()
        crew.start(f"{seed} {number}")
        crew.await_work()
        time.sleep(dice.uniform(0, LONGEST))
        crew.await_verb(verbs[number % len(verbs)], dice.random())
        database.cut = True
        crew.cut_off(guest.cut)
        database.close()
        guest.boot()
        assert not crew.failures
        await_sound(stranger, number)
        crew.verify()
        database.verify()
        counts = {"cuts": number + 1, "seed": seed, "rows": len(database.acknowledged)}
        counts |= {"commits of PostgreSQL": len(database.commits)}
        counts |= {"verbs": sum(crew.done.values()), "cut in": dict(crew.met)}
        (BUILD / "acceptance" / f"cuts-{guest.name}.json").write_text(json.dumps(counts, indent=1))
    database.verify_commit(dice.choice(list(database.commits)))


def await_sound(stranger: Stranger, number: int) -> None:
    """Until fsck finds nothing: for a while the server may be at work on what was cut off."""
    deadline = time.monotonic() + 180
    while (found := stranger.result("dvol fsck", check=False)).rc or found.stdout:
        told = f"cut {number}: {found.stdout}{found.stderr}"
        assert time.monotonic() < deadline, told
        assert found.stdout, told
        for line in found.stdout.splitlines():
            assert "was left by a command that died" in line or "is busy" in line, told
        time.sleep(0.5)


def agents(stranger: Stranger):
    """How the agent of a volume is started."""
    stranger.guest.copy_in(Path(agent.__file__), "/opt/agent")
    command = f"exec {stranger.python()} /opt/agent"

    def spawn(volume: str) -> subprocess.Popen[str]:
        words = stranger.guest.ssh(f"{command} {volume}")
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    return spawn
