"""The example projects, each walked as its own README says, line by line."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.databases.engines import BASE, POSTGRES, image
from tests.docker.installed import SOURCE, Installed, run
from tests.docker.readmes import block_with, blocks
from tests.lab.ports import free_port


class Project:
    """A copy of an example, in an Engine of the tests; its name is the directory's."""

    def __init__(self, installed: Installed, place: Path) -> None:
        self.installed = installed
        self.place = place
        self.readme = (place / "README.md").read_text()
        own = {"PGPORT": str(free_port()), "POSTGRES_IMAGE": image(installed, POSTGRES)}
        command, _, path = installed.env["PATH"].partition(":")
        python = str(Path(sys.executable).parent)  # it has what `pip install` would bring
        self.env = installed.env | own | {"PATH": f"{command}:{python}:{path}"}

    def type(self, line: str) -> str:
        """Type a line in a shell; what it printed."""
        line = line.replace("docker compose", "docker-compose")  # as all versions have it
        return run(["sh", "-c", f"cd {self.place}; {line}"], self.env).stdout

    def lines(self) -> list[str]:
        """What the README tells to type, but for `pip install`."""
        lines = block_with(self.readme, "docker compose up -d")
        return [line for line in lines if not line.startswith("pip install")]


def copied(name: str, place: Path) -> Path:
    return shutil.copytree(SOURCE / "examples" / name, place / name)


# -- pytest-postgres ---------------------------------------------------------------------------


@pytest.fixture
def shop(installed: Installed, tmp_path: Path) -> Iterator[Project]:
    project = Project(installed, copied("pytest-postgres", tmp_path))
    project.env["PYTEST_ADDOPTS"] = "-p no:cacheprovider"
    yield project
    project.type("docker compose down")


@pytest.mark.slow
def test_ten_tests_that_ruin_the_data_all_find_the_seed(shop: Project) -> None:
    printed = [shop.type(line) for line in shop.lines()]
    assert "10 passed" in printed[-1]
    assert "10 passed" in shop.type("pytest -p no:randomly")


@pytest.mark.slow
def test_what_a_failed_test_has_left_can_be_looked_at(shop: Project) -> None:
    *lines, _ = shop.lines()
    for line in lines:
        shop.type(line)
    text = (
        "\n\ndef test_that_fails(db):\n    db.execute('DELETE FROM orders WHERE id < 51')\n"
        "    assert count(db) == 100\n"
    )
    with (shop.place / "test_orders.py").open("a") as file:
        file.write(text)
    done = shop.type("pytest --dvol-keep -k 'that_fails or dropped' || true")
    assert "1 failed, 3 passed" in done
    branches = shop.installed.dvol("branch", "pytest-postgres_db").stdout
    assert re.findall(r"failed-\S+", branches) == ["failed-test_that_fails"]
    shop.installed.dvol("checkout", "failed-test_that_fails", "pytest-postgres_db")
    ask = "psql -h 127.0.0.1 -U postgres -Atc 'SELECT count(*) FROM orders'"
    assert shop.type(f"docker compose exec -T db {ask}") == "50\n"


# -- web-app -----------------------------------------------------------------------------------


class GuestBook(Project):
    """The web application, at a port of its own, from an image of the tests."""

    def __init__(self, installed: Installed, place: Path) -> None:
        super().__init__(installed, place)
        self.port = free_port()
        self.env["WEB_PORT"] = str(self.port)
        self._build()

    def type(self, line: str) -> str:
        return super().type(line.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}"))

    def _build(self) -> None:
        """From its own Dockerfile, but without a registry: what it installs is in the base."""
        text = (self.place / "Dockerfile").read_text()
        text = re.sub(r"^FROM .*", f"FROM {BASE}", text, flags=re.MULTILINE)
        own = self.place / "Dockerfile.tests"
        own.write_text(re.sub(r"^RUN pip install .*\n", "", text, flags=re.MULTILINE))
        words = ("-q", "--network=none", "-t", "dvol-guest-book", "-f", str(own), str(self.place))
        self.installed.engine.docker("build", *words)


@pytest.fixture
def book(installed: Installed, tmp_path: Path) -> Iterator[GuestBook]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    project = GuestBook(installed, copied("web-app", tmp_path))
    yield project
    project.type("docker compose down")


@pytest.mark.slow
def test_a_web_application_gets_its_data_back(book: GuestBook) -> None:
    id, shown = "", []
    for line in book.lines():
        printed = book.type(line.replace("ID", id))
        if line == "dvol restore" or line.startswith("dvol restore  "):
            id = next(one for one in printed.splitlines() if "web-app_db" in one).split()[0]
        if line.endswith("# Ann"):
            shown.append(printed)
    assert shown == ["Ann\n"] * 3
    assert "Ann was here" in book.type("dvol log web-app_db")


@pytest.mark.slow
def test_a_volume_of_ones_own_outlives_down_with_volumes(book: GuestBook) -> None:
    compose = book.place / "compose.yaml"
    services, _, _ = compose.read_text().partition("\nvolumes:\n")
    compose.write_text("\n".join([services, blocks(book.readme)[-1], ""]))
    book.type("dvol init guests")
    up, greet, *_ = book.lines()
    assert "Ann" in [book.type(line) for line in (up, greet)][-1]
    book.type("docker compose down -v")
    book.type(up)
    assert book.type("curl --retry 9 --retry-connrefused 127.0.0.1:8000") == "Ann\n"
