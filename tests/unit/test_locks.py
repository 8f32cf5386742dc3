"""Locks between processes, freed when the holder dies."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from dvol.fs.locks import exclusive, holder, shared

ROOT = Path(__file__).parents[2]
CHILD = """
import sys
from pathlib import Path
from dvol.fs import locks
how = {"alone": lambda path: locks.exclusive(path, "commit", 0.0),
       "shared": lambda path: locks.shared(path, 0.0)}[sys.argv[1]]
with how(Path(sys.argv[2])) as had:
    print(had, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def process_holding(path: Path, how: str = "alone") -> Iterator[subprocess.Popen]:
    """Another process that holds the lock until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, how, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:
        assert child.stdout.readline() == "True\n"
        yield child


def had(lock) -> bool:
    with lock as answer:
        return answer


def test_a_lock_is_had_when_nobody_holds_it(tmp_path: Path) -> None:
    assert had(exclusive(tmp_path / "lock", "commit", 0.0))
    assert had(exclusive(tmp_path / "lock", "commit", 0.0))


def test_the_directory_of_a_lock_is_made(tmp_path: Path) -> None:
    assert had(exclusive(tmp_path / "locks" / "volumes" / "v", "commit", 0.0))


def test_a_lock_that_another_process_holds_is_not_had(tmp_path: Path) -> None:
    with process_holding(tmp_path / "lock"):
        assert not had(exclusive(tmp_path / "lock", "reset", 0.0))
        assert not had(shared(tmp_path / "lock", 0.0))


def test_a_lock_is_freed_by_the_death_of_its_holder(tmp_path: Path) -> None:
    with process_holding(tmp_path / "lock") as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert had(exclusive(tmp_path / "lock", "reset", 0.0))


def test_whoever_waits_gets_the_lock_when_it_is_freed(tmp_path: Path) -> None:
    answers: list[bool] = []
    with process_holding(tmp_path / "lock") as child:
        waiting = Thread(
            target=lambda: answers.append(had(exclusive(tmp_path / "lock", "x", 60.0)))
        )
        waiting.start()
        child.stdin.close()
        waiting.join(60)
    assert answers == [True]


def test_threads_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    answers: list[bool] = []
    with exclusive(tmp_path / "lock", "commit", 0.0):
        thread = Thread(target=lambda: answers.append(had(exclusive(tmp_path / "lock", "x", 0.0))))
        thread.start()
        thread.join()
    assert answers == [False]


def test_sharers_hold_a_lock_together_and_keep_others_out(tmp_path: Path) -> None:
    with process_holding(tmp_path / "lock", "shared"):
        assert had(shared(tmp_path / "lock", 0.0))
        assert not had(exclusive(tmp_path / "lock", "commit", 0.0))


def test_a_refused_waiter_can_say_who_holds_the_lock(tmp_path: Path) -> None:
    with process_holding(tmp_path / "lock") as child:
        assert "'dvol commit'" in holder(tmp_path / "lock")
        assert f"pid {child.pid}" in holder(tmp_path / "lock")


@pytest.mark.parametrize("signed", [b"", b"{", b"[]", b"7", b'{"verb": 1}', b'{"since": "x"}'])
def test_an_unreadable_signature_is_no_error(tmp_path: Path, signed: bytes) -> None:
    (tmp_path / "lock").write_bytes(signed)
    assert holder(tmp_path / "lock") == ""


def test_no_signature_is_no_error(tmp_path: Path) -> None:
    assert holder(tmp_path / "missing") == ""


def test_the_lock_file_stays_when_the_lock_is_freed(tmp_path: Path) -> None:
    """A deleted lock file would let two holders in: each with a file of its own."""
    with exclusive(tmp_path / "lock", "commit", 0.0):
        before = (tmp_path / "lock").stat().st_ino
    with exclusive(tmp_path / "lock", "commit", 0.0):
        assert before == (tmp_path / "lock").stat().st_ino


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), exclusive(tmp_path / "lock", "commit", 0.0):
        raise KeyError
    assert had(exclusive(tmp_path / "lock", "commit", 0.0))


def test_a_child_started_under_the_lock_does_not_inherit_it(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock", "commit", 0.0):
        child = subprocess.Popen(["sleep", "600"], close_fds=False)
    try:
        assert had(exclusive(tmp_path / "lock", "commit", 0.0))
    finally:
        child.kill()
        child.wait()


def test_a_lock_file_that_is_deleted_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever held the lock of a file without a name would hold nothing."""
    path, flock, calls = tmp_path / "lock", fcntl.flock, []

    def deleting_first(fd: int, kind: int) -> None:
        if not calls:
            path.unlink()
        calls.append(kind)
        flock(fd, kind)

    monkeypatch.setattr(fcntl, "flock", deleting_first)
    with exclusive(path, "commit", 1.0) as had_it:
        assert had_it
        assert path.exists()
        assert not had(exclusive(path, "reset", 0.0))
