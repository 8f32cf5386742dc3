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
SHARING = ("xfs", "btrfs")
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


def freed(keeper: Keeper) -> int:
    """Free all that can be freed; the bytes that gc tells, which the disk has more of then. (It may
    have still more: btrfs also frees what an earlier test has deleted.)"""
    before = free(keeper.pool)
    told = sum(one.size for one in keeper.engine.gc(now=True))
    eventually(lambda: free(keeper.pool) - before > told - NEARLY, timeout=SLOW)
    return told


def test_a_state_frees_what_only_it_has(engine: Engine, tree: Path, keeper: Keeper) -> None:
    """Of 32 MiB that the state before a reset had, the commit has half."""
    data(tree, "committed", 16 * MIB)
    commit(engine)
    data(tree, "not committed", 16 * MIB)
    engine.reset("v")
    assert 16 * MIB <= freed(keeper) < 17 * MIB


def test_a_changed_page_frees_a_page_where_pages_are_shared(
    engine: Engine, tree: Path, keeper: Keeper, kind: str
) -> None:
    """A file of 16 MiB, of which one page was changed. Without shared blocks it is freed whole."""
    data(tree, "file", 16 * MIB)
    commit(engine)
    with (tree / "file").open("r+b") as file:
        file.seek(MIB)
        file.write(b"changed")
    engine.reset("v")
    least = 0 if kind in SHARING else 16 * MIB
    assert least <= freed(keeper) < least + MIB


def test_a_branch_that_shares_all_is_nothing_to_free(
    engine: Engine, tree: Path, keeper: Keeper, kind: str
) -> None:
    """So a refusal on a full disk does not advise to delete it."""
    data(tree, "file", 8 * MIB)
    commit(engine)
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    advice = freeable(PoolLayout(keeper.pool), ["v"])
    least = 0 if kind in SHARING else 8 * MIB
    assert advice.startswith("8.0 MiB") == (kind not in SHARING)
    assert least <= freed(keeper) < least + MIB


def test_a_deletion_that_frees_nothing_is_not_advised(engine: Engine, keeper: Keeper) -> None:
    assert freeable(PoolLayout(keeper.pool), ["v"]) == "nothing"
