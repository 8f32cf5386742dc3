"""Writers that do not ask: stores through a living mapping, direct writes in flight, and processes
that write while a tree is put back. No state that a file had last may be missed by the next commit.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dvol.errors import DvolError, TreeChanged
from tests.contract.unchanged import BELIEVED, DISKS, FLIGHT, TICK, Volume, made, on, overwritten
from tests.contract.writing import BLOCK, number, writing

THROTTLE = Path("/sys/fs/cgroup/blkio")


@pytest.fixture
def ended(place: Path) -> Volume:
    """A pool that believes that writers have ended: the shortest wait, so the hardest test."""
    return with_file(made(place))


@pytest.fixture
def unknown(place: Path) -> Volume:
    return with_file(made(place, ended=False))


def with_file(volume: Volume) -> Volume:
    (volume.tree / "f").write_bytes(bytes(BLOCK))
    return volume


def committed(volume: Volume) -> int:
    """What a commit holds, once one succeeds: it may see that the file changes."""
    for _ in range(100):
        with suppress(TreeChanged):
            return number(volume.commit() / "f")
    raise AssertionError("no commit succeeds")


# -- stores through mmap -----------------------------------------------------------------------


@DISKS
@pytest.mark.slow
def test_a_store_before_during_or_after_a_commit_is_in_it_or_in_the_next(
    ended: Volume, place: Path
) -> None:
    with writing("mmap", ended.tree / "f", place) as writer:
        for _ in range(60):
            first = writer.newest()
            writer.send(f"run {random.choice((0, 0.001, 0.005, 0.02, 0.06))}")
            time.sleep(random.choice((0, 0, 0.003, 0.03)))
            during = committed(ended)
            assert first <= during <= writer.newest()
            last = int(writer.answer())
            assert during <= last
            time.sleep(random.choice((0, 0, TICK)))
            assert committed(ended) == last


@DISKS
@pytest.mark.parametrize("others", [0, 100], ids=["one file", "one among many"])
def test_a_single_store_between_two_commits_is_noticed(
    ended: Volume, place: Path, others: int
) -> None:
    """ctime is long past when the page is stored to once more: only a write-back between tells.
    With many others changed all are written back at once."""
    with writing("mmap", ended.tree / "f", place) as writer:
        for step in range(25 if not others else 4):
            for name in range(others):
                (ended.tree / f"{name:03}").write_text(str(step))
            last = writer.store()
            assert committed_after(TICK, ended) == last
            last = writer.store()
            assert committed_after(random.choice((0, TICK)), ended) == last


def committed_after(seconds: float, volume: Volume) -> int:
    time.sleep(seconds)
    return committed(volume)


@on("tmpfs")
def test_where_a_store_never_touches_ctime_contents_are_compared(
    ended: Volume, place: Path
) -> None:
    path = ended.tree / "f"
    with writing("mmap", path, place) as writer:
        writer.store()
        status = path.stat()
        for _ in range(20):
            last = writer.store()
            assert committed_after(TICK, ended) == last
        assert path.stat().st_ctime_ns == status.st_ctime_ns


@BELIEVED
@pytest.mark.slow
def test_a_store_long_after_the_first_is_noticed_where_nobody_knows_who_writes(
    unknown: Volume, place: Path
) -> None:
    with writing("mmap", unknown.tree / "f", place) as writer:
        last = writer.store()
        for _ in range(2):
            assert committed_after(FLIGHT, unknown) == last
            last = writer.store()
            assert committed(unknown) == last


@DISKS
def test_a_store_between_a_commit_and_a_reset_is_undone(ended: Volume, place: Path) -> None:
    with writing("mmap", ended.tree / "f", place) as writer:
        writer.store()
        first = committed_after(TICK, ended)
        writer.store()
        time.sleep(TICK)
        ended.reset()
        assert number(ended.tree / "f") == first
        ended.undo()
        assert number(ended.tree / "f") == first + 1


# -- direct writes -----------------------------------------------------------------------------


@on("ext4", "xfs", "dir")
@pytest.mark.slow
def test_direct_writes_in_flight_over_a_pause_are_in_the_next_commit(
    unknown: Volume, place: Path
) -> None:
    path = unknown.tree / "f"
    with writing("direct", path, place) as writer:
        for _ in range(12):
            time.sleep(random.random() / 50)
            writer.process.send_signal(signal.SIGSTOP)
            stopped = committed(unknown)
            assert stopped <= writer.newest()
            writer.process.send_signal(signal.SIGCONT)
            time.sleep(random.random() / 50)
            writer.process.send_signal(signal.SIGSTOP)
            time.sleep(0.05)
            assert committed(unknown) == number(path)
            writer.process.send_signal(signal.SIGCONT)


@contextmanager
def throttled(process: subprocess.Popen, device: int, speed: int) -> Iterator[None]:
    """Let what a process writes to a device take its time: bytes a second."""
    group = THROTTLE / f"dvol-test-{process.pid}"
    try:
        group.mkdir()
        (group / "blkio.throttle.write_bps_device").write_text(
            f"{os.major(device)}:{os.minor(device)} {speed}"
        )
        (group / "cgroup.procs").write_text(str(process.pid))
    except OSError as reason:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"writes can't be throttled here: {reason}")
    try:
        yield
    finally:
        process.kill()
        process.wait()
        for _ in range(100):
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)


@on("ext4")
@pytest.mark.slow
def test_a_direct_write_that_lands_after_the_commit_is_in_the_next(
    unknown: Volume, place: Path
) -> None:
    """Its ctime is that of its start. It takes a second and a half; a commit in between reads the
    old content under the new ctime, which is then old enough for anything but a write in flight.
    (XFS lets the commit wait for the write.)"""
    path = unknown.tree / "f"
    with writing("flight", path, place) as writer:
        with throttled(writer.process, path.stat().st_dev, BLOCK * 2 // 3):
            before = path.stat().st_ctime_ns
            writer.send("7")
            time.sleep(0.3)
            assert path.stat().st_ctime_ns > before
            assert committed(unknown) == 0
            assert writer.process.poll() is None
            assert writer.answer() == "landed"
            assert number(path) == 7
            assert committed(unknown) == 7


# -- while a tree is put back ------------------------------------------------------------------

OVERWRITE = """
import os, sys, time
path, end, seen = sys.argv[1], time.time() + float(sys.argv[2]), 0
print("ready", flush=True)
while time.time() < end:
    try:
        fd = os.open(path, os.O_RDWR)
    except OSError:
        continue
    if os.pread(fd, 1, 0) == b"A" and os.fstat(fd).st_ino != seen:
        seen = os.fstat(fd).st_ino
        os.pwrite(fd, b"BBBB", 0)
    os.close(fd)
"""


@DISKS
@pytest.mark.slow
def test_what_is_written_the_moment_it_is_put_back_is_noticed(place: Path) -> None:
    """Without Docker nobody knows who writes; so what was exchanged is not vouched for."""
    volume = made(place, ended=False)
    path = volume.tree / "f"
    path.write_text("AAAA")
    volume.commit()
    argv = [sys.executable, "-c", OVERWRITE, str(path), "3"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        overwritten_at_once = 0
        while process.poll() is None:
            with suppress(DvolError):
                volume.reset()
                time.sleep(0.02)
                before = path.read_text()
                frozen = volume.commit()
                assert (frozen / "f").read_text() in (before, path.read_text())
                overwritten_at_once += path.read_text() == "BBBB"
                volume.reset("HEAD^")
    assert overwritten_at_once > 3


@DISKS
def test_a_file_held_open_over_a_reset_writes_to_what_was_discarded(ended: Volume) -> None:
    """As a process does that was not there for Docker: its file is no longer the live one."""
    first = ended.commit()
    overwritten(ended.tree / "f", b"\1" * BLOCK)
    fd = os.open(ended.tree / "f", os.O_RDWR)
    ended.reset()
    os.pwrite(fd, b"\2" * BLOCK, 0)
    os.close(fd)
    assert number(ended.tree / "f") == 0
    assert number(first / "f") == 0
    assert number(ended.commit() / "f") == 0
    ended.assert_apart()


@DISKS
@pytest.mark.parametrize(
    "verb", [lambda volume: volume.reset(), lambda volume: volume.pool.branch("v", "b")]
)
def test_a_file_held_open_in_staging_is_nobodys(
    ended: Volume, verb: Callable[[Volume], None]
) -> None:
    """What is put in place was never reachable before: its index may be believed."""
    ended.commit()
    overwritten(ended.tree / "f", b"\1" * BLOCK)
    verb(ended)
    for value in range(5):
        status = (ended.tree / "f").stat()
        overwritten(ended.tree / "f", bytes([value]) * BLOCK)
        os.utime(ended.tree / "f", ns=(0, status.st_mtime_ns))
        assert (ended.commit() / "f").read_bytes() == bytes([value]) * BLOCK
