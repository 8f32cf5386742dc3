"""The managed plugin with its pool on btrfs: trees are subvolumes there, too.

In an Engine of its own, since Docker goes on asking for a plugin that it once had.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.docker.databases.engines import POSTGRES, Database, running
from tests.docker.installed import InstalledAt
from tests.lab import Unavailable, images
from tests.lab.engine import Engine
from tests.lab.filesystems import mounted
from tests.lab.releases import Release

SUBVOLUME = 256  # the inode of every subvolume's root


@pytest.fixture
def on_btrfs(release: Release) -> Iterator[InstalledAt]:
    with ExitStack() as undo:
        try:
            engine = undo.enter_context(Engine(release=release))
            place = undo.enter_context(mounted("btrfs", 512 << 20, engine.root))
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
    on_btrfs.dvol("gc", "--now", "-f")
    assert list((on_btrfs.pool / ".dvol/trash").iterdir()) == []


def test_a_live_commit_runs_the_hooks_of_containers_that_it_leaves_alone(
    on_btrfs: InstalledAt,
) -> None:
    on_btrfs.dvol("init", "shop_db")
    hooks = (("pre", "touch /data/before; rm -f /data/after"), ("post", "touch /data/after"))
    labels = [f"--label=dvol.exec.{when}-commit={line}" for when, line in hooks]
    on_btrfs.start("shop_db", "app", *labels)
    started = on_btrfs.started("app")
    for _ in range(2):
        commit = on_btrfs.dvol("commit", "-m", "x", "--live", "shop_db").stdout.strip()
        assert os.listdir(on_btrfs.pool / "shop_db/commits" / commit) == ["before"]
        assert (on_btrfs.pool / "shop_db/branches/master/after").exists()
    assert on_btrfs.started("app") == started


def lives(database: Database) -> list[tuple[str, ...]]:
    """When its container and the one that writes to it were started, and how they are."""
    facts = "{{.State.StartedAt}} {{.State.Status}} {{.State.Pid}} {{.RestartCount}}"
    names = (database.name, f"{database.name}-writer")
    said = database.installed.engine.docker("inspect", "-f", facts, *names).stdout
    return [tuple(line.split()) for line in said.splitlines()]


def happened(database: Database, since: float) -> set[str]:
    """What Docker has done to containers since then; not what a health check is."""
    window = ("--since", f"{since:.6f}", "--until", f"{time.time():.6f}")
    words = ("events", *window, "--filter", "type=container", "--format", "{{.Action}}")
    said = database.installed.engine.docker(*words).stdout.splitlines()
    return {line for line in said if not line.startswith(("exec_", "health_status"))}


@pytest.mark.slow
def test_a_live_commit_holds_what_was_acknowledged_and_leaves_the_database_alone(
    on_btrfs: InstalledAt,
) -> None:
    with running(on_btrfs, POSTGRES) as database:
        for _ in range(3):
            before, since = database.rows(), max(database.tried())
            database.await_writes()
            before |= {number for number in database.acknowledged() if number > since}
            alive, began = lives(database), time.time()
            commit = database.dvol("commit", "-m", "live", "--live").strip()
            tried = max(database.tried())
            assert happened(database, began) == set()
            assert lives(database) == alive
            database.await_writes()
            last = max(database.acknowledged())
            database.dvol("reset", "--hard", commit)
            assert lives(database) != alive  # so both would have seen it
            assert happened(database, began) >= {"die", "start"}
            rows = database.rows()
            assert before - rows == set()
            assert {row for row in rows if tried < row <= last} == set()
            database.check()
