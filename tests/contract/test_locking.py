"""One verb at a time changes a volume; reading waits for nobody."""

import pytest

from dvol.engine.local import LocalEngine
from dvol.errors import VolumeBusy
from tests.contract.locking import lock, locked
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


@pytest.mark.parametrize("verb", READING.values(), ids=READING)
def test_reading_does_not_wait_for_a_verb_at_work(two_volumes: Keeper, verb) -> None:
    with locked(lock(two_volumes.pool)), locked(two_volumes.pool / ".dvol" / "locks" / "pool"):
        verb(two_volumes.engine)


def test_a_verb_at_work_on_one_volume_hinders_no_other(two_volumes: Keeper) -> None:
    with locked(lock(two_volumes.pool)):
        assert two_volumes.engine.commit("w", "x", ANN) == two_volumes.engine.log("w")[0]


@pytest.mark.parametrize("verb", CHANGING.values(), ids=CHANGING)
def test_changing_gives_up_when_patience_ends_and_says_who_is_at_work(
    two_volumes: Keeper, verb
) -> None:
    impatient = LocalEngine(two_volumes.pool, timeout=0.0)
    with locked(lock(two_volumes.pool)), pytest.raises(VolumeBusy, match="v is busy") as refusal:
        verb(impatient)
    assert refusal.value.exit_code == 5
    assert len(two_volumes.engine.log("v")) == 1
    assert [branch.name for branch in two_volumes.engine.branches("v")] == ["master", "side"]


@pytest.mark.parametrize("verb", CHANGING.values(), ids=CHANGING)
def test_changing_waits_for_the_verb_at_work_and_says_so(two_volumes: Keeper, verb) -> None:
    """The lock is freed when the engine says that it waits for it."""
    said: list[str] = []
    held = locked(lock(two_volumes.pool))
    held.__enter__()

    def on_progress(text: str) -> None:
        if not said:
            held.__exit__(None, None, None)
        said.append(text)

    verb(LocalEngine(two_volumes.pool, on_progress=on_progress))
    assert "waiting" in said[0]
