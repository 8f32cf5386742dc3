"""What a person does to a container while dvol works on it: their word counts."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.docker.installed import Installed, wait_for

pytestmark = pytest.mark.engines

SLOW = "trap 'sleep 3; exit 0' TERM; while :; do sleep 0.1; done"


def committing(installed: Installed, volume: str, *options: str) -> subprocess.Popen[str]:
    """A commit that is just stopping the containers."""
    verb = subprocess.Popen(
        ["dvol", "commit", "-m", "x", *options, volume],
        env=installed.env,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: (installed.pool / volume / ".dvol/suspended.json").exists(), "it is at work")
    return verb


@pytest.mark.parametrize("word", ["stop", "rm"])
def test_who_is_stopped_by_somebody_else_stays_stopped(
    installed: Installed, volume: str, word: str
) -> None:
    installed.start(volume, "app", command=SLOW)
    installed.start(volume, "other", command=SLOW)
    verb = committing(installed, volume)
    installed.engine.docker("stop", "app")
    if word == "rm":
        installed.engine.docker("rm", "app")
    said = verb.communicate()[1]
    assert verb.returncode == 0, said
    assert installed.state("other")["Running"]
    assert "started /other" in said
    assert "started /app" not in said
    if word == "stop":
        assert "/app stays stopped: another command has stopped it" in said
        assert not installed.state("app")["Running"]
    else:
        assert installed.engine.docker("inspect", "app", check=False).returncode
    assert not (installed.pool / volume / ".dvol/suspended.json").exists()


def test_who_is_paused_by_somebody_else_is_paused_again(installed: Installed, volume: str) -> None:
    """The database is paused while its application is being stopped."""
    project = ("--label", "com.docker.compose.project=shop", "--label")
    needs = "com.docker.compose.depends_on=db:service_started:false"
    installed.start(volume, "db", *project, "com.docker.compose.service=db")
    web = (*project, "com.docker.compose.service=web", "--label", needs)
    installed.start(volume, "web", *web, command=SLOW)
    verb = committing(installed, volume)
    installed.engine.docker("pause", "db")
    said = verb.communicate()[1]
    assert verb.returncode == 0, said
    assert installed.state("db")["Paused"]
    assert not installed.state("web")["Paused"]
    installed.engine.docker("unpause", "db")


def test_who_ends_by_itself_is_started_again(installed: Installed, volume: str) -> None:
    """Nobody has said that it is to stay so."""
    project = ("--label", "com.docker.compose.project=shop", "--label")
    needs = "com.docker.compose.depends_on=db:service_started:false"
    installed.start(volume, "web", *project, needs, command=SLOW)
    db = (*project, "com.docker.compose.service=db")
    installed.start(volume, "db", *db, command="sleep 2; exit 3")
    said = committing(installed, volume).communicate()[1]
    assert "started /db" in said


def test_who_is_paused_while_it_stops_is_paused_again(installed: Installed, volume: str) -> None:
    """It can't end then, and is killed."""
    installed.start(volume, "app", command=SLOW)
    verb = committing(installed, volume, "--stop-timeout", "4")
    installed.engine.docker("pause", "app")
    said = verb.communicate()[1]
    assert verb.returncode == 0, said
    assert installed.state("app")["Paused"]
    installed.engine.docker("unpause", "app")


def test_a_commit_says_that_somebody_else_has_killed_the_writer(
    installed: Installed, volume: str
) -> None:
    installed.start(volume, "app", command=SLOW)
    verb = committing(installed, volume)
    installed.engine.docker("kill", "app")
    said = verb.communicate()[1]
    assert verb.returncode == 0, said
    assert "taken after a kill" in installed.dvol("log", volume).stdout
    assert installed.state("app")["Running"]


def test_a_copy_during_which_the_writer_ran_is_no_commit(installed: Installed, volume: str) -> None:
    """Also if it is paused again when the copy ends."""
    installed.start(volume, "app")
    fill = "for n in $(seq 6000); do echo $n > /data/$n; done"
    installed.engine.docker("exec", "app", "sh", "-c", fill)
    words = ("dvol", "--pool", str(installed.pool), "commit", "-m", "x", "--full", "--pause")
    for _ in range(5):
        verb = subprocess.Popen(
            [*words, volume],
            env=installed.env | {"DVOL_HOST": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        while verb.poll() is None and not installed.state("app")["Paused"]:
            pass
        verb.send_signal(signal.SIGSTOP)
        woken = installed.state("app")["Paused"] and verb.poll() is None
        if woken:
            installed.engine.docker("unpause", "app")
            installed.engine.docker("pause", "app")
        verb.send_signal(signal.SIGCONT)
        said = verb.communicate()[1]
        if woken:
            break
    assert woken, "the copy was too quick"
    assert verb.returncode == 5, said
    assert "/app ran again while its volume was copied" in said
    assert not installed.state("app")["Paused"]
