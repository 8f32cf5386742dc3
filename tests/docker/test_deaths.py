"""Server or Docker killed in the midst of a verb: nothing is left stopped or half done."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from tests.docker.installed import TIMEOUT, Installed, await_docker, server_pid, wait_for
from tests.lab import leftovers

pytestmark = pytest.mark.engines

WRITING = "trap 'exit 0' TERM; while :; do date +%s%N >> /data/log; sleep 0.01; done"
# as a database: for a while after it was told to stop it is still there
SLOW = "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done"
VERBS = {
    "commit": ["commit", "-m", "x", "shop_db"],
    "commit --pause": ["commit", "--pause", "-m", "x", "shop_db"],
    "reset": ["reset", "--hard", "HEAD", "shop_db"],
    "checkout": ["checkout", "-b", "side", "shop_db"],
}
NOTICED = "Docker has unmounted the volumes"  # says the server
_TRIES = 5
MOMENTS = [0.05, 0.15, 0.3, 0.5, 1.0]  # seconds; a verb with a container takes about half a one


def begin(installed: Installed, words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["dvol", *words], env=installed.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def runs_freely(installed: Installed, name: str) -> bool:
    form = "{{.State.Running}} {{.State.Paused}}"
    shown = installed.engine.docker("inspect", "-f", form, name, check=False)
    return shown.stdout.split() == ["true", "false"]


def answers(installed: Installed) -> bool:
    return installed.dvol("log", "shop_db", check=False).returncode == 0


def all_is_well(installed: Installed, before: int) -> None:
    wait_for(lambda: answers(installed), "the server answers again")
    for name in installed.engine.docker("ps", "-a", "--format", "{{.Names}}").stdout.split():
        wait_for(lambda name=name: runs_freely(installed, name), f"{name} runs again")
    noted = installed.pool / "shop_db/.dvol/suspended.json"
    wait_for(lambda: not noted.exists(), "nothing is noted as stopped")
    installed.dvol("fsck", "--repair", check=False)  # what was only staged, until a next verb
    assert installed.dvol("fsck", check=False).returncode == 0
    assert installed.dvol("log", "shop_db").stdout.count("commit ") in (before, before + 1)
    command = ("exec", "app", "sh", "-c", "wc -l < /data/log")
    lines = int(installed.engine.docker(*command).stdout)
    wait_for(lambda: int(installed.engine.docker(*command).stdout) > lines, "it writes again")


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_server_killed_in_the_midst_brings_back_what_it_had_stopped(
    installed: Installed, volume: str, verb: str
) -> None:
    installed.start(volume, "app", command=WRITING)
    installed.dvol("commit", "-m", "first", volume)
    interrupted = 0
    for count, moment in enumerate(MOMENTS):
        before = installed.dvol("log", volume).stdout.count("commit ")
        words = [f"side{count}" if word == "side" else word for word in VERBS[verb]]
        await_docker(installed)
        server = server_pid(installed)
        begun = begin(installed, words)
        time.sleep(moment)
        os.kill(server, signal.SIGKILL)
        interrupted += begun.wait() != 0
        all_is_well(installed, before)
    assert interrupted


@pytest.mark.slow
def test_one_that_was_still_stopping_when_the_server_died_runs_again(
    installed: Installed, volume: str
) -> None:
    """It runs when the next server looks, and ends a second later."""
    installed.start(volume, "slow", command=SLOW)
    await_docker(installed)
    server = server_pid(installed)
    begun = begin(installed, VERBS["commit"])
    noted = installed.pool / volume / ".dvol/suspended.json"
    wait_for(noted.exists, "it is noted")
    time.sleep(0.3)
    os.kill(server, signal.SIGKILL)
    assert begun.wait() != 0
    wait_for(lambda: not noted.exists(), "it was brought back")
    time.sleep(3.0)  # more than it takes to stop
    assert runs_freely(installed, "slow")


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_daemon_killed_in_the_midst_leaves_dvol_clean(
    installed: Installed, volume: str, verb: str
) -> None:
    always = partial(installed.start, volume, "app", "--restart", "always", command=WRITING)
    always()
    installed.dvol("commit", "-m", "first", volume)
    before = installed.dvol("log", volume).stdout.count("commit ")
    mark = len(installed.engine.logs())
    begun = begin(installed, VERBS[verb])
    time.sleep(0.15)
    installed.engine.kill()
    installed.engine.start()
    begun.wait()
    if is_stuck(installed, "app", mark):
        installed.engine.docker("rm", "-f", "app")
        always()
    all_is_well(installed, before)


def is_stuck(installed: Installed, name: str, mark: int) -> bool:
    """Whether it does not come back since Docker cannot start it, whoever asks: 20.10, killed while
    it ends a container, now and then finds a task of it in containerd until it is removed."""
    try:
        wait_for(lambda: runs_freely(installed, name), f"{name} runs again")
    except AssertionError:
        if not re.search(r"task [0-9a-f]{64}: already exists", installed.engine.logs()[mark:]):
            raise
        return True
    return False


@pytest.mark.slow
def test_a_daemon_that_unmounts_what_it_has_just_mounted_starts_the_plugin_again(
    installed: Installed, volume: str
) -> None:
    """What becomes of its race between cleaning up after a plugin and enabling it (20.10). An
    unmount that comes before the server has bound its data hides nothing, and is tried again."""
    for _ in range(_TRIES):
        installed.engine.docker("plugin", "disable", "-f", installed.driver)
        mark = len(installed.engine.logs())
        words = ["docker", "plugin", "enable", installed.driver]
        enabling = subprocess.Popen(words, env=installed.env)
        unmount_soon(propagated_mount(installed))
        assert enabling.wait() == 0
        assert is_seen(installed, volume)
        if NOTICED in installed.engine.logs()[mark:]:
            return
    pytest.fail("each time the unmount came too early")


@pytest.mark.slow
def test_a_daemon_that_is_late_in_unmounting_starts_the_plugin_again(
    installed: Installed, volume: str
) -> None:
    installed.engine.docker("plugin", "disable", "-f", installed.driver)
    installed.engine.docker("plugin", "enable", installed.driver)
    mark = len(installed.engine.logs())
    leftovers.unmount(propagated_mount(installed))
    wait_for(lambda: "INFO stopped" in installed.engine.logs()[mark:], "it has ended itself")
    wait_for(lambda: answers(installed), "another one answers")
    assert is_seen(installed, volume)
    assert NOTICED in installed.engine.logs()[mark:]


def is_seen(installed: Installed, volume: str) -> bool:
    """Whether a container gets the volume."""
    return installed.container(volume, "echo here > /data/file; cat /data/file") == "here\n"


def propagated_mount(installed: Installed) -> Path:
    id = installed.engine.docker("plugin", "inspect", "-f", "{{.Id}}", installed.driver)
    return installed.engine.data / "docker/plugins" / id.stdout.strip() / "propagated-mount"


def unmount_soon(place: Path) -> None:
    """As soon as something is mounted there."""
    deadline = time.monotonic() + TIMEOUT
    while not leftovers.mounts(place):
        assert time.monotonic() < deadline
    leftovers.unmount(place)
