"""Databases in containers on dvol's volumes, under load, and what their own tools say of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docker.installed import Installed, wait_for
from tests.lab import images
from tests.lab.ports import free_port

HERE = Path(__file__).parent
BASE = "dvol-databases:latest"
PACKAGES = ("postgresql", "mariadb-server", "redis-server", "sqlite3", "busybox-static")
CLIENTS = ("python3-psycopg2", "python3-pymysql", "python3-redis")
OPTIONS = (
    "--dpkgopt=path-exclude=/usr/lib/postgresql/*/lib/bitcode/*",
    "--dpkgopt=path-exclude=/usr/lib/*/libLLVM*",
    '--essential-hook=mkdir -p "$1/etc/postgresql-common"; '
    'echo create_main_cluster=false > "$1/etc/postgresql-common/createcluster.conf"',
    '--customize-hook=rm -rf "$1"/var/lib/mysql/* "$1"/var/lib/postgresql/*',
)


@dataclass(frozen=True)
class Kind:
    """A database: how it is served, asked, and checked."""

    name: str
    serve: str  # which image
    rows: tuple[str, ...]  # prints the numbers that are in it, a line each
    check: tuple[str, ...]  # the engine's own, in the running container
    arguments: tuple[str, ...] = ()
    signal: str = "SIGTERM"


_MARIADB = ("--no-defaults", "--socket=/tmp/mariadb.sock", "-u", "root")
POSTGRES = Kind(
    "postgres",
    "postgres",
    ("sh", "-c", "psql -h /tmp -p $PORT -U postgres -Atc 'SELECT n FROM log'"),
    (
        "sh",
        "-c",
        "/usr/lib/postgresql/17/bin/pg_amcheck -h /tmp -p $PORT -U postgres --all "
        "--install-missing --heapallindexed --parent-check --checkunique",
    ),
    signal="SIGINT",  # as the official image: do not wait for clients
)
MARIADB = Kind(
    "mariadb",
    "mariadb",
    ("mariadb", *_MARIADB, "-BNe", "SELECT n FROM load_test.log"),
    (
        "sh",
        "-c",
        f"! mariadb-check {' '.join(_MARIADB)} --all-databases --extended | grep -v ' OK$'",
    ),
)
REDIS = Kind(
    "redis",
    "redis",
    ("sh", "-c", "redis-cli -p $PORT lrange log 0 -1"),
    ("sh", "-c", "redis-cli -p $PORT save && redis-check-rdb /data/dump.rdb"),
)
REDIS_AOF = Kind(
    "redis-aof",
    "redis",
    REDIS.rows,
    ("sh", "-c", "redis-cli -p $PORT save && redis-check-rdb /data/dump.rdb"),
    # by its default what was acknowledged in the last two seconds may be in memory only
    ("--appendonly", "yes", "--appendfsync", "always"),
)
SQLITE = Kind(
    "sqlite",
    "sqlite",
    ("sqlite3", "/data/log.db", ".timeout 10000", "SELECT n FROM log"),
    ("sh", "-c", "test \"$(sqlite3 /data/log.db '.timeout 10000' 'PRAGMA integrity_check')\" = ok"),
)
KINDS = (POSTGRES, MARIADB, REDIS, REDIS_AOF, SQLITE)


@dataclass
class Database:
    """A running database on a volume of its own name, and what writes to it."""

    installed: Installed
    kind: Kind
    port: int

    @property
    def name(self) -> str:
        return self.kind.name.replace("-", "_")

    def rows(self) -> set[int]:
        """The numbers that are in it now."""
        return set(map(int, self._ask(*self.kind.rows).split()))

    def check(self) -> None:
        """Have the engine's own checker look at it."""
        self._ask(*self.kind.check)

    def acknowledged(self) -> list[int]:
        """The numbers that were acknowledged so far."""
        return [number for word, number in self._log() if word == "ack"]

    def tried(self) -> list[int]:
        return [number for word, number in self._log() if word == "try"]

    def await_writes(self, count: int = 20) -> None:
        """Until it has acknowledged that many more."""
        before = len(self.acknowledged())
        wait_for(lambda: len(self.acknowledged()) >= before + count, "writes are acknowledged")

    def dvol(self, *words: str) -> str:
        """Run the command about this volume; what it printed."""
        return self.installed.dvol(*words, self.name).stdout

    def _log(self) -> list[tuple[str, int]]:
        writer = self.name if self.kind.serve == "sqlite" else f"{self.name}-writer"
        lines = self.installed.engine.docker("logs", writer).stdout.splitlines()
        pairs = (line.split() for line in lines)
        return [(word, int(number)) for word, number in pairs]

    def _ask(self, *command: str) -> str:
        return self.installed.engine.docker("exec", self.name, *command).stdout


@contextmanager
def running(installed: Installed, kind: Kind) -> Iterator[Database]:
    """A database under load."""
    database = Database(installed, kind, free_port())
    installed.dvol("init", database.name)
    serve(database)
    try:
        if kind.serve != "sqlite":
            load(database)
        database.await_writes()
        yield database
    finally:
        installed.engine.docker("rm", "-f", database.name, f"{database.name}-writer", check=False)


def serve(database: Database) -> None:
    """Start its container."""
    kind, name = database.kind, database.name
    options = ("-d", "--name", name, "--network", "host", "-e", f"PORT={database.port}")
    volume = ("--volume-driver", "dvol", "-v", f"{name}:/data")
    tag = image(database.installed, kind)
    database.installed.engine.docker("run", *options, *volume, tag, *kind.arguments)


def load(database: Database) -> None:
    """Start what writes to it, in a container that has no volume of dvol's."""
    words = ("python3", "/usr/local/bin/writer.py", database.kind.serve, str(database.port))
    options = ("-d", "--name", f"{database.name}-writer", "--network", "host", "--no-healthcheck")
    tag = image(database.installed, database.kind)
    database.installed.engine.docker("run", *options, "--entrypoint", words[0], tag, *words[1:])


def image(installed: Installed, kind: Kind) -> str:
    """The image that serves this kind, built where the engine has none."""
    engine, tag = installed.engine, f"dvol-test-{kind.serve}:latest"
    if engine.docker("image", "inspect", tag, check=False).returncode:
        images.debian(engine, BASE, (*PACKAGES, *CLIENTS), *OPTIONS)
        words = {"BASE": BASE, "KIND": kind.serve, "SIGNAL": kind.signal}
        arguments = [f"--build-arg={name}={value}" for name, value in words.items()]
        engine.docker("build", "-q", "--network=none", *arguments, "-t", tag, str(HERE / "image"))
    return tag
