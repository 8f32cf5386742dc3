"""What all rings share: a scrubbed environment, short temporary directories, honest skips.

A test that cannot run here is skipped with its reason. Where `DVOL_REQUIRE` is set, as in CI,
every skip is a failure instead.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import counts
from tests.lab.releases import RELEASES
from tests.model import counts as model_counts

SCRUBBED = ("DVOL_", "DOCKER_", "GIT_", "XDG_", "LC_")
EXTRA = ("HOME", "EMAIL", "LANGUAGE", "TZ", "USER", "LOGNAME")
REQUIRED = bool(os.environ.get("DVOL_REQUIRE"))

_HOMES: list[Path] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    counts.add_option(parser)
    model_counts.add_option(parser)
    parser.addoption(
        "--rounds",
        type=int,
        default=0,
        help="docker, acceptance and trees: how often, where it counts",
    )
    parser.addoption(
        "--engine", choices=sorted(RELEASES), help="docker: of that release; else this machine's"
    )
    parser.addoption(
        "--guest", action="append", default=[], help="acceptance: a machine of guests.KINDS"
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    counts.summarize(terminalreporter, config)
    model_counts.summarize(terminalreporter, config)


def pytest_configure(config: pytest.Config) -> None:
    """No test sees its user's home, git identity, Docker or dvol settings."""
    config.addinivalue_line("markers", "slow: takes many seconds; not for the inner loop")
    for name in list(os.environ):
        if (name.startswith(SCRUBBED) and name != "DVOL_REQUIRE") or name in EXTRA:
            del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="dvol-home-"))
    home.chmod(0o755)
    _HOMES.append(home)
    os.environ.update(HOME=str(home), GIT_CONFIG_NOSYSTEM="1", LANG="C.UTF-8")


def pytest_unconfigure(config: pytest.Config) -> None:
    for home in _HOMES:
        shutil.rmtree(home, ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where every ring must run, a skip is a failure that says what is missing."""
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (a skip is a failure where DVOL_REQUIRE is set)"


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A fresh directory with a short path: a unix socket's is 107 bytes at most."""
    place = Path(tempfile.mkdtemp(prefix="dv", dir="/tmp"))
    yield place
    shutil.rmtree(place, ignore_errors=True)
