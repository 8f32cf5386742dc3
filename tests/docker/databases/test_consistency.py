"""A commit of a running database holds every row acknowledged before it, and none from after."""

from __future__ import annotations

import pytest

from tests.docker.databases.engines import KINDS, REDIS, Database, running
from tests.docker.installed import Installed

ROUNDS = 3
LOSES_WHEN_PAUSED = {REDIS}  # it keeps rows in memory until it is stopped, or saves now and then


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def database(installed: Installed, request: pytest.FixtureRequest):
    with running(installed, request.param) as database:
        yield database


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["stop", "pause"])
def test_a_commit_holds_what_was_acknowledged_and_nothing_later(
    database: Database, mode: str, request: pytest.FixtureRequest
) -> None:
    for _ in range(request.config.getoption("--rounds") or ROUNDS):
        before, since = database.rows(), max(database.tried())
        database.await_writes()
        before |= {number for number in database.acknowledged() if number > since}
        commit = database.dvol("commit", "-m", mode, f"--{mode}").strip()
        tried = max(database.tried())
        database.await_writes()
        last = max(database.acknowledged())
        database.dvol("reset", "--hard", commit)
        rows = database.rows()
        if mode == "stop" or database.kind not in LOSES_WHEN_PAUSED:
            assert before - rows == set()
        assert {row for row in rows if tried < row <= last} == set()
        database.check()
