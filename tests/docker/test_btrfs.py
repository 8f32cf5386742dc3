"""The managed plugin with its pool on btrfs: trees are subvolumes there, too.

In an Engine of its own, since Docker goes on asking for a plugin that it once had.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.docker.installed import InstalledAt
from tests.lab import Unavailable, images
from tests.lab.engine import Engine
from tests.lab.filesystems import mounted

SUBVOLUME = 256  # the inode of every subvolume's root


@pytest.fixture
def on_btrfs() -> Iterator[InstalledAt]:
    with ExitStack() as undo:
        try:
            engine = undo.enter_context(Engine())
            place = undo.enter_context(mounted("btrfs", 512 << 20))
        except Unavailable as reason:
            pytest.skip(str(reason))
        images.busybox(engine)
        plugin = InstalledAt(engine, place=place)
        plugin.make("install")
        yield plugin
        plugin.leave()


def test_commit_reset_and_undo_are_snapshots(on_btrfs: InstalledAt) -> None:
    on_btrfs.dvol("init", "shop_db")
    on_btrfs.container("shop_db", "echo hello > /data/file")
    commit = on_btrfs.dvol("commit", "-m", "Hello", "shop_db").stdout.strip()
    on_btrfs.container("shop_db", "echo world > /data/file")
    on_btrfs.dvol("reset", "--hard", "HEAD", "shop_db")
    assert on_btrfs.container("shop_db", "cat /data/file") == "hello\n"
    on_btrfs.dvol("undo", "shop_db")
    assert on_btrfs.container("shop_db", "cat /data/file") == "world\n"
    volume = on_btrfs.pool / "shop_db"
    for tree in (volume / "branches/master", volume / "commits" / commit):
        assert os.stat(tree).st_ino == SUBVOLUME
    on_btrfs.dvol("rm", "-f", "shop_db")
    on_btrfs.dvol("gc", "--now")
    assert list((on_btrfs.pool / ".dvol/trash").iterdir()) == []
