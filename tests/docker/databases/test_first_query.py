"""When a command returns, the database that it has started answers: the first query succeeds.

Once by the images' own health checks, and once by what dvol knows of such images.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docker.databases.engines import MARIADB, POSTGRES, REDIS, Database, Kind, image
from tests.docker.installed import Installed, wait_for
from tests.lab.ports import free_port

ROUNDS = 2
OFFICIAL = {"postgres": "postgres:17", "mariadb": "mariadb:11", "redis": "redis:8"}
FIRST = {  # through TCP, as another container would ask
    "postgres": "psql -h 127.0.0.1 -p $PORT -U postgres -Atc 'SELECT 1'",
    "mariadb": "mariadb --no-defaults --skip-ssl -h 127.0.0.1 -P $PORT -u root -BNe 'SELECT 1'",
    "redis": "redis-cli -e -h 127.0.0.1 -p $PORT lrange log 0 0",
}
FILL = {  # some data to recover or to load at each start
    "postgres": "psql -h /tmp -p $PORT -U postgres -qc "
    "'CREATE TABLE t AS SELECT n FROM generate_series(1, 100000) n; UPDATE t SET n = n'",
    "mariadb": "mariadb --no-defaults -S /tmp/mariadb.sock -u root -e "
    "'CREATE DATABASE d; USE d; CREATE TABLE t AS SELECT seq FROM seq_1_to_100000'",
    "redis": "redis-cli -p $PORT eval "
    "\"for i = 1, 200000 do redis.call('set', 'k' .. i, string.rep('x', 100)) end\" 0",
}


def known(installed: Installed, kind: Kind) -> str:
    """The same image as an official one: its name, an entrypoint script, and no health check."""
    tag = OFFICIAL[kind.serve]
    if installed.engine.docker("image", "inspect", tag, check=False).returncode:
        lines = (
            f"FROM {image(installed, kind)}",
            "RUN ln -s serve /usr/local/bin/docker-entrypoint.sh",
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            "HEALTHCHECK NONE",
            "",
        )
        build = ("build", "-q", "--network=none", "-t", tag, "-")
        installed.engine.docker(*build, input="\n".join(lines))
    return tag


@pytest.fixture(params=(POSTGRES, MARIADB, REDIS), ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    asked: Kind = request.param
    return asked


@pytest.fixture(params=["health", "known"])
def database(
    installed: Installed, kind: Kind, request: pytest.FixtureRequest
) -> Iterator[Database]:
    """One that answers, with some data."""
    database = Database(installed, kind, free_port())
    tag = image(installed, kind) if request.param == "health" else known(installed, kind)
    where = ("-e", f"PORT={database.port}", *own_port(kind, database.port))
    options = ("-d", "--name", database.name, "--network", "host", *where)
    installed.dvol("init", database.name)
    volume = ("--volume-driver", "dvol", "-v", f"{database.name}:/data")
    arguments = ("--port", str(database.port)) if kind is REDIS else ()
    installed.engine.docker("run", *options, *volume, tag, *arguments)
    wait_for(lambda: answers(database) == "", "it answers")
    installed.engine.docker("exec", database.name, "sh", "-c", FILL[kind.serve])
    yield database
    installed.engine.docker("rm", "-f", database.name)


def own_port(kind: Kind, port: int) -> tuple[str, ...]:
    """How the server and its own client know of a port that is not the usual one."""
    name = {"postgres": "PGPORT", "mariadb": "MYSQL_TCP_PORT"}.get(kind.serve)
    return ("-e", f"{name}={port}") if name else ()


def answers(database: Database) -> str:
    """What is wrong with the answer to one query, asked once."""
    asked = ("exec", database.name, "sh", "-c", FIRST[database.kind.serve])
    done = database.installed.engine.docker(*asked, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.slow
def test_the_first_query_is_answered(database: Database, request: pytest.FixtureRequest) -> None:
    """After each commit, reset, undo, and checkout; no query is tried again."""
    rounds = request.config.getoption("--rounds") or ROUNDS
    database.dvol("commit", "-m", "seed")
    failed = []
    for number in range(rounds):
        for words in (("commit", "-m", str(number)), ("reset", "--hard", "HEAD")):
            done = database.installed.dvol(*words, database.name)
            assert "warning" not in done.stderr, done.stderr
            assert "no ready check" not in done.stderr, done.stderr
            failed += [f"{number} {words[0]}: {wrong}"] if (wrong := answers(database)) else []
    assert failed == []
