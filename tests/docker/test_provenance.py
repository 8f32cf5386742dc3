"""What a commit records of the container that wrote, and the warning before data comes under an
image of another version: with images and databases of a real Engine."""

from __future__ import annotations

import json
import re

import pytest

from tests.docker.databases.engines import MARIADB, POSTGRES, REDIS, Kind, running
from tests.docker.installed import Installed
from tests.lab import images

STAYS = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def serve(installed: Installed, volume: str, major: str, name: str = "pg") -> str:
    """Start a container whose image says that it is PostgreSQL's of that major version."""
    tag = images.with_environment(installed.engine, f"postgres:{major}", f"PG_MAJOR={major}")
    mounted = ("--network", "none", "--volume-driver", "dvol", "-v", f"{volume}:/var/lib/pg")
    installed.engine.docker("run", "-d", "--name", name, *mounted, tag, "sh", "-c", STAYS)
    return tag


def headers(installed: Installed, volume: str, name: str) -> list[str]:
    """The lines of that name in the log."""
    return re.findall(rf"(?m)^{name}: +(.*)$", installed.dvol("log", volume).stdout)


def test_the_log_tells_the_image_and_the_version_of_the_data(
    installed: Installed, volume: str
) -> None:
    installed.container(volume, "echo 17 > /data/PG_VERSION")
    tag = serve(installed, volume, "17")
    installed.dvol("commit", "-m", "x", volume)
    id = installed.engine.docker("image", "inspect", "-f", "{{.Id}}", tag).stdout.strip()
    [image] = headers(installed, volume, "Image")
    short = id.removeprefix("sha256:")[:12]
    assert re.fullmatch(rf"postgres:17 \((id|digest) {short}\) in /pg at /var/lib/pg", image)
    assert headers(installed, volume, "Data") == ["PostgreSQL 17"]
    [document] = json.loads((installed.pool / volume / "branches/master.json").read_text())
    [writer] = document["writers"]
    assert writer["digest"].endswith(id)


def test_a_container_that_only_reads_is_not_told(installed: Installed, volume: str) -> None:
    options = ("-d", "--network", "none", "--volume-driver", "dvol", "-v", f"{volume}:/data:ro")
    installed.engine.docker("run", *options, images.SHELL, "sh", "-c", STAYS)
    installed.dvol("commit", "-m", "x", volume)
    assert headers(installed, volume, "Image") == []


def test_older_data_under_a_newer_image_is_warned_of_before_anybody_is_ended(
    installed: Installed, volume: str
) -> None:
    installed.container(volume, "echo 15 > /data/PG_VERSION")
    installed.dvol("commit", "-m", "fifteen", volume)
    installed.dvol("checkout", "-b", "old", volume)
    installed.dvol("checkout", "master", volume)
    installed.container(volume, "echo 17 > /data/PG_VERSION")
    installed.dvol("commit", "-m", "seventeen", volume)
    serve(installed, volume, "17")
    warning = "holds data of PostgreSQL 15, and /pg runs PostgreSQL 17, image postgres:17: "
    for verb, ended in (
        (("reset", "--hard", "HEAD~1"), "killed /pg"),
        (("checkout", "old"), "stopped /pg"),
        (("checkout", "-b", "older", "HEAD"), "stopped /pg"),
    ):
        lines = installed.dvol(*verb, volume).stderr.splitlines()
        assert warning in lines[0], verb
        assert ended in lines[1], verb
        assert len([line for line in lines if "warning" in line]) == 1, verb
    installed.engine.docker("rm", "-f", "pg")
    serve(installed, volume, "15")
    assert "warning" not in installed.dvol("reset", "--hard", "HEAD", volume).stderr
    installed.dvol("checkout", "master", volume)
    undone = installed.dvol("undo", volume).stderr.splitlines()
    assert f"the state of {volume} to be restored holds data of PostgreSQL 17" in undone[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (POSTGRES, r"PostgreSQL \d+"),
        (MARIADB, r"MariaDB \d+\.\d+\.\d+"),
        (REDIS, r"Redis \d+\.\S+"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_data_of_a_real_database_tells_its_version(
    installed: Installed, kind: Kind, data: str
) -> None:
    with running(installed, kind) as database:
        database.dvol("commit", "-m", "x")
        [found] = headers(installed, database.name, "Data")
        assert re.fullmatch(data, found)
