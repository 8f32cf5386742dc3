"""What gc says that it frees is what the disk has more of afterwards, also where files share
blocks."""

import os
from pathlib import Path

import pytest

from dvol.engine import Engine
from dvol.layout import PoolLayout
from dvol.trash.freeable import freeable
from tests.contract.places import Keeper, eventually
from tests.contract.verbs import commit

MIB = 1 << 20
NEARLY = 3 * MIB  # the file systems' own trees change meanwhile
SLOW = 60.0  # seconds in which btrfs has deleted a subvolume for good

pytestmark = [
    pytest.mark.root,
    pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs"], indirect=True, scope="session"),
    pytest.mark.parametrize("keeper", ["disk"], indirect=True),
]


def data(tree: Path, name: str, size: int) -> None:
    (tree / name).write_bytes(os.urandom(size))


def free(place: Path) -> int:
    os.sync()
    left = os.statvfs(place)
    return left.f_bfree * left.f_frsize


def assert_gained(place: Path, before: int, told: int) -> None:
    """The disk has as much more free than `before` as gc has told. (It may have more: btrfs also
    frees what an earlier test has deleted.)"""
    eventually(lambda: free(place) - before > told - NEARLY, timeout=SLOW)


def told(keeper: Keeper) -> int:
    """Free all that can be freed; the bytes that gc told."""
    return sum(one.size for one in keeper.engine.gc(now=True))


def test_a_state_frees_what_only_it_has(engine: Engine, tree: Path, keeper: Keeper) -> None:
    """Of 32 MiB that the state before a reset had, the commit has half."""
    data(tree, "committed", 16 * MIB)
    commit(engine)
    data(tree, "not committed", 16 * MIB)
    engine.reset("v")
    before = free(keeper.pool)
    size = told(keeper)
    assert 16 * MIB <= size < 17 * MIB
    assert_gained(keeper.pool, before, size)


def test_a_changed_page_frees_a_page_where_pages_are_shared(
    engine: Engine, tree: Path, keeper: Keeper
) -> None:
    """A file of 16 MiB, of which one page was changed. Without shared blocks it is freed whole."""
    data(tree, "file", 16 * MIB)
    commit(engine)
    with (tree / "file").open("r+b") as file:
        file.seek(MIB)
        file.write(b"changed")
    engine.reset("v")
    before = free(keeper.pool)
    size = told(keeper)
    assert size < MIB or 16 * MIB <= size < 17 * MIB
    assert_gained(keeper.pool, before, size)


def test_a_branch_that_shares_all_is_nothing_to_free(
    engine: Engine, tree: Path, keeper: Keeper
) -> None:
    """So a refusal on a full disk does not advise to delete it."""
    data(tree, "file", 8 * MIB)
    commit(engine)
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    before = free(keeper.pool)
    advice = freeable(PoolLayout(keeper.pool), ["v"])
    size = told(keeper)
    assert advice.startswith("8.0 MiB") if size >= 8 * MIB else size < MIB
    assert_gained(keeper.pool, before, size)


def test_a_deletion_that_frees_nothing_is_not_advised(engine: Engine, keeper: Keeper) -> None:
    assert freeable(PoolLayout(keeper.pool), ["v"]) == "nothing"
