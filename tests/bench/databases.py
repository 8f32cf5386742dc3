"""`python -m tests.bench.databases`: a running PostgreSQL of 1 GiB, put back, frozen, at work.

Writes its section of docs/performance.md. Real Engine, real pgbench; each peer has its turn in
every round on the same data. A reset counts from the start of the command until the server that
was started after it has answered a query.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.bench.page import BEGIN
from tests.bench.subject import ROOT
from tests.bench.tables import seconds, table
from tests.docker.databases.engines import POSTGRES, image
from tests.docker.installed import Installed, InstalledAt
from tests.lab.engine import Engine
from tests.lab.filesystems import mounted
from tests.lab.ports import free_port

KEPT = ROOT / "build" / "bench" / "databases.json"
DOCUMENT = ROOT / "docs" / "performance.md"
SIZE = 48 << 30  # bytes of the disk
SCALE = 68  # of pgbench: 1 GiB
WORK = 3  # seconds of pgbench before each reset
RATES = 10  # pairs of runs
RATE_TIME = 10  # seconds of each
NAME = "shop_db"


@dataclass
class Database:
    """PostgreSQL in a container, on a volume of dvol's or of Docker's own driver."""

    installed: Installed
    name: str = NAME
    driver: str = "dvol"
    port: int = field(default_factory=free_port)

    @property
    def volume(self) -> Path:
        return self.installed.pool / self.name

    def run(self) -> None:
        options = ("-d", "--name", self.name, "--network", "host", "-e", f"PORT={self.port}")
        volume = ("--volume-driver", self.driver, "-v", f"{self.name}:/data")
        tag = image(self.installed, POSTGRES)
        self.installed.engine.docker("run", *options, *volume, tag)
        self.await_answer("")

    def sh(self, command: str, check: bool = True) -> str:
        words = ("exec", "-u", "postgres", "-e", "PGUSER=postgres", "-e", "PGHOST=/tmp")
        place = ("-e", f"PGPORT={self.port}", self.name, "sh", "-c")
        found = self.installed.engine.docker(*words, *place, f"cd /tmp; {command}", check=check)
        return found.stdout

    def pgbench(self, time: int) -> float:
        """Transactions per second."""
        told = self.sh(f"pgbench -n -c 4 -j 2 -T {time} postgres")
        [line] = [line for line in told.splitlines() if line.startswith("tps")]
        return float(line.split()[2])

    def born(self) -> str:
        """When the server that answers was started."""
        address = f"host=127.0.0.1 port={self.port} user=postgres connect_timeout=2"
        with psycopg.connect(address) as connection:
            connection.execute("SELECT count(*) FROM pg_class")
            return str(connection.execute("SELECT pg_postmaster_start_time()").fetchone())

    def await_answer(self, before: str) -> None:
        """Until a server answers that was not there `before`."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if self.born() != before:
                    return
            except psycopg.Error:
                pass
            time.sleep(0.005)
        raise TimeoutError("PostgreSQL does not answer")


def back(database: Database, *words: str) -> float:
    """Seconds from the start of a command until a new server has answered."""
    before = database.born()
    start = time.perf_counter()
    process = subprocess.Popen(
        words, env=database.installed.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    database.await_answer(before)
    taken = time.perf_counter() - start
    if process.wait():
        raise RuntimeError(f"{words} failed")
    return taken


def resets(database: Database, rounds: int, kind: str, place: Path) -> dict[str, list[float]]:
    """Each way back, after real work, in turns."""
    bare = f"docker kill {NAME} && docker start {NAME}"
    ways: dict[str, Callable[[], float]] = {
        "dvol reset": lambda: back(database, "dvol", "reset", "--hard", "--no-wait", "HEAD", NAME),
        "docker kill, start": lambda: back(database, "sh", "-c", bare),
        "docker kill, start, after a checkpoint": lambda: after_checkpoint(database, bare),
    }
    if kind == "ext4":
        ways["cp of what changed"] = lambda: copy_changed(database, place)
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, way in ways.items():
            database.pgbench(WORK)
            taken = way()
            if number:
                found.setdefault(name, []).append(taken)
    return found


def after_checkpoint(database: Database, command: str) -> float:
    """With nothing to recover."""
    database.sh("psql -qc CHECKPOINT")
    return back(database, "sh", "-c", command)


def copy_changed(database: Database, place: Path) -> float:
    """A durable cp of the files that differ from the last commit."""
    frozen, live = commits(database)[-1], database.volume / "branches" / "master"
    changed = [path for path in files(live) if differs(live / path, frozen / path)]
    return copied(frozen, [path for path in changed if (frozen / path).exists()], place, True)


def copy_committed(database: Database, place: Path) -> float:
    """A cp, in memory, of the files that the last commit had to copy."""
    before, last = commits(database)[-2:]
    changed = [path for path in files(last) if not same_file(last / path, before / path)]
    return copied(last, changed, place, False)


def commits(database: Database) -> list[Path]:
    """The frozen trees, oldest first."""
    line = json.loads((database.volume / "branches" / "master.json").read_text())
    return [database.volume / "commits" / commit["id"] for commit in line]


def files(tree: Path) -> list[Path]:
    found = (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    return [path.relative_to(tree) for path in found]


def copied(tree: Path, paths: list[Path], place: Path, durable: bool) -> float:
    """Seconds for a cp of these files. It is kept, as dvol keeps its own: memory that a copy has
    given back is quicker than any other, and quicker than it would be for who really copies."""
    target = Path(tempfile.mkdtemp(prefix="copy-", dir=place))
    subprocess.run(["sync", "-f", target], check=True)
    start = time.perf_counter()
    words = ["cp", "-a", "--parents", *map(str, paths), str(target)]
    subprocess.run(words, check=True, cwd=tree) if paths else None
    if durable:
        subprocess.run(["sync", "-f", target], check=True)
    return time.perf_counter() - start


def differs(one: Path, other: Path) -> bool:
    try:
        status, frozen = one.stat(), other.stat()
    except FileNotFoundError:
        return True
    return (status.st_size, status.st_mtime_ns) != (frozen.st_size, frozen.st_mtime_ns)


def same_file(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)


def others(database: Database) -> dict[str, list[float]]:
    """What people do without dvol: a dump, and a template database; once each, they are slow."""
    database.sh("createdb -T postgres shop; pg_dump -Fc -f /data/dump shop")

    def timed(command: str) -> float:
        start = time.perf_counter()
        database.sh(command)
        return time.perf_counter() - start

    restore = "dropdb shop; createdb shop; pg_restore -j 2 -d shop /data/dump"
    template = "dropdb shop; createdb -T pattern shop"
    found = {"dropdb, pg_restore -j 2": [timed(restore) for _ in range(2)][1:]}
    database.sh("createdb -T postgres pattern")
    found["dropdb, createdb -T"] = [timed(template) for _ in range(3)][1:]
    database.sh("dropdb shop; dropdb pattern; rm /data/dump")
    return found


GAP = """\
import os, time
last, longest = time.monotonic(), 0.0
while not os.path.exists("/tmp/enough"):
    time.sleep(0.0005)
    now = time.monotonic()
    longest, last = max(longest, now - last), now
print(longest)
"""


def freezes(database: Database, rounds: int, kind: str, place: Path) -> dict[str, list[float]]:
    """The longest that a process in the container stood still, with a paused commit and without."""
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name in ("commit --pause", "no commit"):
            with working(database):
                watch = subprocess.Popen(
                    ["docker", "exec", NAME, "python3", "-c", GAP],
                    env=database.installed.env,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                time.sleep(1.5)
                if name != "no commit":
                    database.installed.dvol("commit", "-m", "x", "--pause", NAME)
                time.sleep(0.5)
                database.sh("touch /tmp/enough")
                gap = float(watch.communicate()[0])
                database.sh("rm /tmp/enough")
            if number:
                found.setdefault(name, []).append(gap)
        if kind == "ext4":
            taken = copy_committed(database, place)
            if number:
                found.setdefault("cp of what was committed, in memory", []).append(taken)
    return found


@contextmanager
def working(database: Database) -> Iterator[None]:
    """pgbench at work meanwhile."""
    command = f"PGHOST=/tmp PGPORT={database.port} pgbench -U postgres -n -c 4 -j 2 -T 300 postgres"
    process = subprocess.Popen(
        ["docker", "exec", "-u", "postgres", NAME, "sh", "-c", f"cd /tmp; {command}"],
        env=database.installed.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        database.sh("pkill -x pgbench", check=False)
        process.wait()


def many_tables(database: Database, rounds: int) -> dict[str, list[float]]:
    """A schema of two hundred tables of which a test touches three."""
    script = "".join(
        f"CREATE TABLE t{number} AS SELECT n, repeat('x', 500) AS text"
        " FROM generate_series(1, 8000) n;"
        for number in range(200)
    )
    database.sh("createdb many")
    database.sh(f"cat > script.sql << 'END'\n{script}\nEND\npsql -q -f script.sql many")
    database.sh("psql -qc CHECKPOINT many")
    database.installed.dvol("commit", "-m", "many", NAME)
    found: dict[str, list[float]] = {}
    touch = "; ".join(f"UPDATE t{number} SET n = n + 1 WHERE n < 500" for number in (3, 50, 120))
    bare = f"docker kill {NAME} && docker start {NAME}"
    words = ("dvol", "reset", "--hard", "--no-wait", "HEAD", NAME)
    for number in range(rounds + 1):
        for name, command in (("dvol reset", words), ("docker kill, start", ("sh", "-c", bare))):
            database.sh(f"psql -qc '{touch}' many")
            taken = back(database, *command)
            if number:
                found.setdefault(f"{name}, many tables", []).append(taken)
    return found


def rates(installed: Installed) -> dict[str, list[float]]:
    """Transactions per second on either kind of volume, in pairs."""
    found: dict[str, list[float]] = {"dvol volume": [], "local volume": []}
    databases = {
        "dvol volume": Database(installed, "on_dvol"),
        "local volume": Database(installed, "on_local", "local"),
    }
    for database in databases.values():
        database.run()
        database.sh(f"pgbench -q -i -s {SCALE // 4} postgres 2> /dev/null")
        database.sh("psql -qc CHECKPOINT")
        installed.engine.docker("stop", database.name)
    for number in range(RATES + 1):
        order = list(databases)[:: 1 if number % 2 else -1]
        for name in order:
            database = databases[name]
            before = ""
            installed.engine.docker("start", database.name)
            database.await_answer(before)
            rate = database.pgbench(RATE_TIME)
            installed.engine.docker("stop", "-t", "60", database.name)
            if number:
                found[name].append(rate)
    return found


def measure(kind: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """All of it on one file system."""
    with ExitStack() as undo:
        engine = undo.enter_context(Engine())
        place = undo.enter_context(mounted(kind, SIZE))
        installed = InstalledAt(engine, place=place)
        installed.make("install")
        undo.callback(installed.leave)
        database = Database(installed)
        database.run()
        database.sh(f"pgbench -q -i -s {SCALE} postgres 2> /dev/null")
        database.sh("psql -qc CHECKPOINT")
        installed.dvol("commit", "-m", "seed", NAME)
        found = {"back": resets(database, rounds, kind, place)}
        if kind == "ext4":
            found["back"] |= others(database)
        found["frozen"] = freezes(database, rounds, kind, place)
        found["many"] = many_tables(database, rounds)
        return found


def measure_rates() -> dict[str, list[float]]:
    """Both volumes on the file system that Docker's own data lies on."""
    with Engine() as engine:
        installed = Installed(engine)
        installed.make("install")
        return rates(installed)


def page(found: dict[str, dict[str, dict[str, list[float]]]]) -> str:
    """The section: medians, how many timings, and what each ratio is."""
    kinds = [kind for kind in found if kind != "rate"]
    lines = []
    for part in ("back", "many", "frozen"):
        names = dict.fromkeys(name for kind in kinds for name in found[kind].get(part, {}))
        for name in names:
            cells = (found[kind].get(part, {}).get(name, []) for kind in kinds)
            lines.append(
                [name, *(f"{median(cell)} ({len(cell)})" if cell else "" for cell in cells)]
            )
    return f"{table(['', *kinds], lines)}\n\n{table(AIMS, list(aims(found)))}\n"


AIMS = ["", "measured", "at most", ""]


def aims(found: dict[str, dict[str, dict[str, list[float]]]]) -> Iterator[list[str]]:
    """What was aimed at, and what came of it: a row each."""
    for kind in (kind for kind in found if kind != "rate"):
        back, frozen = found[kind]["back"], found[kind]["frozen"]
        floor = statistics.median(back["docker kill, start"])
        most, stands = 1.25 * floor, 0.1
        if kind == "ext4":
            most = floor + 1.2 * statistics.median(back["cp of what changed"])
            copy = statistics.median(frozen["cp of what was committed, in memory"])
            stands = 0.15 + 1.1 * copy
        yield aim(f"{kind}: reset until it answers", statistics.median(back["dvol reset"]), most)
        still = statistics.median(frozen["commit --pause"])
        yield aim(f"{kind}: a process stands still in a paused commit", still, stands)
    if "rate" in found:
        mean, half = interval(found["rate"]["pgbench"])
        told = f"{mean:.3f} x ({mean - half:.3f} to {mean + half:.3f})"
        verdict = "PASS" if mean >= 0.97 else "miss"
        yield ["transactions, beside a local volume (95 %)", told, "at least 0.97 x", verdict]


def aim(what: str, measured: float, most: float) -> list[str]:
    return [what, seconds(measured), seconds(most), "PASS" if measured <= most else "miss"]


def median(values: list[float]) -> str:
    return seconds(statistics.median(values))


def interval(rate: dict[str, list[float]]) -> tuple[float, float]:
    """The mean ratio of the pairs, and how far from it, with 95 %, it may be (Student's t)."""
    pairs = zip(rate["dvol volume"], rate["local volume"], strict=True)
    ratios = [one / other for one, other in pairs]
    return statistics.mean(ratios), 2.262 * statistics.stdev(ratios) / len(ratios) ** 0.5


def put_in(section: str, document: Path) -> None:
    """Replace the section at the end, or append it."""
    head = document.read_text().partition(BEGIN)[0].rstrip()
    own = f"{BEGIN}\n\n## A running PostgreSQL\n\n{INTRODUCTION}\n{section}"
    document.write_text(f"{head}\n\n{own}")


INTRODUCTION = """\
`make bench-docker` wrote this section. PostgreSQL 17 in a container, 1 GiB of pgbench tables.
Before each timing pgbench works for 3 s with four clients. A reset, or what is used instead of
it, is timed from the start of its command until the new server has answered a query. The rows
`commit --pause` and `no commit` hold the longest time that a process in the container stood still,
including the time that Docker takes to pause it. Medians; in brackets, of how many timings. After
`docker kill` PostgreSQL first recovers the work since its last checkpoint. A reset discards that
work, so the table also shows a start after a checkpoint.

The aims, for a reset: on XFS and btrfs 1.25 times `docker kill, start`; on ext4, where the changed
files are copied whole, `docker kill, start` and 1.2 times a durable cp of these files. For a paused
commit: on XFS and btrfs 0.1 s; on ext4 0.15 s and 1.1 times a cp of these files.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.databases")
    parser.add_argument("kinds", nargs="*", default=["ext4", "xfs", "btrfs"])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    found = {}
    for kind in asked.kinds:
        found[kind] = measure(kind, asked.rounds)
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(json.dumps(found, indent=1))
    found["rate"] = {"pgbench": measure_rates()}
    KEPT.write_text(json.dumps(found, indent=1))
    section = page(found)
    print(section)
    if set(asked.kinds) == {"ext4", "xfs", "btrfs"}:
        put_in(section, DOCUMENT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
