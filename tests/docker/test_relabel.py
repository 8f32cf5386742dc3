"""Containers with `:z` or `:Z`: Docker looks for the volume on the host, to relabel it for SELinux.

Up to Docker 25 it looks where the plugin's `Get` said when the container was created, whether the
machine has SELinux or not (moby's volume/mounts/mounts.go: Setup).
"""

from __future__ import annotations

import os

import pytest

from tests.docker.installed import Installed, wait_for
from tests.lab import images

FLAGS = pytest.mark.parametrize("flag", ["z", "Z"])
STAYS = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def relabelled(installed: Installed, flag: str, *words: str, volume: str = "shop_db") -> str:
    """Run a docker command with the volume at /data, relabelled; returns its output."""
    command, *options = words
    mounting = ("--network", "none", "--volume-driver", "dvol", "-v", f"{volume}:/data:{flag}")
    return installed.engine.docker(command, *mounting, *options).stdout


def starts(installed: Installed, flag: str, name: str, *options: str) -> None:
    """Start a container that stays, on the relabelled volume."""
    words = ("--name", name, *options, images.SHELL, "sh", "-c", STAYS)
    relabelled(installed, flag, "run", "-d", *words)


def read(installed: Installed, name: str) -> str:
    return installed.engine.docker("exec", name, "cat", "/data/file").stdout


def comes_back(installed: Installed, name: str) -> None:
    format = ("inspect", "-f", "{{.State.Running}}", name)
    told = f"{name} is back"
    wait_for(lambda: installed.engine.docker(*format).stdout == "true\n", told)


@FLAGS
def test_the_first_use_of_a_volume(installed: Installed, volume: str, flag: str) -> None:
    write = (images.SHELL, "sh", "-c", "echo hello > /data/file")
    relabelled(installed, flag, "run", "--rm", *write)
    assert (installed.pool / volume / "branches/master/file").read_text() == "hello\n"


@FLAGS
def test_the_first_use_makes_the_volume(installed: Installed, flag: str) -> None:
    write = (images.SHELL, "sh", "-c", "echo hello > /data/file")
    relabelled(installed, flag, "run", "--rm", *write, volume="by_run")
    read = (images.SHELL, "cat", "/data/file")
    assert relabelled(installed, flag, "run", "--rm", *read, volume="by_run") == "hello\n"


@pytest.mark.parametrize("asked", ["ls", "inspect"])
def test_a_volume_that_docker_was_asked_about(
    installed: Installed, volume: str, asked: str
) -> None:
    words = ("ls",) if asked == "ls" else ("inspect", volume)
    installed.engine.docker("volume", *words)
    assert relabelled(installed, "z", "run", "--rm", images.SHELL, "echo", "up") == "up\n"


@FLAGS
def test_a_container_that_is_created_first_and_started_later(
    installed: Installed, volume: str, flag: str
) -> None:
    relabelled(installed, flag, "create", "--name", "app", images.SHELL, "sh", "-c", STAYS)
    for _ in range(2):
        installed.engine.docker("start", "app")
        installed.engine.docker("stop", "app")


def test_an_images_content_is_copied_into_it(installed: Installed, volume: str) -> None:
    image = images.with_content(installed.engine)
    assert relabelled(installed, "Z", "run", "--rm", image, "cat", "/data/seed") == "seed\n"


def test_volumes_taken_from_such_a_container(installed: Installed, volume: str) -> None:
    starts(installed, "z", "app")
    installed.container(volume, "echo hello > /data/file")
    run = ("run", "--rm", "--network", "none", "--volumes-from", "app", images.SHELL)
    assert installed.engine.docker(*run, "cat", "/data/file").stdout == "hello\n"


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_it_is_back_after_the_daemon(installed: Installed, volume: str, end: str) -> None:
    """Whether it ran, was stopped or was only created; and new ones start as well."""
    installed.container(volume, "echo hello > /data/file")
    starts(installed, "z", "always", "--restart=always")
    starts(installed, "z", "stopped")
    installed.engine.docker("stop", "stopped")
    relabelled(installed, "z", "create", "--name", "new", images.SHELL, "sh", "-c", STAYS)
    if end == "kill":
        installed.engine.kill()
        installed.engine.start()
    else:
        installed.engine.restart()
    comes_back(installed, "always")
    installed.engine.docker("restart", "always")
    installed.engine.docker("start", "stopped", "new")
    starts(installed, "z", "later")
    for name in ("always", "stopped", "new", "later"):
        assert read(installed, name) == "hello\n"


@FLAGS
def test_the_first_use_after_a_start_of_the_daemon(
    installed: Installed, volume: str, flag: str
) -> None:
    """Docker then knows of the volume what `Get` has answered, and nothing from a mount."""
    installed.container(volume, "echo hello > /data/file")
    installed.engine.restart()
    read = (images.SHELL, "cat", "/data/file")
    assert relabelled(installed, flag, "run", "--rm", *read) == "hello\n"


def test_verbs_end_it_and_bring_it_back(installed: Installed, volume: str) -> None:
    """Also where the branch that it was created on is gone."""
    starts(installed, "z", "app")
    installed.engine.docker("exec", "app", "sh", "-c", "echo one > /data/file")
    installed.dvol("commit", "-m", "one", volume)
    installed.engine.docker("exec", "app", "sh", "-c", "echo two > /data/file")
    installed.dvol("reset", "--hard", "HEAD", volume)
    assert read(installed, "app") == "one\n"
    installed.dvol("checkout", "-b", "side", volume)
    installed.dvol("branch", "-d", "master", volume)
    installed.engine.docker("exec", "app", "sh", "-c", "echo two > /data/file")
    installed.engine.docker("restart", "app")
    assert read(installed, "app") == "two\n"


def test_the_list_of_volumes_shows_where_it_is_on_the_host(
    installed: Installed, volume: str
) -> None:
    """Docker translates the paths of `List`, and not that of `Get`."""
    starts(installed, "z", "app")
    format = ("volume", "ls", "--format", "{{.Mountpoint}}")
    shown = installed.engine.docker(*format).stdout.strip()
    assert os.path.samefile(shown, installed.pool / volume / "branches/master")
