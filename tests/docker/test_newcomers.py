"""Containers that somebody else starts while a verb ends its own: nobody waits for the gate while
Docker waits for them, what was running runs again, and the trees are quiet when they must be."""

from __future__ import annotations

import subprocess
import time

import pytest

from dvol.containers import PAUSE
from dvol.containers.container import RUNNING, Suspension
from dvol.containers.docker import Docker
from dvol.containers.ownership import ByMounts
from tests.docker.installed import Installed, wait_for

pytestmark = pytest.mark.engines

SLOW = "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done"
LONG = 15.0  # seconds: less than a start waits at the gate


def test_a_container_that_is_being_restarted_is_not_waited_for_at_the_gate(
    installed: Installed, volume: str
) -> None:
    """Its restart works, too."""
    installed.start(volume, "app", command=SLOW)
    for pause in (0.1, 0.5, 1.0):
        restart = subprocess.Popen(["docker", "restart", "app"], env=installed.engine.env)
        time.sleep(pause)
        installed.dvol("commit", "-m", "x", volume)
        assert restart.wait() == 0
        assert installed.state("app")["Running"]


def test_one_in_a_crash_loop_is_ended_for_good(installed: Installed, volume: str) -> None:
    installed.start(volume, "app", "--restart", "always", command="sleep 0.2; exit 3")
    installed.start(volume, "db")
    installed.write("db", "old")
    installed.dvol("commit", "-m", "x", volume)
    installed.write("db", "new")
    for _ in range(5):
        installed.dvol("reset", "--hard", "HEAD", volume)
        assert installed.read("db") == "old\n"


def test_an_application_that_dies_with_its_database_does_not_stop_the_verb(
    installed: Installed, volume: str
) -> None:
    """Docker starts it again by its policy, while the database is down."""
    beat = "while :; do date +%s%N > /data/beat; sleep 0.05; done"
    dies = (
        'while a=$(cat /data/beat); do sleep 0.2; test "$a" != "$(cat /data/beat)" || exit 1; done'
    )
    installed.start(volume, "db", command=beat)
    time.sleep(0.2)
    installed.start(volume, "app", "--restart", "always", command=dies)
    beside = ("-d", "--name", "side", "--network", "none", "--pid", "container:db")
    installed.engine.docker("run", *beside, "busybox", "sleep", "1000")
    installed.dvol("commit", "-m", "x", "--stop-timeout", "1", volume)
    for _ in range(3):
        installed.dvol("reset", "--hard", "HEAD", volume)
        for name in ("db", "side"):
            assert installed.state(name)["Running"], name


def test_new_containers_that_come_all_the_time_are_ended_too(
    installed: Installed, volume: str
) -> None:
    installed.start(volume, "db", command=SLOW)
    installed.write("db", "old")
    installed.dvol("commit", "-m", "x", volume)
    installed.write("db", "new")
    verb = subprocess.Popen(
        ["dvol", "commit", "-m", "y", volume], env=installed.env, stderr=subprocess.PIPE, text=True
    )
    time.sleep(0.5)  # the database is being stopped
    installed.start(volume, "late")
    said = verb.communicate()[1]
    assert verb.returncode == 0, said
    for name in ("late", "db"):
        assert f"stopped /{name}" in said
        assert installed.state(name)["Running"]


def test_a_newcomer_that_may_not_be_ended_is_a_refusal_and_nothing_is_done(
    installed: Installed, volume: str
) -> None:
    installed.dvol("commit", "-m", "x", volume)
    installed.dvol("init", "other")
    slow = "trap 'sleep 2; echo end > /other/file; exit 0' TERM; while :; do sleep 0.1; done"
    installed.start(volume, "db", "-v", "other:/other", command=slow)
    installed.write("db", "new")
    verb = subprocess.Popen(
        ["dvol", "reset", "--hard", "HEAD", volume],
        env=installed.env,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.5)
    installed.start(volume, "once", "--rm")
    said = verb.communicate()[1]
    assert verb.returncode == 4, said
    assert "/once was started with --rm" in said
    assert installed.state("once")["Running"]
    assert installed.read("db") == "new\n"


def test_a_start_that_waits_at_the_gate_goes_on_afterwards(
    installed: Installed, volume: str
) -> None:
    """A container that comes when the gate has closed is not ended, and not refused."""
    tree = installed.pool / volume / "branches/master"
    for number in range(3000):
        (tree / f"file{number}").write_text("x" * 3000)
    installed.start(volume, "db")
    verb = subprocess.Popen(["dvol", "commit", "-m", "y", volume], env=installed.env)
    installed.start(volume, "late")
    assert verb.wait() == 0
    assert installed.state("late")["Running"]
    assert installed.state("db")["Running"]


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_one_that_restarts_by_itself_meanwhile_is_ended_and_started(
    installed: Installed, volume: str, policy: str
) -> None:
    installed.start(volume, "db", command=SLOW)
    installed.start(volume, "app", "--restart", policy, command="sleep 0.4; exit 1")
    installed.write("db", "old")
    for _ in range(3):
        began = time.monotonic()
        installed.dvol("commit", "-m", "x", volume)
        assert time.monotonic() - began < LONG
        assert installed.state("app")["Status"] in ("running", "restarting")


def test_one_that_crashed_before_it_could_be_paused_is_found_between_two_runs(
    installed: Installed, volume: str
) -> None:
    """The next look at the containers has it stopped."""
    installed.start(volume, "app", "--restart", "always", command="exit 3")
    restarting = ("inspect", "-f", "{{.Id}} {{.State.Restarting}} {{.RestartCount}}", "app")
    wait_for(
        lambda: installed.engine.docker(*restarting).stdout.split()[1:] >= ["true", "5"],
        "Docker waits seconds before the next run",
    )
    id = installed.engine.docker(*restarting).stdout.split()[0]
    docker = Docker(installed.engine.host, ByMounts(installed.pool))
    seen = Suspension(id, "/app", PAUSE, RUNNING, installed.started("app"))
    assert not docker.suspend(seen, timeout=1.0)
    installed.dvol("commit", "-m", "x", "--pause", volume)
