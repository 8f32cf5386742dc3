"""The model itself: it notices a commit that is gone, changed, or not found any more."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.model import steps
from tests.model.clocks import START
from tests.model.oracle import DAY, Run, Waiting
from tests.model.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A pool with the commits 1, which `v` has, and 2, which it has dropped."""
    world = World(tmp_path / "pool", None)
    world.take(steps.init(world, "v"))
    for text in ("1", "2"):
        world.write("v", (("file", text),))
        world.take(steps.commit(world, "v", ""))
    first = world.pool["v"].branch.line[:1]
    world.take(steps.reset(world, "v", "HEAD^", first, discard=False))
    return world


def lost(volume: Path, id: str) -> None:
    shutil.rmtree(volume / "commits" / id)


def changed(volume: Path, id: str) -> None:
    (volume / "commits" / id / "file").chmod(0o600)
    (volume / "commits" / id / "file").write_text("other")


def unrecorded(volume: Path, id: str) -> None:
    (record,) = (volume / ".dvol/dropped").iterdir()
    assert json.loads(record.read_text())["commits"][0]["id"] == id
    record.unlink()


@pytest.mark.parametrize("damage", [lost, changed, unrecorded])
def test_it_notices(world: World, damage: Callable[[Path, str], None]) -> None:
    world.take(steps.auto(world))
    damage(world.root / "v", world.ledger.volumes[0].ever[1])
    with pytest.raises(AssertionError, match=r"lost|hidden"):
        world.take(steps.auto(world))


def test_it_notices_a_gc_that_is_too_early(world: World) -> None:
    """One day too early by gc.keep, while all that it is told is a setting of an hour."""
    world.take(steps.set_keep(world, "", "1h"))
    world.ledger.keep = 2 * DAY
    world.clocks.go_on(DAY)
    with pytest.raises(AssertionError, match="too early"):
        world.take(steps.gc(world))


def test_ages_by_hand() -> None:
    """The calculation of the model, beside one on paper."""
    run = Run(START + 40 * DAY, "boot", 0.0)
    late = Run(run.wall + DAY, "boot", DAY.total_seconds())
    other = Run(run.wall + DAY, "other", DAY.total_seconds())
    thing = Waiting(START, runs=[run])
    assert [thing.is_past(run, timedelta(days=days)) for days in (39, 40)] == [True, False]
    assert [thing.is_past_for_long(one, 30 * DAY) for one in (run, late, other)] == [
        False,
        True,
        False,
    ]
    future = Waiting(START + 99 * DAY, runs=[run])
    assert [future.is_past(late, timedelta(hours=hours)) for hours in (23, 24)] == [True, False]
