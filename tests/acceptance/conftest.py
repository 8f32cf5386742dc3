"""The guests of a run, one at a time; what a guest has said is kept beside a failure.

`--guest NAME` (again for more) chooses from `guests.KINDS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.published import Published, publish
from tests.acceptance.stranger import Stranger
from tests.lab import Unavailable
from tests.lab.guests import Guest
from tests.lab.images import BUILD
from tests.lab.registry import Registry

HERE = Path(__file__).parent
USUAL = ("bookworm", "trixie-xfs")
FAILED = BUILD / "acceptance" / "failed"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.acceptance)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "guest" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--guest") or USUAL
        metafunc.parametrize("guest", chosen, indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """The console, and what Docker and the plugin have logged, stand in build/acceptance/failed."""
    report = yield
    guest = getattr(item, "funcargs", {}).get("guest")
    if report.failed and isinstance(guest, Guest) and guest.place.exists():
        place = FAILED / item.name.replace("/", "-")
        place.mkdir(parents=True, exist_ok=True)
        log = guest.run("journalctl -b -u docker --no-pager").stdout
        (place / "console").write_text(guest.machine.console)
        (place / "docker.log").write_text(log)
        report.sections.append((f"all of it in {place}; Docker", "\n".join(log.splitlines()[-40:])))
    return report


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    try:
        registry = Registry()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with registry:
        yield registry


@pytest.fixture(scope="session")
def published(registry: Registry) -> Published:
    return publish(registry.address)


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A machine that was just set up: Docker, and nothing of dvol."""
    try:
        guest = Guest(request.param)
    except Unavailable as reason:
        pytest.skip(str(reason))
    with guest:
        guest.boot()
        yield guest


@pytest.fixture(scope="session")
def machine(guest: Guest, published: Published) -> Stranger:
    """The same with a person in front of it, who has not installed dvol yet."""
    stranger = Stranger(guest, published)
    stranger.prepare()
    return stranger


@pytest.fixture
def stranger(machine: Stranger) -> Iterator[Stranger]:
    """With dvol installed by the README's lines, no volumes and no containers."""
    if not machine.installed():
        machine.install()
    yield machine
    machine.clear()
