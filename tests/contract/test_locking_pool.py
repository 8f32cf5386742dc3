"""What a verb holds besides its volume: the pool's lock while the list of volumes changes, and the
gate while no container may start. What was true before the lock was had is looked at again."""

import json
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dvol.containers import NoContainers
from dvol.containers.container import Container
from dvol.engine.docker_volumes import DockerVolumes
from dvol.engine.local import LocalEngine
from dvol.errors import PoolBusy, VolumeBusy, VolumeNotFound
from dvol.fs.locks import shared
from dvol.layout import PoolLayout
from tests.contract.conftest import on_disk
from tests.contract.locking import lock, locked
from tests.contract.places import Keeper
from tests.contract.unchanged import on
from tests.contract.verbs import ANN

pytestmark = on("dir")
Verb = Callable[[LocalEngine], object]


@pytest.fixture
def keeper(place: Path) -> Keeper:
    """Its locks are the same, whoever keeps it."""
    return on_disk(place / "volumes")


def lock_of_pool(keeper: Keeper) -> Path:
    return keeper.pool / ".dvol" / "locks" / "pool"


# -- the pool's lock ---------------------------------------------------------------------------

OF_THE_POOL: dict[str, Verb] = {
    "init": lambda pool: pool.init("new"),
    "create": lambda pool: DockerVolumes(pool.access).create("new"),
    "switch": lambda pool: pool.switch("w"),
    "rm": lambda pool: pool.rm("w"),
    "restore": lambda pool: pool.restore(pool.discarded()[0].entry, "again"),
}


@pytest.mark.parametrize("verb", OF_THE_POOL.values(), ids=OF_THE_POOL)
def test_changing_the_list_of_volumes_waits_for_the_pool(two_volumes: Keeper, verb: Verb) -> None:
    two_volumes.engine.init("x")
    two_volumes.engine.rm("x")
    before = sorted(os.listdir(two_volumes.pool))
    with locked(lock_of_pool(two_volumes)), pytest.raises(PoolBusy):
        verb(LocalEngine(two_volumes.pool, timeout=0.0))
    assert sorted(os.listdir(two_volumes.pool)) == before


def test_gc_leaves_what_is_the_pools_while_that_is_busy(two_volumes: Keeper) -> None:
    two_volumes.engine.rm("w")
    with locked(lock_of_pool(two_volumes)):
        assert {one.verb for one in two_volumes.engine.gc(now=True)} == {"reset"}
    assert {one.verb for one in two_volumes.engine.gc(now=True)} == {"rm"}


# -- while one waited --------------------------------------------------------------------------


def test_gc_looks_again_once_it_has_the_lock(two_volumes: Keeper) -> None:
    """An undo may have used the state up meanwhile, or come to need it."""
    (found,) = (two_volumes.pool / "v/.dvol/undo/master").iterdir()
    with ThreadPoolExecutor(1) as thread:
        with locked(lock(two_volumes.pool)):
            freed = thread.submit(two_volumes.engine.gc, now=True)
            with pytest.raises(TimeoutError):
                freed.result(0.1)
            found.rename(two_volumes.pool / "v/.dvol/aside")
        assert freed.result() == []


def test_a_volume_that_went_while_one_waited_is_not_found_and_leaves_no_ghost(
    two_volumes: Keeper,
) -> None:
    holding = locked(lock(two_volumes.pool))
    holding.__enter__()

    def on_progress(_: str) -> None:
        (two_volumes.pool / "v").rename(two_volumes.pool.parent / "gone")
        holding.__exit__(None, None, None)

    with pytest.raises(VolumeNotFound):
        LocalEngine(two_volumes.pool, on_progress=on_progress).commit("v", "x", ANN)
    assert not (two_volumes.pool / "v").exists()


@pytest.mark.parametrize("of", ["volume", "pool"])
def test_reading_leaves_the_journal_of_a_verb_at_work(two_volumes: Keeper, of: str) -> None:
    """Whose steps it would take a second time, and whose journal it would unlink."""
    own = two_volumes.pool / ("v/.dvol" if of == "volume" else ".dvol")
    held = lock(two_volumes.pool) if of == "volume" else lock_of_pool(two_volumes)
    staged, journal = own / "staging/x", own / "journal.json"
    staged.mkdir(parents=True)
    steps = [["discard", str(staged.relative_to(two_volumes.pool))]]
    journal.write_text(json.dumps({"format": 1, "verb": "x", "steps": steps}))
    with locked(held):
        two_volumes.engine.log("v")
        assert journal.exists()
        assert staged.exists()
    two_volumes.engine.log("v")
    assert not journal.exists()
    assert not staged.exists()


# -- the gate ----------------------------------------------------------------------------------


def gate(keeper: Keeper) -> Path:
    return PoolLayout(keeper.pool).volume("v").gate


class Asked(NoContainers):
    """Notes whether a container could pass the gate when it is asked."""

    def __init__(self, gate: Path) -> None:
        super().__init__(certain=True)
        self.gate = gate
        self.open: list[bool] = []

    def using(self, volumes: Collection[str], at_gate: Callable[[], bool]) -> list[Container]:
        self._look()
        return []

    def having(self, volumes: Collection[str], running: bool = False) -> dict[str, str]:
        self._look()
        return {}

    def _look(self) -> None:
        with shared(self.gate, 0.0) as had:
            self.open.append(had)


OF_A_VOLUME: dict[str, Verb] = {
    "commit": lambda pool: pool.commit("v", "x", ANN),
    "reset": lambda pool: pool.reset("v"),
    "undo": lambda pool: pool.undo("v"),
    "checkout": lambda pool: pool.checkout("v", "side"),
    "branch": lambda pool: pool.branch("v", "new"),
    "rm": lambda pool: pool.rm("v"),
}


@pytest.mark.parametrize("verb", OF_A_VOLUME.values(), ids=OF_A_VOLUME)
def test_who_uses_a_volume_is_asked_once_its_gate_is_closed(
    two_volumes: Keeper, verb: Verb
) -> None:
    """A container that passed the gate before is seen then."""
    asked = Asked(gate(two_volumes))
    verb(LocalEngine(two_volumes.pool, asked))
    assert asked.open[-1] is False


def test_where_the_gate_cannot_be_closed_nothing_happens(
    two_volumes: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvol.engine.gate.MOUNT_TIMEOUT", 0.2)
    with shared(gate(two_volumes), 0.0), pytest.raises(VolumeBusy, match="being started"):
        two_volumes.engine.commit("v", "x", ANN)
    assert len(two_volumes.engine.log("v")) == 1
