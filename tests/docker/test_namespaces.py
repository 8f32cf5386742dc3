"""Containers that share the network, processes or memory of one that a verb ends: they would go on
without a network for good, or die, though they have no volume."""

from __future__ import annotations

import subprocess
import time

import pytest

from tests.docker.installed import Installed, wait_for
from tests.lab import images

pytestmark = pytest.mark.engines

STAYS = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
KINDS = ["network", "pid", "ipc"]


def beside(installed: Installed, name: str, kind: str, owner: str, *options: str) -> str:
    """Start a container without a volume that shares one namespace with `owner`."""
    network = () if kind == "network" else ("--network", "none")
    options = ("-d", "--name", name, *network, f"--{kind}", f"container:{owner}", *options)
    installed.engine.docker("run", *options, images.SHELL, "sh", "-c", STAYS)
    return name


def namespace(installed: Installed, name: str, kind: str) -> str:
    link = f"/proc/self/ns/{ {'network': 'net'}.get(kind, kind) }"
    return installed.engine.docker("exec", name, "readlink", link).stdout


def steps(said: str) -> list[str]:
    """What was done to whom, in the order of the report."""
    lines = [line.removeprefix("dvol: ") for line in said.splitlines()]
    return [" ".join(line.split()[:2]).rstrip(",") for line in lines if "/" in line]


@pytest.mark.parametrize("kind", KINDS)
def test_who_shares_a_namespace_is_ended_first_and_started_last(
    installed: Installed, volume: str, kind: str
) -> None:
    installed.start(volume, "db", "--ipc", "shareable")
    beside(installed, "side", kind, "db")
    for words, end in ((["commit", "-m", "x"], "stopped"), (["reset", "--hard"], "killed")):
        done = installed.dvol(*words)
        assert steps(done.stderr)[:4] == [
            *("stopped /side", f"{end} /db", "started /db", "started /side")
        ], done.stderr
        assert "/side, which shares with /db" in done.stderr
        assert namespace(installed, "side", kind) == namespace(installed, "db", kind)


def test_a_chain_of_them_is_ended_from_its_end(installed: Installed, volume: str) -> None:
    installed.start(volume, "db")
    beside(installed, "one", "network", "db")
    beside(installed, "two", "pid", "one")
    done = installed.dvol("checkout", "-b", "side", check=False)
    assert done.returncode == 4  # nothing is committed yet
    done = installed.dvol("commit", "-m", "x")
    ends = ["stopped /two", "stopped /one", "stopped /db"]
    starts = ["started /db", "started /one", "started /two"]
    assert steps(done.stderr) == ends + starts
    assert namespace(installed, "one", "network") == namespace(installed, "db", "network")
    assert namespace(installed, "two", "pid") == namespace(installed, "one", "pid")


def test_a_pause_leaves_them_alone(installed: Installed, volume: str) -> None:
    installed.start(volume, "db")
    beside(installed, "side", "network", "db")
    done = installed.dvol("commit", "-m", "x", "--pause")
    assert steps(done.stderr) == ["paused /db", "unpaused /db"]


def test_one_that_would_be_removed_with_its_owner_is_never_lost(
    installed: Installed, volume: str
) -> None:
    """A commit pauses the owner; other verbs are refused without -f."""
    installed.start(volume, "db")
    beside(installed, "once", "network", "db", "--rm")
    done = installed.dvol("commit", "-m", "x")
    assert steps(done.stderr)[:1] == ["paused /db"]
    assert "warning: /db was only paused" in done.stderr
    refused = installed.dvol("reset", "--hard", check=False)
    assert refused.returncode == 4
    [line] = refused.stderr.splitlines()
    assert "/once was started with --rm" in line
    installed.engine.docker("exec", "once", "true")
    installed.dvol("reset", "--hard", "-f")
    gone = installed.engine.docker("inspect", "once", check=False)
    assert gone.returncode


def test_one_that_comes_while_its_owner_is_stopped_does_not_stop_a_commit(
    installed: Installed, volume: str
) -> None:
    """It loses the network whatever dvol does then; it stays, and a warning says what helps."""
    slow = "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done"
    installed.start(volume, "db", command=slow)
    verb = subprocess.Popen(
        ["dvol", "commit", "-m", "x", volume], env=installed.env, stderr=subprocess.PIPE, text=True
    )
    time.sleep(0.7)  # the database is being stopped
    beside(installed, "once", "network", "db", "--rm")
    said = verb.communicate()[1]
    assert verb.returncode == 0, said
    assert "warning: /once, which was started while /db was being stopped for the commit" in said
    assert {"stopped /db", "started /db"} <= {*steps(said)}
    assert namespace(installed, "once", "network") != namespace(installed, "db", "network")
    installed.engine.docker("restart", "once")
    assert namespace(installed, "once", "network") == namespace(installed, "db", "network")


def test_a_restart_loop_has_left_one_that_would_be_removed_before_a_commit(
    installed: Installed, volume: str
) -> None:
    installed.start(volume, "db", "--restart", "always", command="sleep 0.5; exit 3")
    beside(installed, "once", "network", "db", "--rm")
    restarting = ("inspect", "-f", "{{.State.Restarting}} {{.RestartCount}}", "db")
    wait_for(
        lambda: installed.engine.docker(*restarting).stdout.split() >= ["true", "4"],
        "Docker waits seconds before the next run",
    )
    done = installed.dvol("commit", "-m", "x", volume)
    assert steps(done.stderr)[:2] == ["stopped /db", "started /db"], done.stderr
    installed.engine.docker("exec", "once", "true")


def test_they_run_again_after_the_death_of_a_verb(installed: Installed, volume: str) -> None:
    """The record names them, though they have no volume."""
    installed.start(
        volume, "db", command="trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done"
    )
    beside(installed, "side", "network", "db")
    running = ("inspect", "-f", "{{.State.Running}}")
    verb = subprocess.Popen(
        ["dvol", "--pool", str(installed.pool), "commit", "-m", "x", volume],
        env=installed.env | {"DVOL_HOST": ""},
    )
    wait_for(
        lambda: installed.engine.docker(*running, "side").stdout == "false\n", "side is stopped"
    )
    verb.kill()
    verb.wait()
    for name in ("db", "side"):
        wait_for(
            lambda name=name: installed.engine.docker(*running, name).stdout == "true\n",
            f"{name} runs again",
        )
    wait_for(
        lambda: namespace(installed, "side", "network") == namespace(installed, "db", "network"),
        "they share again",
    )
