"""The worker of the kills, and how long the model runs."""

from collections.abc import Iterator

import pytest

from tests.crash import tracer
from tests.crash.worker import Worker
from tests.model import counts

USUAL, PART = 600, 2500  # steps of a run, and of each part of a long one


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A long run has parts, which processes share."""
    if "part" in metafunc.fixturenames:
        asked = metafunc.config.getoption(counts.OPTION)
        parts = range(0, asked, PART) if asked else [0]
        sizes = [min(PART, asked - done) if asked else USUAL for done in parts]
        metafunc.parametrize("part", [*enumerate(sizes)], ids=lambda part: f"part{part[0]}")


@pytest.fixture(scope="session")
def killer() -> Iterator[Worker | None]:
    """The process that runs the verbs which are killed; none where there is no tracer."""
    worker = Worker() if tracer.SUPPORTED else None
    yield worker
    if worker is not None:
        worker.close()
