"""Every mutating verb, killed before each of its system calls that change a disk.

Then a fresh process looks: everything is as it was before the verb, or as it is after it, and
nothing is lost. `strace` does the killing, so that the code needs no hooks.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from dvol.errors import Conflict, NotFound
from dvol.pool import Pool
from tests.contract.places import environment

pytestmark = pytest.mark.slow

ANN = "Ann <ann@example.org>"
CHANGING = (
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "mknod", "mknodat", "openat"),
    *("write", "pwrite64", "copy_file_range", "ftruncate", "fsync", "fdatasync", "syncfs"),
    *("fchmod", "chmod", "fchmodat"),
)
NO_EXCHANGE = ["-e", "inject=renameat2:error=EINVAL"]
MANY = 8  # fewer points than that are not a verb, but a command line that was refused


@dataclass(frozen=True)
class Verb:
    """A command, the same through the engine, and the conditions it is tried under."""

    argv: list[str]
    again: object
    options: tuple[str, ...] = ()
    empty: bool = False


VERBS = {
    "init the pool": Verb(["init", "w"], lambda pool: pool.init("w"), empty=True),
    "init": Verb(["init", "w"], lambda pool: pool.init("w")),
    "switch": Verb(["switch", "other"], lambda pool: pool.switch("other")),
    "commit": Verb(
        ["commit", "--author", ANN, "-m", "new", "v"], lambda pool: pool.commit("v", "new", ANN)
    ),
    "reset": Verb(["reset", "--hard", "HEAD^", "v"], lambda pool: pool.reset("v", "1")),
    "reset without exchange": Verb(
        ["reset", "--hard", "HEAD^", "v"], lambda pool: pool.reset("v", "1"), (*NO_EXCHANGE,)
    ),
    "checkout": Verb(["checkout", "side", "v"], lambda pool: pool.checkout("v", "side")),
    "checkout -b": Verb(["checkout", "-b", "new", "v"], lambda pool: pool.branch("v", "new")),
    "branch -d": Verb(["branch", "-d", "side", "v"], lambda pool: pool.delete_branch("v", "side")),
    "rm": Verb(["rm", "-f", "v"], lambda pool: pool.rm("v")),
}


@pytest.fixture(scope="module")
def fast_place() -> Iterator[Path]:
    """In memory where that can be had: what is durable is not asked here."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    place = Path(tempfile.mkdtemp(prefix="dvol-", dir=memory if usable else None))
    yield place
    shutil.rmtree(place)


@pytest.fixture(autouse=True)
def strace(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-o", tmp_path / "probe", "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no ptrace")


@pytest.fixture
def original(fast_place: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A pool with two branches, a commit that only one has, and changes nobody committed."""
    place = Path(tempfile.mkdtemp(dir=fast_place)) / "pool"
    pool = Pool(place)
    if not request.getfixturevalue("verb").empty:
        pool.init("other")
        pool.init("v")
        tree = place / "v" / "branches" / "master"
        for content in ("1", "2"):
            write(tree, content)
            pool.commit("v", content, ANN)
        pool.branch("v", "side")
        write(tree.with_name("side"), "3")
        pool.commit("v", "3", ANN)
        write(tree.with_name("side"), "not committed on side")
        pool.checkout("v", "master")
        write(tree, "not committed")
        (tree / "directory").mkdir()
    yield place
    shutil.rmtree(place.parent)


def write(tree: Path, content: str) -> None:
    (tree / "file").write_text(content)


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_killed_verb_happened_or_did_not(verb: Verb, original: Path, tmp_path: Path) -> None:
    before = seen(original)
    pool = copied(original)
    points = recorded(pool, verb, tmp_path / "trace")
    after = seen(pool)
    assert before != after
    kept = contents(pool)
    killed = 0
    for point in points:
        pool = copied(original)
        killed += kill_at(point, pool, verb)
        assert seen(pool) in (before, after), point
        assert kept - {"new"} <= contents(pool), point
        tried_again(pool, verb, after, point)
    assert killed > MANY


def tried_again(pool: Path, verb: Verb, after: dict, point: object) -> None:
    """The next try succeeds, or says that it is so already; and nothing is left over."""
    commits = seen(pool) == after and verb.argv[0] in ("commit",)
    resets = seen(pool) == after and verb.argv[0] == "reset"
    if not resets:
        with suppress(Conflict, NotFound):
            again(pool, verb)
    if not commits:
        assert seen(pool) == after, point
    for name in [volume.name for volume in Pool(pool).volumes()]:
        Pool(pool).commit(name, "next", ANN)
    Pool(pool).init("next")
    assert litter(pool) == [], point


def again(pool: Path, verb: Verb) -> None:
    if verb.argv[0] == "reset":
        Pool(pool).reset("v", "HEAD^")
    else:
        verb.again(Pool(pool))


JOURNALLED = ("init", "reset", "reset without exchange", "checkout -b", "branch -d", "rm")


@pytest.mark.parametrize("verb", [VERBS[name] for name in JOURNALLED], ids=JOURNALLED)
def test_a_killed_recovery_is_taken_up_again(verb: Verb, original: Path, tmp_path: Path) -> None:
    """The verb is killed as soon as its journal is written, then the recovery at each step."""
    pool = copied(original)
    points = recorded(pool, verb, tmp_path / "trace")
    after = seen(pool)
    written = next(number for number, one in enumerate(points) if one.writes_journal)
    looking = Verb(["list"], None, verb.options)
    pool = crashed(original, verb, points[written + 1])
    killed = 0
    for point in recorded(pool, looking, tmp_path / "trace"):
        pool = crashed(original, verb, points[written + 1])
        killed += kill_at(point, pool, looking)
        assert seen(pool) == after, point
    assert killed > 2


def crashed(original: Path, verb: Verb, point: "Point") -> Path:
    """A pool whose verb has its journal, and all steps still before it. Made anew each time:
    a copy of it would have other inodes than the journal says."""
    pool = copied(original)
    assert kill_at(point, pool, verb)
    assert (pool / ".dvol/journal.json").exists() or (pool / "v/.dvol/journal.json").exists()
    return pool


# -- killing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A system call: its name, and that it is the n-th of that name."""

    call: str
    number: int
    writes_journal: bool


def recorded(pool: Path, verb: Verb, trace: Path) -> list[Point]:
    """The system calls by which the verb, left alone, changes the disk, in their order."""
    done = under_strace(["-e", f"trace={','.join(CHANGING)}", "-o", str(trace)], pool, verb)
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = {}
    points = []
    for line in trace.read_text().splitlines():
        match = re.match(r"\d+\s+(\w+)\((.*)", line)
        if match is None:
            continue
        call, arguments = match.groups()
        counts[call] = counts.get(call, 0) + 1
        if call == "openat" and "O_CREAT" not in arguments:
            continue
        if call == "write" and arguments.startswith(("1,", "2,")):
            continue
        writes_journal = call.startswith("rename") and 'journal.json")' in arguments
        points.append(Point(call, counts[call], writes_journal))
    return points


def kill_at(point: Point, pool: Path, verb: Verb) -> bool:
    """Run the verb and kill it as it enters the n-th call of that name; whether it died."""
    if point.call == "renameat2" and verb.options:
        return False
    how = f"inject={point.call}:signal=KILL:when={point.number}"
    inject = ["-e", how, "-o", "/dev/null"]
    done = under_strace(inject, pool, verb)
    return done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)


def under_strace(options: list[str], pool: Path, verb: Verb) -> subprocess.CompletedProcess:
    traced = ["strace", "-f", "-qq", "--seccomp-bpf", *verb.options, *options]
    command = [sys.executable, "-m", "dvol", "--pool", str(pool), *verb.argv]
    return subprocess.run(
        [*traced, *command],
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
    )


def copied(original: Path, name: str = "copy") -> Path:
    """A fresh copy of a pool to be killed in."""
    copy = original.with_name(name)
    shutil.rmtree(copy, ignore_errors=True)
    if original.exists():
        shutil.copytree(original, copy, symlinks=True)
    return copy


# -- looking -----------------------------------------------------------------------------------


def seen(root: Path) -> dict:
    """All that a fresh process sees: which volume is active, and for each volume its branches,
    with the messages and the frozen content of their commits, and what is in their trees."""
    pool = Pool(root)
    try:
        volumes = pool.volumes()
        active = pool.active()
    except NotFound:
        return {"active": None}
    return {"active": active} | {volume.name: _volume(pool, volume.name) for volume in volumes}


def _volume(pool: Pool, name: str) -> dict:
    root = pool.root / name
    return {
        branch.name: (
            branch.current,
            [
                (one.message, _content(root / "commits" / one.id))
                for one in (pool.log(name, branch.name) if branch.head else [])
            ],
            _content(root / "branches" / branch.name),
        )
        for branch in pool.branches(name)
    }


def _content(tree: Path) -> list[tuple[str, str]]:
    return sorted(
        (str(path.relative_to(tree)), path.read_text() if path.is_file() else "")
        for path in tree.rglob("*")
    )


def contents(root: Path) -> set[str]:
    """What any file named `file` in the pool holds, trash included."""
    return {path.read_text() for path in root.rglob("file")}


def litter(root: Path) -> list[str]:
    """Whatever lies in the pool and is neither layout nor named by it."""
    own = root / ".dvol"
    found = [*own.glob("staging/*"), *root.glob("*/.dvol/staging/*"), *root.rglob("journal.json")]
    found += [path for path in own.glob("trash/*") if not (path / "entry.json").is_file()]
    found += [p for p in own.iterdir() if p.name not in OWN]
    for volume in (path for path in root.iterdir() if path.name != ".dvol"):
        if volume.name == "current_volume.json":
            continue
        found += [path for path in volume.iterdir() if path.name not in VOLUME]
        lists = {path.stem: json.loads(path.read_text()) for path in volume.glob("branches/*.json")}
        trees = [path for path in volume.glob("branches/*") if path.suffix != ".json"]
        found += [
            path for path in volume.glob("branches/*.json") if path.with_suffix("") not in trees
        ]
        ids = {one["id"] for line in lists.values() for one in line}
        found += [path for path in volume.glob("commits/*") if path.name not in ids]
        found += [volume / "commits" / id for id in ids if not (volume / "commits" / id).is_dir()]
    return sorted(map(str, found))


OWN = {"pool.json", "locks", "staging", "trash", "doomed"}
VOLUME = {"branches", "commits", "current_branch.json", ".dvol"}
