"""A pool of format 1 in hard places: a full disk, a dvol of before at work, damaged records."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvol.containers import NoContainers
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from dvol.errors import NoSpace
from tests.contract.earlier.answers import ANN
from tests.contract.earlier.images import ZIP
from tests.contract.places import environment
from tests.crash.faults import filled
from tests.lab import Unavailable
from tests.lab.filesystems import mounted
from tests.protocol.standin import container, standing_in


def opened(pool: Path) -> LocalEngine:
    return LocalEngine(pool, NoContainers(certain=True))


def before(pool: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What the dvol of format 1 says, as a process of its own."""
    argv = [sys.executable, "-m", "dvol", "--pool", str(pool), "--disable-docker-integration"]
    env = environment(PYTHONPATH=str(ZIP))
    done = subprocess.run([*argv, *words], env=env, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def of_format_1(pool: Path) -> Path:
    """A pool of the dvol of before, with a commit, and a state of 1 MiB that a reset set aside."""
    before(pool, "init", "v")
    file = pool / "v" / "branches" / "master" / "file"
    file.write_text("committed")
    before(pool, "commit", "-m", "one", "--author", ANN, "v")
    file.write_bytes(os.urandom(1 << 20))
    before(pool, "reset", "--hard", "HEAD", "v")
    assert json.loads((pool / ".dvol" / "pool.json").read_text())["format"] == 1
    return pool


@pytest.fixture
def small() -> Iterator[Path]:
    try:
        with mounted("ext4", 16 << 20) as root:
            yield root
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.root
def test_gc_frees_a_full_disk_that_holds_a_pool_of_format_1(small: Path) -> None:
    """As it does on a full disk with a pool of format 2, and as the dvol of before did."""
    pool = of_format_1(small / "pool")
    filled(small)
    [freed] = opened(pool).gc(now=True)
    assert freed.size >= 1 << 20


@pytest.mark.root
def test_gc_frees_a_volume_that_was_removed_from_a_pool_of_format_1(small: Path) -> None:
    pool = of_format_1(small / "pool")
    before(pool, "rm", "-f", "v")
    filled(small)
    [freed] = opened(pool).gc(now=True)
    assert freed.size >= 1 << 20


@pytest.mark.root
def test_containers_are_started_on_a_full_disk_with_a_pool_of_format_1(
    small: Path, short_dir: Path
) -> None:
    pool = of_format_1(small / "pool")
    with standing_in(short_dir / "docker.sock") as docker:
        docker.containers = [container("db", "v", "exited")]
        one = {"id": docker.containers[0]["Id"], "name": "/db", "how": "stop", "was": "running"}
        since = {"started": docker.containers[0]["StartedAt"]}
        (pool / "v/.dvol/ended.json").write_text(json.dumps({"containers": [one | since]}))
        lock = pool / ".dvol/locks/containers" / one["id"][:2]  # the dead verb had it
        lock.parent.mkdir()
        lock.touch()
        filled(small)
        assert Recovery(opened(pool).access).resume(docker.asked_by())
        assert docker.done == ["start db"]


@pytest.mark.root
def test_fsck_repairs_a_full_disk_with_a_pool_of_format_1(small: Path) -> None:
    pool = of_format_1(small / "pool")
    half = pool / "v" / ".dvol" / "staging" / "branch-half"
    half.mkdir()
    (half / "copy").write_bytes(os.urandom(1 << 20))
    filled(small)
    [found] = opened(pool).fsck(repair=True)
    assert found.state == "repaired"
    assert not half.exists()


@pytest.mark.root
def test_a_verb_that_needs_the_newest_format_on_a_full_disk_says_how_to_free_some(
    small: Path,
) -> None:
    pool = of_format_1(small / "pool")
    filled(small)
    with pytest.raises(NoSpace, match="'dvol gc --now' would free 1"):
        opened(pool).commit("v", "two", ANN)


def test_an_empty_record_of_containers_is_removed(tmp_path: Path) -> None:
    engine = opened(tmp_path / "pool")
    engine.init("v")
    record = engine.root / "v" / ".dvol" / "suspended.json"
    record.write_text(json.dumps({"containers": []}))
    assert Recovery(engine.access).resume(engine.containers)
    assert not record.exists()


@pytest.mark.root
def test_the_server_frees_what_was_staged_on_a_full_disk_with_a_pool_of_format_1(
    small: Path,
) -> None:
    """Half a copy, which a dead verb of the dvol of before has left."""
    pool = of_format_1(small / "pool")
    half = pool / "v" / ".dvol" / "staging" / "branch-half"
    half.mkdir()
    (half / "copy").write_bytes(os.urandom(1 << 20))
    filled(small)
    assert list(Recovery(opened(pool).access).clear_staging()) == []
    assert not half.exists()


def test_what_the_server_clears_of_a_pool_of_format_1_the_dvol_of_before_still_deletes(
    tmp_path: Path,
) -> None:
    """Either the pool is of format 2 once it holds `garbage`, or there is none in it."""
    pool = of_format_1(tmp_path / "pool")
    (pool / "v" / ".dvol" / "staging" / "branch-half").mkdir()
    assert list(Recovery(opened(pool).access).clear_staging()) == []
    is_upgraded = json.loads((pool / ".dvol" / "pool.json").read_text())["format"] == 2
    assert is_upgraded or not (pool / ".dvol" / "garbage").exists()


def test_what_a_dvol_of_before_is_sweeping_is_left_to_it(tmp_path: Path) -> None:
    """It holds `locks/sweep` while it deletes `doomed`: two processes that delete one tree make
    each other fail, with `No such file or directory` and exit code 7."""
    pool = of_format_1(tmp_path / "pool")
    swept = pool / ".dvol" / "doomed" / "entry"
    swept.mkdir()
    lock = os.open(pool / ".dvol" / "locks" / "sweep", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    opened(pool).gc()
    assert swept.exists()
    os.close(lock)
    opened(pool).gc()
    assert not swept.exists()


def test_fsck_keeps_the_sound_one_of_two_records_of_containers(tmp_path: Path) -> None:
    """It repairs what can be without loss: the other record still says what is to be started."""
    engine = opened(tmp_path / "pool")
    engine.init("v")
    own = engine.root / "v" / ".dvol"
    one = {"id": "a" * 64, "name": "/db", "how": "stop", "was": "running", "started": ""}
    (own / "ended.json").write_text(json.dumps({"containers": [one]}))
    (own / "suspended.json").write_text("{")
    engine.fsck("v", repair=True)
    assert not (own / "suspended.json").exists()
    assert (own / "ended.json").exists()


def test_a_pool_of_format_1_keeps_the_mode_that_its_owner_gave_it(tmp_path: Path) -> None:
    """The dvol of before closed a pool once, when it made it; so does that of today."""
    pool = of_format_1(tmp_path / "pool")
    pool.chmod(0o750)
    before(pool, "commit", "-m", "two", "--author", ANN, "v")
    assert pool.stat().st_mode & 0o777 == 0o750
    opened(pool).commit("v", "three", ANN)
    assert pool.stat().st_mode & 0o777 == 0o750
