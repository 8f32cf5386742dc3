"""Server or Docker killed in the midst of a verb: nothing is left stopped or half done."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.docker.installed import Installed, server_pid, wait_for

WRITING = "trap 'exit 0' TERM; while :; do date +%s%N >> /data/log; sleep 0.01; done"
VERBS = {
    "commit": ["commit", "-m", "x", "shop_db"],
    "commit --pause": ["commit", "--pause", "-m", "x", "shop_db"],
    "reset": ["reset", "--hard", "HEAD", "shop_db"],
    "checkout": ["checkout", "-b", "side", "shop_db"],
}
MOMENTS = [0.03, 0.1, 0.2, 0.3, 0.5]  # seconds; a verb with a container takes about half a one


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
    wait_for(lambda: runs_freely(installed, "app"), "the container runs again")
    noted = installed.pool / "shop_db/.dvol/ended.json"
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
    for count, moment in enumerate(MOMENTS):
        before = installed.dvol("log", volume).stdout.count("commit ")
        words = [f"side{count}" if word == "side" else word for word in VERBS[verb]]
        begun = begin(installed, words)
        time.sleep(moment)
        os.kill(server_pid(installed), signal.SIGKILL)
        begun.wait()
        all_is_well(installed, before)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_daemon_killed_in_the_midst_leaves_dvol_clean(
    installed: Installed, volume: str, verb: str
) -> None:
    installed.start(volume, "app", "--restart", "always", command=WRITING)
    installed.dvol("commit", "-m", "first", volume)
    before = installed.dvol("log", volume).stdout.count("commit ")
    begun = begin(installed, VERBS[verb])
    time.sleep(0.15)
    installed.engine.kill()
    installed.engine.start()
    begun.wait()
    all_is_well(installed, before)
