"""Stopping a container that has just been started: its entrypoint drops the signal."""

from __future__ import annotations

import pytest

from tests.docker.installed import Installed

pytestmark = pytest.mark.engines

NOTED = "trap 'echo end >> /data/log; sleep {seconds}; exit 0' TERM; while :; do sleep 0.1; done"


def test_a_signal_that_an_entrypoint_dropped_is_sent_again(
    installed: Installed, volume: str
) -> None:
    """Once, when process 1 catches it."""
    command = f"sleep 3; {NOTED.format(seconds=2)}"
    installed.start(volume, "app", command=command)
    done = installed.dvol("commit", "-m", "x", volume)
    assert "was killed" not in done.stderr
    assert "taken after a kill" not in installed.dvol("log", volume).stdout
    log = installed.pool / volume / "commits" / done.stdout.strip() / "log"
    assert log.read_text() == "end\n"


def test_a_signal_that_is_caught_is_not_repeated(installed: Installed, volume: str) -> None:
    """Several servers exit hard at the second one."""
    installed.start(volume, "app", command=NOTED.format(seconds=3))
    done = installed.dvol("commit", "-m", "x", volume)
    log = installed.pool / volume / "commits" / done.stdout.strip() / "log"
    assert log.read_text() == "end\n"


def test_one_that_was_just_started_is_stopped_when_it_is_ready(
    installed: Installed, volume: str
) -> None:
    """Its entrypoint catches the signal, and does nothing about it."""
    command = f"trap : TERM; sleep 3; touch /tmp/ready; {NOTED.format(seconds=0)}"
    label = ("--label", "dvol.ready.exec=test -e /tmp/ready")
    installed.start(volume, "app", *label, command=command)
    done = installed.dvol("commit", "-m", "x", "--stop-timeout", "30", volume)
    assert "was killed" not in done.stderr
    log = installed.pool / volume / "commits" / done.stdout.strip() / "log"
    assert log.read_text() == "end\n"


def test_a_stop_signal_that_kills_is_not_taken_for_another_commands(
    installed: Installed, volume: str
) -> None:
    """Docker sends it twice."""
    installed.start(volume, "app", "--stop-signal", "SIGKILL", "--stop-timeout", "0")
    installed.dvol("commit", "-m", "x", volume)
    assert installed.state("app")["Running"]
