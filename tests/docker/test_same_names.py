"""A container whose volume has the same name in another pool is that pool's, and is not touched.
One that has this pool's volume is not overlooked."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.installed import SOURCE, Installed, run

pytestmark = pytest.mark.engines


@pytest.fixture
def own(installed: Installed, tmp_path: Path, volume: str) -> tuple[str, ...]:
    """How a command reaches a pool of one's own, with a volume of the same name."""
    words = ("--pool", str(tmp_path / "pool"))
    installed.dvol(*words, "init", volume)
    (tmp_path / f"pool/{volume}/branches/master/file").write_text("mine\n")
    return words


def test_a_pool_of_ones_own_touches_nobody_elses_container(
    installed: Installed, volume: str, own: tuple[str, ...]
) -> None:
    installed.start(volume, "app")
    before = installed.started("app")
    for verb in (
        ["commit", "-m", "x"],
        ["reset", "--hard"],
        ["checkout", "-b", "side"],
        ["checkout", "master"],
        ["undo"],
    ):
        done = installed.dvol(*own, *verb, check=False)
        assert (done.returncode, "/app" in done.stderr) in ((0, False), (3, False)), done
    assert "/app" not in installed.dvol(*own, "list").stdout
    installed.dvol(*own, "rm", "-f", volume)
    assert installed.started("app") == before


def test_a_pool_without_its_server_sees_its_own_containers(
    installed: Installed, volume: str
) -> None:
    """By the mounts of the plugin; while that is disabled, by those of the container's process."""
    words = ("--pool", str(installed.pool))
    installed.start(volume, "app")
    installed.write("app", "old")
    assert "stopped /app" in installed.dvol(*words, "commit", "-m", "x").stderr
    assert "/app" in installed.dvol(*words, "list").stdout
    installed.write("app", "new")
    assert "killed /app" in installed.dvol(*words, "reset", "--hard").stderr
    assert installed.read("app") == "old\n"
    installed.engine.docker("plugin", "disable", "-f", "dvol")
    try:
        done = installed.dvol(*words, "commit", "-m", "y", "--pause")
        assert "paused /app" in done.stderr
    finally:
        installed.engine.docker("plugin", "enable", "dvol")


def test_while_the_plugin_is_disabled_another_pool_is_told_apart_too(
    installed: Installed, volume: str, own: tuple[str, ...]
) -> None:
    installed.start(volume, "app")
    before = installed.started("app")
    installed.engine.docker("plugin", "disable", "-f", "dvol")
    try:
        assert "/app" not in installed.dvol(*own, "commit", "-m", "x").stderr
    finally:
        installed.engine.docker("plugin", "enable", "dvol")
    assert installed.started("app") == before


@pytest.fixture
def second(installed: Installed, volume: str) -> Iterator[Installed]:
    """The same plugin under another name, with a pool of its own."""
    engine = installed.engine
    other = Installed(engine, driver="second")
    made, data, run_dir = (engine.root / name for name in ("made", "second", "run-second"))
    run(["cp", "-a", str(SOURCE / "build/plugin"), str(made)], installed.env)
    (made / "rootfs/second").touch()  # Docker refuses a plugin whose content it has
    for path in (data / "dvol", run_dir):
        path.mkdir(parents=True)
    (run_dir / "docker.sock").hardlink_to(engine.run / "docker.sock")
    engine.docker("plugin", "create", "second", str(made))
    try:
        engine.docker("plugin", "set", "second", f"data.source={data}", f"run.source={run_dir}")
        engine.docker("plugin", "enable", "second")
        yield other
        engine.docker("rm", "-f", "-v", "theirs")
        engine.docker("volume", "rm", volume, "other_db", check=False)
    finally:
        engine.docker("plugin", "rm", "-f", "second")
        for path in (made, data, run_dir):
            shutil.rmtree(path)


def test_another_plugin_with_a_volume_of_that_name_has_another_pool(
    installed: Installed, second: Installed, volume: str
) -> None:
    """Each server knows its own id."""
    second.start(volume, "theirs")
    before = installed.started("theirs")
    for verb in (["commit", "-m", "x"], ["reset", "--hard"], ["checkout", "-b", "side"]):
        done = installed.dvol(*verb)
        assert "/theirs" not in done.stderr
    assert "/theirs" not in installed.dvol("list").stdout
    assert installed.started("theirs") == before
    theirs = {"DVOL_HOST": f"unix://{installed.engine.root}/run-second/dvol/control.sock"}
    assert "stopped /theirs" in installed.dvol("commit", "-m", "x", volume, **theirs).stderr


def test_a_container_with_volumes_of_two_plugins_is_started_again(
    installed: Installed, second: Installed, volume: str
) -> None:
    """Each dvol sees that the container was stopped more often than it did that."""
    engine = installed.engine
    engine.docker("volume", "create", "-d", "second", "other_db")
    slow = "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done"
    mount = "type=volume,source=other_db,target=/other,volume-driver=second"
    installed.start(volume, "theirs", "--mount", mount, command=slow)
    words = ["dvol", "commit", "-m", "x"]
    theirs = {"DVOL_HOST": f"unix://{engine.root}/run-second/dvol/control.sock"}
    both = [
        subprocess.Popen([*words, volume], env=installed.env),
        subprocess.Popen([*words, "other_db"], env=installed.env | theirs),
    ]
    assert [verb.wait() for verb in both] == [0, 0]
    assert installed.state("theirs")["Running"]
