"""Ctrl-C, once and for as long as somebody holds it: all or nothing, as ever."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dvol.backends.copy.copy import Copy
from dvol.engine.local import LocalEngine
from tests.contract.places import environment

ANN = "Ann <ann@example.org>"
FILES = 400
BOTH = ["v", "w"]


@pytest.fixture
def pool(tmp_path: Path) -> LocalEngine:
    """Two volumes that were committed together, with other content since."""
    pool = LocalEngine(tmp_path / "pool")
    for volume in BOTH:
        pool.init(volume)
        written(pool, volume, "old")
    pool.commit_group(BOTH, "", "x", ANN)
    for volume in BOTH:
        written(pool, volume, "new")
    return pool


def written(pool: LocalEngine, volume: str, text: str) -> None:
    for number in range(FILES):
        (pool.root / volume / "branches/master" / str(number)).write_text(text)


def content(pool: LocalEngine) -> set[str]:
    """What is in the files of both, once the next verb has looked at them."""
    pool.branches("v")
    trees = [pool.root / volume / "branches/master" for volume in BOTH]
    return {path.read_text() for tree in trees for path in tree.iterdir()}


def all_is_well(pool: LocalEngine) -> None:
    assert content(pool) in ({"old"}, {"new"})
    pool.commit_group(BOTH, "", "y", ANN)
    assert pool.fsck() == []


@pytest.mark.parametrize("times", [1, 2, 3, 4, 5])
def test_whoever_interrupts_a_verb_again_and_again_gets_all_or_nothing(
    pool: LocalEngine, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Wherever it comes: among the steps, while they are completed, while all is put in order."""
    left, taken = times, 0

    def identity(self: Copy, path: Path) -> int:
        nonlocal left, taken
        taken += (pool.root / ".dvol/journal.json").exists()
        if left and taken > FILES // 2:
            left -= 1
            raise KeyboardInterrupt
        return path.lstat().st_ino

    monkeypatch.setattr(Copy, "identity", identity)
    with pytest.raises(KeyboardInterrupt):
        pool.reset_group(BOTH, "")
    monkeypatch.undo()
    all_is_well(LocalEngine(pool.root))


@pytest.mark.parametrize("pause", [0.001, 0.005, 0.02])
def test_a_command_hears_the_first_one(pool: LocalEngine, pause: float) -> None:
    words = [sys.executable, "-m", "dvol", "--pool", str(pool.root), "reset", "--hard"]
    words += ["--disable-docker-integration", "--volume", "v", "--volume", "w"]
    process = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (pool.root / ".dvol/journal.json").exists():
        time.sleep(0.0005)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
    said = process.communicate()[1]
    assert process.returncode in (0, 130)
    assert "Traceback" not in said
    all_is_well(LocalEngine(pool.root))
