"""The example project, run as its own README says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docker.databases.engines import POSTGRES, free_port, image
from tests.docker.installed import SOURCE, Installed, run, wait_for

EXAMPLE = SOURCE / "examples" / "pytest-postgres"


class Project:
    """A copy of the example, in an Engine of the tests."""

    def __init__(self, installed: Installed, place: Path) -> None:
        self.installed = installed
        self.place = place / "pytest-postgres"
        shutil.copytree(EXAMPLE, self.place)
        compose = self.place / "compose.yaml"
        # Compose 1, which Debian 12 has, compares the driver's full name at the second `up`
        compose.write_text(compose.read_text().replace("driver: dvol", "driver: dvol:latest"))
        own = {"POSTGRES_IMAGE": image(installed, POSTGRES), "PGPORT": str(free_port())}
        self.env = installed.env | own

    def compose(self, *words: str) -> str:
        return self._run(["docker-compose", "-f", "compose.yaml", *words])

    def seed(self) -> None:
        self.compose("up", "-d")
        wait_for(self._seeded, "the database is seeded")
        self._run(["dvol", "commit", "-m", "seed", "pytest-postgres_db"])

    def pytest(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
        return subprocess.run(
            command, cwd=self.place, env=self.env, capture_output=True, text=True, timeout=300
        )

    def _seeded(self) -> bool:
        command = [sys.executable, "seed.py"]
        done = subprocess.run(command, cwd=self.place, env=self.env, capture_output=True)
        return done.returncode == 0

    def _run(self, command: list[str]) -> str:
        words = " ".join(f"'{word}'" for word in command)
        return run(["sh", "-c", f"cd {self.place}; {words}"], self.env).stdout


@pytest.fixture
def project(installed: Installed, tmp_path: Path):
    project = Project(installed, tmp_path)
    yield project
    project.compose("down")


@pytest.mark.slow
def test_ten_tests_that_ruin_the_data_all_find_the_seed(project: Project) -> None:
    project.seed()
    done = project.pytest()
    assert "10 passed" in done.stdout, done.stdout + done.stderr
    assert "10 passed" in project.pytest("-p", "no:randomly").stdout


@pytest.mark.slow
def test_what_a_failed_test_has_left_can_be_looked_at(project: Project) -> None:
    project.seed()
    text = (
        "\n\ndef test_that_fails(db):\n    db.execute('DELETE FROM orders WHERE id < 51')\n"
        "    assert count(db) == 100\n"
    )
    with (project.place / "test_orders.py").open("a") as file:
        file.write(text)
    done = project.pytest("--dvol-keep", "-k", "that_fails or dropped")
    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    branches = project.installed.dvol("branch", "pytest-postgres_db").stdout
    assert re.findall(r"failed-\S+", branches) == ["failed-test_that_fails"]
    project.installed.dvol("checkout", "failed-test_that_fails", "pytest-postgres_db")
    command = "psql -h /tmp -p $PGPORT -U postgres -Atc 'SELECT count(*) FROM orders'"
    id = project.compose("ps", "-q", "db").strip()
    assert project.installed.engine.docker("exec", id, "sh", "-c", command).stdout == "50\n"
