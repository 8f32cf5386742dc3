"""One verb at a time changes a volume; reading waits for nobody."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dvol.errors import VolumeBusy
from dvol.pool import Pool
from tests.contract.places import Keeper

ANN = "Ann <ann@example.org>"
CHANGING = {
    "commit": lambda engine: engine.commit("v", "x", ANN),
    "reset": lambda engine: engine.reset("v"),
    "undo": lambda engine: engine.undo("v"),
    "restore": lambda engine: engine.restore(engine.discarded()[0].entry, "old"),
    "fsck": lambda engine: engine.fsck("v"),
    "branch": lambda engine: engine.branch("v", "new"),
    "checkout": lambda engine: engine.checkout("v", "side"),
    "delete_branch": lambda engine: engine.delete_branch("v", "side"),
    "rm": lambda engine: engine.rm("v"),
}
READING = {
    "get": lambda engine: engine.get("v"),
    "volumes": lambda engine: engine.volumes(),
    "log": lambda engine: engine.log("v"),
    "branches": lambda engine: engine.branches("v"),
    "active": lambda engine: engine.active(),
    "discarded": lambda engine: engine.discarded(),
    "dry run": lambda engine: engine.gc(now=True, dry_run=True),
    "version": lambda engine: engine.version(),
}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Held by this test, as by another process: a flock belongs to the open file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def lock(pool: Path, volume: str = "v") -> Path:
    return pool / ".dvol" / "locks" / "volumes" / volume


@pytest.fixture
def volume(keeper: Keeper) -> Keeper:
    """Two volumes; `v` has a commit, a state that was discarded, and a second branch."""
    keeper.engine.init("w")
    keeper.engine.init("v")
    keeper.engine.commit("v", "x", ANN)
    (keeper.tree("v") / "file").touch()
    keeper.engine.reset("v")
    keeper.engine.branch("v", "side")
    keeper.engine.checkout("v", "master")
    return keeper


@pytest.mark.parametrize("verb", READING.values(), ids=READING)
def test_reading_does_not_wait_for_a_verb_at_work(volume: Keeper, verb) -> None:
    with locked(lock(volume.pool)), locked(volume.pool / ".dvol" / "locks" / "pool"):
        verb(volume.engine)


def test_a_verb_at_work_on_one_volume_hinders_no_other(volume: Keeper) -> None:
    with locked(lock(volume.pool)):
        assert volume.engine.commit("w", "x", ANN) == volume.engine.log("w")[0]


@pytest.mark.parametrize("verb", CHANGING.values(), ids=CHANGING)
def test_changing_gives_up_when_patience_ends_and_says_who_is_at_work(volume: Keeper, verb) -> None:
    impatient = Pool(volume.pool, patience=0.0)
    with locked(lock(volume.pool)), pytest.raises(VolumeBusy, match="v is busy") as refusal:
        verb(impatient)
    assert refusal.value.exit_code == 5
    assert len(volume.engine.log("v")) == 1
    assert [branch.name for branch in volume.engine.branches("v")] == ["master", "side"]


@pytest.mark.parametrize("verb", CHANGING.values(), ids=CHANGING)
def test_changing_waits_for_the_verb_at_work_and_says_so(volume: Keeper, verb) -> None:
    """The lock is freed when the engine says that it waits for it."""
    said: list[str] = []
    held = locked(lock(volume.pool))
    held.__enter__()

    def tell(text: str) -> None:
        if not said:
            held.__exit__(None, None, None)
        said.append(text)

    verb(Pool(volume.pool, tell=tell))
    assert "waiting" in said[0]
