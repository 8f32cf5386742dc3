"""The guests of a run, one at a time; what a guest has said is kept beside a failure.

`--guest NAME` (again for more) chooses from `guests.KINDS`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.published import Published, publish
from tests.acceptance.stranger import Stranger
from tests.lab import Unavailable
from tests.lab.bootstrap import BUILD
from tests.lab.guests import KINDS, Guest
from tests.lab.registry import Registry

HERE = Path(__file__).parent
USUAL = ("bookworm", "trixie-xfs")
ORDER = ("install", "reboot", "power", "dead_plugin", "upgrade")
FAILED = BUILD / "acceptance" / "failed"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A guest is clean only once, so what is installed on it comes first."""
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.acceptance)
    _deselect([item for item in ours if not _fits(item)], items)
    ours = [item for item in ours if item in items]
    places = [place for place, item in enumerate(items) if item in ours]
    for place, item in zip(places, sorted(ours, key=_place), strict=True):
        items[place] = item


def _fits(item: pytest.Item) -> bool:
    """A test may be marked with which kinds of guests it is for."""
    marker = item.get_closest_marker("kinds")
    return marker is None or marker.args[0](KINDS[item.callspec.params["guest"]])


def _deselect(unfit: list[pytest.Item], items: list[pytest.Item]) -> None:
    if unfit:
        unfit[0].config.hook.pytest_deselected(items=unfit)
        items[:] = [item for item in items if item not in unfit]


def _place(item: pytest.Item) -> tuple[int, int]:
    """One guest after the other, and on each the tests in their order."""
    guest = list(KINDS).index(item.callspec.params["guest"])
    return guest, ORDER.index(item.path.stem.removeprefix("test_"))


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
        log = keep(guest, place)
        report.sections.append((f"all of it in {place}; Docker", "\n".join(log.splitlines()[-40:])))
    return report


def keep(guest: Guest, place: Path) -> str:
    """What the guest has printed, and Docker's log, the boots before the last one too."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "console").write_text(guest.machine.console)
    log = ""
    with suppress(subprocess.SubprocessError):
        log = guest.run("journalctl -u docker --no-pager").stdout
    (place / "docker.log").write_text(log)
    return log


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
    return publish(registry)


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A machine that was just set up: Docker, and nothing of dvol."""
    try:
        guest = Guest(request.param)
    except Unavailable as reason:
        pytest.skip(str(reason))
    with guest:
        try:
            guest.boot()
        except AssertionError:
            keep(guest, FAILED / guest.name)
            raise
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
    machine.mend()
    yield machine
    machine.clear()
