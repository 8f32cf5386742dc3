"""A verb returns when what it started is ready, by the container's own word, in a real Engine."""

from __future__ import annotations

import pytest

from tests.docker.installed import Installed
from tests.lab import images

ALIVE = "while :; do sleep 0.1; done"
# Begins to listen after a second. PID 1 is a shell, which reaps what is killed.
LATE = f"trap 'exit 0' TERM; (sleep 1; nc -ll -p PORT -e true) & {ALIVE}"
HANGING = ("sh", "-c", "ps | grep -c '[s]leep 7[0-9][0-9][0-9]'")


def warnings(told: str) -> list[str]:
    return [line for line in told.splitlines() if "warning" in line]


def test_without_a_check_it_is_said_that_it_may_not_answer(
    installed: Installed, volume: str
) -> None:
    installed.start(volume, "app")
    said = "started /app (no ready check: it may not answer yet)"
    assert said in installed.dvol("commit", "-m", "x", volume).stderr
    assert said in installed.dvol("reset", "--hard", "HEAD", volume).stderr
    assert said not in installed.dvol("reset", "--hard", "--no-wait", "HEAD", volume).stderr
    paused = installed.dvol("commit", "-m", "x", "--pause", volume).stderr
    assert "ready" not in paused


@pytest.mark.parametrize("way", ["label", "setting"])
def test_a_command_decides(installed: Installed, volume: str, way: str) -> None:
    """It is made true a second after each start."""
    check = 'test "$(cat /tmp/well)" = "$(cut -d" " -f22 /proc/1/stat)"'
    serve = f"trap 'exit 0' TERM; sleep 1; cut -d' ' -f22 /proc/1/stat > /tmp/well; {ALIVE}"
    labels = ("--label", f"dvol.ready.exec={check}") if way == "label" else ()
    installed.start(volume, "app", *labels, command=serve)
    if way == "setting":
        installed.dvol("config", volume, "ready.exec", check)
    for words in (("commit", "-m", "x"), ("reset", "--hard", "HEAD"), ("checkout", "-b", "side")):
        done = installed.dvol(*words, *([] if words[0] == "checkout" else [volume]))
        assert not warnings(done.stderr)
        installed.engine.docker("exec", "app", "sh", "-c", check)


def test_a_port_decides(installed: Installed, volume: str) -> None:
    """Also in the network of another container, which is left alone."""
    installed.start(volume, "alone", command=LATE.replace("PORT", "80"))
    installed.dvol("config", volume, "ready.port", "80")
    done = installed.dvol("commit", "-m", "x", volume)
    assert not warnings(done.stderr)
    installed.engine.docker("exec", "alone", "nc", "127.0.0.1", "80", "-e", "true")
    late = installed.dvol("reset", "--hard", "--wait", "0", "HEAD", volume)
    assert "its ready check has not passed for 0 s" in late.stderr
    installed.engine.docker("rm", "-f", "alone")
    shared = ("--network", "container:net")
    installed.engine.docker("run", "-d", "--name", "net", "--network", "none", "busybox", *TOP)
    words = ("-d", "--name", "app", *shared, "--volume-driver", "dvol", "-v", f"{volume}:/data")
    serve = LATE.replace("PORT", "80")
    installed.engine.docker("run", *words, images.SHELL, "sh", "-c", serve)
    assert not warnings(installed.dvol("reset", "--hard", "HEAD", volume).stderr)
    installed.engine.docker("exec", "net", "nc", "127.0.0.1", "80", "-e", "true")


TOP = ("sh", "-c", f"trap 'exit 0' TERM; {ALIVE}")


def test_what_cannot_be_looked_up_is_said(installed: Installed, volume: str) -> None:
    """An image without `cat`, and one without the program of its check."""
    installed.engine.docker(
        *("build", "-q", "--network=none", "-t", "no-cat", "-"),
        input=f"FROM {images.SHELL}\nRUN rm /bin/cat\n",
    )
    options = ("-d", "--name", "app", *installed.mounting(volume))
    installed.engine.docker("run", *options, "--label", "dvol.ready.port=80", "no-cat", *TOP)
    [warning] = warnings(installed.dvol("commit", "-m", "x", volume).stderr)
    assert "not known whether it listens on port 80: its image has no 'cat'" in warning
    installed.engine.docker("rm", "-f", "app")
    for command in ('["pg_isready"]', "pg_isready"):
        installed.start(volume, "app", "--label", f"dvol.ready.exec={command}")
        [warning] = warnings(installed.dvol("commit", "-m", "x", volume).stderr)
        assert "it may not answer yet: its ready check cannot be run (exit code 12" in warning
        installed.engine.docker("rm", "-f", "app")


def test_one_that_was_unhealthy_is_not_waited_for(installed: Installed, volume: str) -> None:
    ill = ("--health-cmd", "false", "--health-interval", "1s", "--health-retries", "1")
    installed.start(volume, "app", *ill)
    status = ("inspect", "-f", "{{.State.Health.Status}}", "app")
    while installed.engine.docker(*status).stdout.strip() != "unhealthy":
        pass
    done = installed.dvol("commit", "-m", "x", volume)
    assert "started /app (it was unhealthy before: not waited for)" in done.stderr
    assert not warnings(done.stderr)


def test_one_that_was_paused_is_waited_for(installed: Installed, volume: str) -> None:
    """Docker calls it unhealthy after a pause, until its next check."""
    serve = (
        "rm -f /tmp/well; trap 'exit 0' TERM; sleep 1; touch /tmp/well; while :; do sleep 0.1; done"
    )
    installed.start(volume, "app", "--health-cmd", "test -e /tmp/well", command=serve)
    installed.engine.docker("pause", "app")
    installed.engine.docker("unpause", "app")
    done = installed.dvol("commit", "-m", "x", "--stop-timeout", "2", volume)
    assert "not waited for" not in done.stderr
    installed.engine.docker("exec", "app", "test", "-e", "/tmp/well")


@pytest.mark.parametrize("user", ["0", "1001"])
def test_a_check_that_hangs_leaves_no_process_behind(
    installed: Installed, volume: str, user: str
) -> None:
    """Neither its own nor that of a child that has changed its user; then it is tried again."""
    child = "su other -c 'sleep 7001'" if user == "0" else "sleep 7001"
    hang = f"if test -e /tmp/once; then exit 0; fi; touch /tmp/once; {child} & sleep 7002; true"
    health = ("--health-cmd", hang, "--health-interval", "1h", "--health-timeout", "1s")
    other = "echo other:x:1001:1001::/:/bin/sh >> /etc/passwd" if user == "0" else ":"
    serve = f"trap 'exit 0' TERM; {other}; rm -f /tmp/once; {ALIVE}"
    installed.start(volume, "app", "--init", "--user", user, *health, command=serve)
    done = installed.dvol("commit", "-m", "x", volume)
    assert not warnings(done.stderr)
    assert hanging(installed) == "0"
    always = ("--label", "dvol.ready.exec=sleep 7003")
    installed.engine.docker("rm", "-f", "app")
    installed.start(volume, "app", "--init", "--user", user, *always)
    done = installed.dvol("commit", "-m", "x", "--wait", "2", volume)
    assert "its ready check has not passed for 2 s" in done.stderr
    assert hanging(installed) == "0"


def hanging(installed: Installed) -> str:
    return installed.engine.docker("exec", "app", *HANGING, check=False).stdout.strip()


def test_a_check_that_cannot_be_killed_is_not_run_again(installed: Installed, volume: str) -> None:
    """Its image has no shell."""
    installed.engine.docker(
        *("build", "-q", "--network=none", "-t", "no-shell", "-"),
        input=f'FROM {images.SHELL}\nRUN ["busybox", "rm", "/bin/sh"]\n',
    )
    options = ("-d", "--name", "app", *installed.mounting(volume))
    check = ("--label", 'dvol.ready.exec=["sleep", "7004"]')
    shell = ("busybox", "sh", "-c", f"trap 'exit 0' TERM; {ALIVE}")
    installed.engine.docker("run", *options, *check, "no-shell", *shell)
    [warning] = warnings(installed.dvol("commit", "-m", "x", "--wait", "5", volume).stderr)
    assert "its ready check hangs, and its process could not be killed" in warning
    count = ("exec", "app", "busybox", "sh", "-c", HANGING[2])
    assert installed.engine.docker(*count).stdout.strip() == "1"
