"""The managed plugin in an Engine with `--userns-remap`: root in a container is another uid here.

Docker's own volumes belong to that uid; for a plugin's volumes Docker sees to nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.installed import Installed
from tests.lab import Unavailable, images
from tests.lab.releases import Release
from tests.lab.remapped import GID, UID, RemappedEngine

ROOT = (UID, GID, 0o755)
WRITE = "echo hello > /data/file && stat -c '%u %g' /data /data/file"


@pytest.fixture(scope="module")
def _remapped_once(release: Release) -> Iterator[Installed]:
    """Installed from scratch, as a user of such an Engine does."""
    try:
        engine = RemappedEngine(release)
    except Unavailable as reason:
        pytest.skip(str(reason))
    with engine:
        images.busybox(engine)
        plugin = Installed(engine)
        plugin.make("install")
        yield plugin


@pytest.fixture
def remapped(_remapped_once: Installed) -> Iterator[Installed]:
    yield _remapped_once
    _remapped_once.clear()


def owner(path: Path) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_uid, found.st_gid, found.st_mode & 0o7777


def tree(plugin: Installed, volume: str, branch: str = "master") -> Path:
    return plugin.pool / volume / "branches" / branch


@pytest.mark.parametrize("maker", ["dvol init", "dvol exec", "volume create", "run", "mount"])
def test_root_in_a_container_may_write_into_a_new_volume(remapped: Installed, maker: str) -> None:
    options: tuple[str, ...] = ()
    if maker == "dvol init":
        remapped.dvol("init", "shop_db")
    elif maker == "dvol exec":
        remapped.make("exec", "ARGS=init shop_db")
    elif maker == "volume create":
        remapped.engine.docker("volume", "create", "-d", "dvol", "shop_db")
    elif maker == "mount":
        options = ("--mount", "type=volume,src=again,dst=/again,volume-driver=dvol,volume-nocopy")
    assert remapped.container("shop_db", WRITE, *options) == "0 0\n0 0\n"
    assert owner(tree(remapped, "shop_db")) == ROOT
    if maker == "mount":
        assert owner(tree(remapped, "again")) == ROOT


def test_nocopy_leaves_the_tree_to_roots_uid(remapped: Installed) -> None:
    remapped.dvol("init", "shop_db")
    image = images.with_content(remapped.engine)
    run = ("run", "--rm", "--network", "none", "-v", "shop_db:/data:nocopy", image, "sh", "-c")
    assert remapped.engine.docker(*run, WRITE).stdout == "0 0\n0 0\n"


def test_an_images_own_content_and_owner_are_copied_as_ever(remapped: Installed) -> None:
    remapped.dvol("init", "shop_db")
    image = images.with_content(remapped.engine)
    run = ("run", "--rm", "--network", "none", "-v", "shop_db:/data", image, "stat", "-c", "%u %g")
    assert remapped.engine.docker(*run, "/data", "/data/seed").stdout == "999 999\n999 999\n"
    assert owner(tree(remapped, "shop_db")) == (UID + 999, GID + 999, 0o700)


def test_commits_resets_and_branches_keep_every_owner(remapped: Installed) -> None:
    remapped.dvol("init", "shop_db")
    empty = remapped.dvol("commit", "-m", "empty", "shop_db").stdout.strip()
    remapped.container("shop_db", "echo 1 > /data/file; mkdir /data/d; chown 7:8 /data/d")
    full = remapped.dvol("commit", "-m", "full", "shop_db").stdout.strip()
    remapped.container("shop_db", "chown 5:6 /data; rm -r /data/*")
    remapped.dvol("reset", "--hard", "HEAD", "shop_db")
    remapped.dvol("checkout", "-b", "side", "shop_db")
    for place in (
        remapped.pool / "shop_db/commits" / full,
        tree(remapped, "shop_db"),
        tree(remapped, "shop_db", "side"),
    ):
        assert owner(place) == ROOT
        assert owner(place / "d") == (UID + 7, GID + 8, 0o755)
    remapped.dvol("reset", "--hard", empty, "shop_db")
    assert owner(tree(remapped, "shop_db", "side")) == ROOT
    assert remapped.container("shop_db", WRITE) == "0 0\n0 0\n"
    remapped.dvol("undo", "shop_db")
    assert remapped.container("shop_db", "stat -c '%u %g' /data/d") == "7 8\n"


def test_a_branch_that_is_restored_without_a_tree_is_writable(remapped: Installed) -> None:
    """An entry like the one that fsck makes of a branch whose tree is gone."""
    remapped.dvol("init", "shop_db")
    entry = remapped.pool / ".dvol/trash/20260102T030405Z-0123456789ab"
    entry.mkdir(parents=True)
    note = {"format": 2, "id": "0123456789ab", "date": "2026-01-02T03:04:05+00:00"}
    note |= {"verb": "fsck", "volume": "shop_db", "branch": "side"}
    (entry / "entry.json").write_text(json.dumps(note))
    remapped.dvol("restore", "0123456789ab")
    assert owner(tree(remapped, "shop_db", "side")) == ROOT
