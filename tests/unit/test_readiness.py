"""Which check tells that a container is ready, and how long it is waited for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dvol.containers.known_images import default_check
from dvol.containers.probe import is_listening
from dvol.containers.readiness import Check, Readiness, parse, words_of
from dvol.errors import InvalidRequest
from dvol.pool import config

SECOND = 1_000_000_000
LISTENING = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 2 1
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000
"""


def inspected(*command: str, image: str = "app", **more: Any) -> dict[str, Any]:
    """What matters here of Docker's answer to `inspect`."""
    path, *arguments = command or ("sleep",)
    return {"Path": path, "Args": arguments, "Config": {"Image": image, **more}}


def checks(found: dict[str, Any]) -> Readiness:
    return parse(found, default_check(found))


def chosen(*command: str, image: str = "app", **more: Any) -> Check | None:
    return checks(inspected(*command, image=image, **more)).check()


# -- which -------------------------------------------------------------------------------------


def test_the_first_that_says_something_counts() -> None:
    health = {"Test": ["CMD", "healthy"]}
    labels = {"dvol.ready.exec": "labelled"}
    server = ("docker-entrypoint.sh", "postgres")
    all_of_it = checks(inspected(*server, image="postgres:17", Labels=labels, Healthcheck=health))
    without = all_of_it._replace(label=None)
    bare = without._replace(image=None)
    assert named(all_of_it.check("set", "1")) == "labelled"
    assert named(without.check("set", "1")) == "set"
    assert without.check("", "5432") == Check("its ready check", port=5432, limit=90.0)
    assert named(without.check()) == "healthy"
    assert named(bare.check()) == "127.0.0.1"
    assert bare._replace(known=None).check() is None


def named(check: Check | None) -> str:
    assert check
    return check.commands[0][-1]


def test_a_command_counts_more_than_a_port() -> None:
    check = chosen(Labels={"dvol.ready.exec": "x", "dvol.ready.port": "80"})
    assert check == Check("its ready check", (("/bin/sh", "-c", "x"),))


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "80 ", "٣", "9" * 400])
def test_a_label_that_is_no_port(port: str) -> None:
    check = chosen(Labels={"dvol.ready.port": port})
    assert check
    assert (check.port, check.problem) == (0, f"'{port}' is not a port")


@pytest.mark.parametrize(
    ("test", "shell", "words"),
    [
        (["CMD", "a", "b c"], [], ("a", "b c")),
        (["CMD-SHELL", "a || b"], [], ("/bin/sh", "-c", "a || b")),
        (["CMD-SHELL", "a"], ["/bin/bash", "-ec"], ("/bin/bash", "-ec", "a")),
        (["NONE"], [], None),
        (["CMD"], [], None),
        (["CMD-SHELL"], [], None),
        ([], [], None),
    ],
)
def test_a_health_check_is_run_as_docker_does(
    test: list[str], shell: list[str], words: tuple[str, ...] | None
) -> None:
    check = chosen(Healthcheck={"Test": test}, Shell=shell)
    assert (check and check.commands[0]) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["a", "b c"]', ("a", "b c")),
        ("[ -e /data/file ]", ("/bin/sh", "-c", "[ -e /data/file ]")),
        ("[]", ("/bin/sh", "-c", "[]")),
        ("[1]", ("/bin/sh", "-c", "[1]")),
        ("a | b", ("/bin/sh", "-c", "a | b")),
    ],
)
def test_a_command_is_a_line_or_a_list_of_words(text: str, words: tuple[str, ...]) -> None:
    assert words_of(text) == words


# -- how long ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "limit", "timeout"),
    [
        ({}, 90.0, 30.0),  # Docker's defaults: three times 30 s
        ({"Interval": SECOND, "Retries": 3}, 60.0, 30.0),
        ({"Interval": 300 * SECOND}, 90.0, 30.0),
        ({"Interval": 10 * SECOND, "Retries": 20}, 200.0, 30.0),
        ({"StartPeriod": 300 * SECOND, "Interval": SECOND, "Timeout": 2 * SECOND}, 303.0, 2.0),
    ],
)
def test_the_limit_is_what_the_health_check_gives_a_start(
    health: dict[str, int], limit: float, timeout: float
) -> None:
    check = chosen(Healthcheck={"Test": ["CMD", "x"], **health})
    assert check
    assert (check.limit, check.timeout) == (limit, timeout)


def test_without_a_health_check_the_limit_is_a_minute() -> None:
    check = chosen("redis-server")
    assert check
    assert (check.limit, check.timeout) == (60.0, 30.0)


# -- known images ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "image", "environment", "kind"),
    [
        (("docker-entrypoint.sh", "postgres"), "postgres:17", (), "PostgreSQL"),
        (("docker-entrypoint.sh", "postgres", "-c", "fsync=off"), "own", (), "PostgreSQL"),
        (("docker-entrypoint.sh", "-c", "fsync=off"), "postgres", (), "PostgreSQL"),
        (("docker-entrypoint.sh",), "host:5000/postgis/postgis:16-3.4", (), "PostgreSQL"),
        (("/x/entrypoint.sh", "/x/run.sh"), "bitnami/postgresql@sha256:0", (), "PostgreSQL"),
        (("docker-entrypoint.sh",), "sha256:0123", ("PG_MAJOR=17",), "PostgreSQL"),
        (("docker-entrypoint.sh", "mariadbd"), "mariadb", (), "MySQL"),
        (("/entrypoint.sh", "mysqld"), "mysql/mysql-server:8", (), "MySQL"),
        (("docker-entrypoint.sh", "redis-server", "/etc/redis.conf"), "redis:8", (), "Redis"),
        (("redis-server",), "alpine", (), "Redis"),
        (("docker-entrypoint.sh", "valkey-server"), "valkey/valkey", (), "Redis"),
        (("docker-entrypoint.sh", "mongod"), "mongo:8", (), "MongoDB"),
        (("python3", "/usr/local/bin/docker-entrypoint.py", "mongod"), "own", (), "MongoDB"),
        (("tini", "--", "docker-entrypoint.sh", "mongod"), "own", (), "MongoDB"),
    ],
)
def test_a_known_image_has_a_check(
    command: tuple[str, ...], image: str, environment: tuple[str, ...], kind: str
) -> None:
    check = chosen(*command, image=image, Env=list(environment))
    assert check
    assert check.name == f"its check for {kind}"


@pytest.mark.parametrize(
    ("command", "image"),
    [
        (("docker-entrypoint.sh", "psql", "-h", "db"), "postgres:17"),
        (("docker-entrypoint.sh", "sh", "-c", "postgres"), "postgres:17"),
        (("docker-entrypoint.sh", "redis-cli"), "redis"),
        (("gosu", "postgres", "backup"), "postgres"),
        (("sleep", "1000"), "postgres"),
        (("docker-entrypoint.sh",), "my-postgres-backup"),
        (("docker-entrypoint.sh", "postgres", "-c", "listen_addresses="), "postgres"),
        (("postgres", "-c", "listen_addresses=''"), "postgres"),
        (("postgres", "-h", ""), "postgres"),
        (("mysqld", "--skip-networking"), "mysql"),
        (("redis-server", "--port", "0", "--unixsocket", "/s"), "redis"),
        (("mongod", "--tlsMode=requireTLS"), "mongo"),
    ],
)
def test_what_is_no_server_or_does_not_listen_has_none(
    command: tuple[str, ...], image: str
) -> None:
    assert chosen(*command, image=image) is None


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("postgres",), ""),  # pg_isready takes PGPORT, or 5432
        (("postgres", "-p", "5433"), "-p 5433"),
        (("postgres", "-p5433"), "-p 5433"),
        (("postgres", "-c", "port=5433"), "-p 5433"),
        (("postgres", "--port=5433"), "-p 5433"),
        (("mysqld", "-P", "3307"), "--port=3307"),
        (("mysqld", "--port=3306", "--port=3307"), "--port=3307"),
        (("redis-server",), "-p 6379 "),
        (("redis-server", "--port", "6380"), "-p 6380 "),
        (("mongod", "--port", "27018"), "--port 27018"),
        (("mongod",), "--port 27017"),
    ],
)
def test_the_port_is_that_of_the_command(command: tuple[str, ...], said: str) -> None:
    check = chosen(*command)
    assert check
    assert all(said in " ".join(words) for words in check.commands)
    assert said or "-p" not in check.commands[0]


def test_a_password_of_redis_is_not_among_the_words() -> None:
    check = chosen("redis-server", "--requirepass", "secret")
    assert check
    assert check.environment == ("REDISCLI_AUTH=secret",)
    assert "secret" not in json.dumps(check.commands)


@pytest.mark.parametrize(
    ("printed", "code"),
    [
        ("PONG", 0),
        ("LOADING Redis is loading the dataset in memory", 1),
        ("MASTERDOWN Link with MASTER is down", 1),
        ("Could not connect to Redis at 127.0.0.1:6379: Connection refused", 1),
        ("NOAUTH Authentication required.", 126),
        ("WRONGPASS invalid username-password pair", 126),
    ],
)
def test_redis_is_ready_when_it_says_so(tmp_path: Path, printed: str, code: int) -> None:
    """redis-cli ends with 0 whatever it was answered."""
    client = tmp_path / "redis-cli"
    client.write_text(f"#!/bin/sh\necho '{printed}'\n")
    client.chmod(0o755)
    check = chosen("redis-server")
    assert check
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert subprocess.run(check.commands[0], env=environment).returncode == code
    if printed == "PONG":
        assert subprocess.run(check.commands[1], env=environment).returncode == 126


# -- ports and settings ------------------------------------------------------------------------


@pytest.mark.parametrize(("port", "listens"), [(5432, True), (80, True), (8080, False), (1, False)])
def test_a_port_is_one_on_which_something_listens(port: int, listens: bool) -> None:
    assert is_listening(LISTENING, port) is listens
    assert not is_listening("cat: can't open '/proc/net/tcp'", port)


def test_the_settings_of_the_first_file_that_has_one_count(tmp_path: Path) -> None:
    own, pool = tmp_path / "own.json", tmp_path / "pool.json"
    assert config.ready(own, pool) == ("", "")
    pool.write_text('{"ready.exec": "x"}')
    assert config.ready(own, pool) == ("x", "")
    own.write_text('{"ready.port": "80"}')
    assert config.ready(own, pool) == ("", "80")
    own.write_text('{"ready.port": 80, "ready.exec": ["x"]}')
    assert config.ready(own, pool) == ("x", "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ready.port", "0"),
        ("ready.port", "65536"),
        ("ready.port", "http"),
        ("ready.exec", "a\nb"),
        ("ready.exec", " "),
        ("ready.exec", "a\0"),
    ],
)
def test_a_setting_that_is_of_no_use_is_refused(key: str, value: str) -> None:
    with pytest.raises(InvalidRequest, match=key):
        config.check(key, value)
