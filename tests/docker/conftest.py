"""One private Engine with dvol in it for the whole ring; each test finds it empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.installed import Installed
from tests.lab import Unavailable, images
from tests.lab.engine import Engine
from tests.lab.releases import OWN, RELEASES, Release

HERE = Path(__file__).parent
VERSION = pytest.StashKey[str]()
COUNTS = "model of containers"  # the property of a report that has the model's counts


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of the ring in one process: there is one Engine."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.xdist_group("docker"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """What the daemon and the plugin said stands beside a failure."""
    report = yield
    engine = getattr(item, "funcargs", {}).get("engine")
    if report.failed and engine is not None and engine.root.exists():
        report.sections.append(("log of the Engine", "\n".join(engine.logs().splitlines()[-40:])))
    return report


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest) -> Release:
    """Whose Docker this run is about."""
    return RELEASES.get(request.config.getoption("--engine"), OWN)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if VERSION in config.stash:
        terminalreporter.write_line(config.stash[VERSION])
    stats = terminalreporter.stats
    for report in stats.get("passed", []) + stats.get("failed", []):
        for name, counted in report.user_properties:
            if name == COUNTS:
                text = ", ".join(f"{what}: {number}" for what, number in counted.items())
                terminalreporter.write_line(f"{COUNTS}: {text}")


@pytest.fixture(scope="session")
def engine(release: Release, pytestconfig: pytest.Config) -> Iterator[Engine]:
    try:
        engine = Engine(release=release)
    except Unavailable as reason:
        pytest.skip(str(reason))
    with engine:
        version = engine.docker("version", "-f", "{{.Server.Version}}").stdout.strip()
        pytestconfig.stash[VERSION] = f"Docker Engine {version} ({release})"
        images.busybox(engine)
        yield engine


@pytest.fixture(scope="session")
def _installed_once(engine: Engine) -> Installed:
    installed = Installed(engine)
    installed.make("install")
    return installed


@pytest.fixture
def installed(_installed_once: Installed) -> Iterator[Installed]:
    """dvol, enabled, with no volumes and no containers."""
    yield _installed_once
    _installed_once.clear()


@pytest.fixture
def volume(installed: Installed) -> str:
    """A fresh volume, made by the command."""
    installed.dvol("init", "shop_db")
    return "shop_db"
