"""Commands that a container asks for, before it is committed and after, in a real Engine."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.docker.installed import Installed, await_docker, server_pid, wait_for
from tests.lab import images

LOOP = "while :; do sleep 0.1; done"
ALIVE = f"trap 'exit 0' TERM; {LOOP}"
SLOW = f"trap 'sleep 2; exit 0' TERM; {LOOP}"
PRE, POST = "rm -f /data/after; touch /data/before", "rm -f /data/before; touch /data/after"
MODES = ["--stop", "--pause"]
HANGING = ("exec", "app", "sh", "-c", "ps | grep -c '[s]leep 7[0-9][0-9][0-9]'")


def labels(pre: str = "", post: str = "", **more: str) -> list[str]:
    given = {"pre-commit": pre, "post-commit": post} | more
    return [f"--label=dvol.exec.{name}={text}" for name, text in given.items() if text]


def committed(installed: Installed, volume: str, *words: str) -> list[str]:
    """The names of the files in a new commit."""
    id = installed.dvol("commit", "-m", "x", *words, volume).stdout.strip()
    return sorted(os.listdir(installed.pool / volume / "commits" / id))


def live(installed: Installed, volume: str) -> Path:
    return installed.pool / volume / "branches/master"


@pytest.mark.engines
@pytest.mark.parametrize("mode", MODES)
def test_the_commit_lies_between_the_two(installed: Installed, volume: str, mode: str) -> None:
    """Twice: what the second run finds is what the first left."""
    installed.start(volume, "app", *labels(PRE, POST), command=ALIVE)
    for _ in range(2):
        assert committed(installed, volume, mode) == ["before"]
        assert os.listdir(live(installed, volume)) == ["after"]


def test_a_container_that_reads_is_asked_and_left_alone(installed: Installed, volume: str) -> None:
    """A list of words, in an image without a shell; the writer reads a file of both."""
    installed.start(volume, "app", command=ALIVE)
    words = labels('["busybox", "touch", "/tmp/before"]', '["busybox", "touch", "/tmp/after"]')
    mounting = ("--network", "none", "--volume-driver", "dvol", "-v", f"{volume}:/data:ro")
    command = (images.SHELL, "sh", "-c", ALIVE)
    installed.engine.docker("run", "-d", "--name", "reader", *mounting, *words, *command)
    started = installed.started("reader")
    committed(installed, volume)
    assert installed.started("reader") == started
    installed.engine.docker("exec", "reader", "ls", "/tmp/before", "/tmp/after")


@pytest.mark.engines
@pytest.mark.parametrize("mode", MODES)
def test_one_that_fails_stops_the_commit_before_anybody_is_ended(
    installed: Installed, volume: str, mode: str
) -> None:
    installed.start(volume, "app", *labels(f"{PRE}; exit 3", POST), command=ALIVE)
    started = installed.started("app")
    refused = installed.dvol("commit", "-m", "x", mode, volume, check=False)
    assert refused.returncode == 7
    assert "dvol.exec.pre-commit of the container /app failed (exit code 3)" in refused.stderr
    assert installed.dvol("log", volume).stdout == ""
    assert installed.started("app") == started
    assert os.listdir(live(installed, volume)) == ["after"]


@pytest.mark.engines
@pytest.mark.parametrize("user", ["0", "1001"])
def test_one_that_hangs_is_ended_with_its_children(
    installed: Installed, volume: str, user: str
) -> None:
    hang = "sleep 7005 & sleep 7006; true"
    hooks = labels(hang, "touch /tmp/after", timeout="1")
    installed.start(volume, "app", "--init", "--user", user, *hooks, command=ALIVE)
    refused = installed.dvol("commit", "-m", "x", volume, check=False)
    assert refused.returncode == 7
    assert "did not end in 1 s, and was killed" in refused.stderr
    assert installed.engine.docker(*HANGING, check=False).stdout.strip() == "0"
    installed.engine.docker("exec", "app", "ls", "/tmp/after")


@pytest.mark.parametrize("mode", MODES)
def test_one_that_fails_afterwards_is_told_and_the_commit_is_there(
    installed: Installed, volume: str, mode: str
) -> None:
    installed.start(volume, "app", *labels(post="no-such-program"), command=ALIVE)
    done = installed.dvol("commit", "-m", "x", mode, volume, check=False)
    assert done.returncode == 7
    assert done.stderr.splitlines()[-1].count("the commit is done, but dvol.exec.post-commit") == 1
    assert installed.dvol("log", volume).stdout.count("commit ") == 1
    assert installed.state("app")["Running"]


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("moment", ["in the hook", "after it"])
def test_what_is_owed_is_run_after_a_death(
    installed: Installed, volume: str, mode: str, moment: str
) -> None:
    for number in range(5000):  # a commit that ends before it is noticed has nothing left to owe
        (live(installed, volume) / f"file{number}").write_text("x" * 3000)
    pre = f"{PRE}; sleep 2" if moment == "in the hook" else PRE
    installed.start(volume, "app", *labels(pre, POST), command=SLOW)
    await_docker(installed)
    server = server_pid(installed)
    words = ["dvol", "commit", "-m", "x", mode, volume]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, env=installed.env, **quiet) as begun:
        wait_for((live(installed, volume) / "before").exists, "its first hook has begun")
        os.kill(server, signal.SIGKILL)
    assert begun.returncode != 0
    record = installed.pool / volume / ".dvol/suspended.json"
    wait_for(lambda: not record.exists(), "nothing is owed")
    wait_for((live(installed, volume) / "after").exists, "its second hook was run")
    assert installed.state("app")["Running"]
    assert not installed.state("app")["Paused"]
