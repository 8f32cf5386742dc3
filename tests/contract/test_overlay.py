"""A pool on an overlay whose lower layer holds it: there no directory can be renamed (EXDEV). That
is said, with what helps; and what is said to help does."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dvol.cli.main import main
from dvol.containers import NoContainers
from dvol.engine.local import LocalEngine
from tests.contract.trees import described
from tests.contract.unchanged import Volume, made, on
from tests.lab.filesystems import detach

pytestmark = [pytest.mark.root, on("ext4")]


@pytest.fixture
def lower(place: Path) -> Path:
    """The directory that is the lower layer; it holds the pool `volumes`, with two commits and
    two branches in the volume `v`."""
    volume = made(place / "lower")
    (volume.tree / "d" / "inner").mkdir(parents=True)
    (volume.tree / "file").write_text("1")
    os.link(volume.tree / "file", volume.tree / "d" / "link")
    volume.commit()
    (volume.tree / "new" / "inner").mkdir(parents=True)
    (volume.tree / "file").write_text("2")
    volume.commit()
    volume.pool.branch("v", "side")
    volume.pool.checkout("v", "master")
    return place / "lower"


@contextmanager
def overlay(lower: Path, *options: str) -> Iterator[Path]:
    """The root of an overlay on `lower`."""
    upper, work, root = (lower.with_name(name) for name in ("upper", "work", "root"))
    for directory in (upper, work, root):
        directory.mkdir()
    layers = (f"lowerdir={lower}", f"upperdir={upper}", f"workdir={work}")
    words = ["mount", "-t", "overlay", "overlay", "-o", ",".join([*layers, *options]), str(root)]
    subprocess.run(words, check=True)
    try:
        yield root
    finally:
        detach(root)


def opened(pool: Path) -> Volume:
    """The volume `v` of a pool that is there."""
    return Volume(LocalEngine(pool, NoContainers(certain=True)))


VERBS = {  # with what can't be renamed
    "reset": (("reset", "--hard", "HEAD^", "v"), "v/branches/master/new"),
    "branch -d": (("branch", "-d", "side", "v"), "v/branches/side"),
    "rm": (("rm", "-f", "v"), "v"),
}


@pytest.mark.parametrize(("words", "path"), VERBS.values(), ids=VERBS)
def test_a_directory_of_the_lower_layer_is_named(
    lower: Path, words: tuple[str, ...], path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with overlay(lower, "redirect_dir=nofollow", "index=on") as root:
        volume = opened(root / "volumes")
        before = described(volume.tree)
        options = ["--pool", str(volume.pool.root), "--disable-docker-integration"]
        assert main([*options, *words]) == 6
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.startswith(f"dvol: {volume.pool.root / path} is held by the lower layer")
        assert described(volume.tree) == before
        assert not [*volume.root.glob(".dvol/staging/*"), *volume.root.glob(".dvol/lost*")]


def test_a_copy_within_the_overlay_helps(lower: Path) -> None:
    with overlay(lower) as root:
        subprocess.run(["cp", "-a", root / "volumes", root / "copy"], check=True)
        every_verb(opened(root / "copy"))


def test_a_mount_that_redirects_helps(lower: Path) -> None:
    """`index=on` keeps the hard links within a tree when they are copied up."""
    with overlay(lower, "redirect_dir=on", "index=on") as root:
        every_verb(opened(root / "volumes"))


def every_verb(volume: Volume) -> None:
    engine = volume.pool
    two = described(volume.tree)
    engine.init("w")
    (volume.tree / "file").write_text("3")
    (volume.tree / "d" / "inner").rmdir()
    volume.reset()
    assert described(volume.tree) == two
    volume.reset("HEAD^")
    assert not (volume.tree / "new").exists()
    volume.undo()
    assert described(volume.tree) == two
    engine.branch("v", "other")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    (volume.tree / "file").write_text("4")
    volume.commit()
    engine.rm("v")
    engine.restore("v", "")
    assert engine.fsck() == []
    engine.rm("v")
    engine.gc(now=True)
    assert not [*engine.root.glob(".dvol/garbage/*"), *engine.root.glob(".dvol/trash/*")]
