"""Compose's everyday words, with a volume of dvol's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.installed import Installed, run

pytestmark = pytest.mark.engines

SERVICE = """\
services:
  app:
    image: busybox
    network_mode: none
    command: sh -c "{command}"
    volumes: ["data:/data"]
volumes:
  data: {volume}
"""
STAYING = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


@dataclass
class Project:
    """A directory with a Compose file; its name is the project's."""

    installed: Installed
    place: Path

    def write(self, volume: str, command: str = STAYING) -> None:
        (self.place / "compose.yaml").write_text(SERVICE.format(volume=volume, command=command))

    def compose(self, *words: str) -> str:
        command = ["docker-compose", "-f", str(self.place / "compose.yaml"), *words]
        return run(command, self.installed.env).stdout

    def sh(self, command: str) -> str:
        return self.compose("exec", "-T", "app", "sh", "-c", command)


@pytest.fixture
def project(installed: Installed, tmp_path: Path):
    place = tmp_path / "shop"
    place.mkdir()
    project = Project(installed, place)
    yield project
    project.compose("down")


@pytest.mark.parametrize("driver", ["dvol", "dvol:latest"])
def test_the_driver_may_be_named_with_and_without_its_tag(project: Project, driver: str) -> None:
    project.write(f"{{driver: '{driver}'}}")
    project.compose("up", "-d")
    assert "shop_data" in project.installed.dvol("list").stdout
    id = project.compose("ps", "-q", "app").strip()
    name = project.installed.engine.docker("inspect", "-f", "{{.Name}}", id).stdout.strip()
    assert project.installed.dvol("list").stdout.rstrip().endswith(f" {name}")


def test_data_outlives_down_and_not_down_with_volumes(project: Project) -> None:
    project.write("{driver: 'dvol:latest'}")
    project.compose("up", "-d")
    project.sh("echo precious > /data/file")
    project.compose("down")
    project.compose("up", "-d")
    assert project.sh("cat /data/file") == "precious\n"
    project.compose("down", "-v")
    assert "shop_data" not in project.installed.listed()
    assert "shop_data" in project.installed.dvol("restore").stdout
    project.compose("up", "-d")
    assert project.sh("ls /data") == ""


def test_a_changed_service_keeps_its_data(project: Project) -> None:
    project.write("{driver: 'dvol:latest'}")
    project.compose("up", "-d")
    project.sh("echo precious > /data/file")
    project.installed.dvol("commit", "-m", "x", "shop_data")
    project.write("{driver: 'dvol:latest'}", STAYING.replace("0.1", "0.2"))
    project.compose("up", "-d")
    assert project.sh("cat /data/file") == "precious\n"
    project.sh("rm /data/file")
    project.installed.dvol("reset", "--hard", "HEAD", "shop_data")
    assert project.sh("cat /data/file") == "precious\n"


def test_an_external_volume_is_neither_made_nor_removed(project: Project) -> None:
    project.write("{external: true, name: outside}")
    project.installed.dvol("init", "outside")
    project.compose("up", "-d")
    project.sh("echo precious > /data/file")
    project.compose("down", "-v")
    assert "outside" in project.installed.listed()
    assert project.installed.container("outside", "cat /data/file") == "precious\n"


def test_a_project_is_committed_and_reset_by_its_name(project: Project) -> None:
    project.write("{driver: 'dvol:latest'}")
    project.compose("up", "-d")
    project.sh("echo old > /data/file")
    project.installed.dvol("commit", "-m", "x", "--project", "shop")
    project.sh("echo new > /data/file")
    project.installed.dvol("reset", "--hard", "HEAD", "--project", "shop")
    assert project.sh("cat /data/file") == "old\n"
    project.sh("echo new > /data/file")
    project.compose("down")
    project.installed.dvol("reset", "--hard", "HEAD", "--project", "shop")
    project.compose("up", "-d")
    assert project.sh("cat /data/file") == "old\n"


def test_a_restored_volume_is_still_its_projects(project: Project) -> None:
    """Docker has forgotten Compose's labels with the volume."""
    dvol = project.installed.dvol
    project.write("{driver: 'dvol:latest'}")
    project.compose("up", "-d")
    project.sh("echo old > /data/file")
    dvol("commit", "-m", "x", "shop_data")
    project.compose("down", "-v")
    dvol("restore", "shop_data")
    project.compose("up", "-d")
    project.compose("down")
    assert "shop_data" in dvol("commit", "-m", "y", "--project", "shop").stdout
    dvol("init", "shopping_data")
    assert "shopping" not in dvol("commit", "-m", "z", "--project", "shop").stdout


def test_an_option_for_a_removed_volume_is_refused_with_the_way_back(project: Project) -> None:
    """As of `up -y` of newer Compose, which removes the volume and creates it with the options."""
    installed = project.installed
    project.write("{driver: dvol}")
    installed.dvol("init", "shop_data")
    words = ("volume", "create", "-d", "dvol", "-o", "size=1", "shop_data")
    installed.dvol("rm", "-f", "shop_data")
    refused = installed.engine.docker(*words, check=False)
    assert refused.returncode
    assert "'dvol restore shop_data'" in refused.stderr
