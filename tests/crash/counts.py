"""Counts the points at which each verb was tried: collected from all tests, printed at the end,
and written to build/crash.json where every point was tried.

The counts travel with the tests' reports, so that they arrive from other processes too.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.calls import Call

RINGS = ("killed", "recovery killed", "cut", "cut after fsync", "failed", "refused", "full disk")
PROPERTY = "crash"
RESULTS = Path(__file__).parents[2] / "build" / "crash.json"
SEED = 20


def add_option(parser: pytest.Parser) -> None:
    """Add `--every-point`. Only the conftest of tests/ may call it: others are loaded too late."""
    parser.addoption(
        "--every-point",
        action="store_true",
        help="crash rings: try every point, not a sample; counts go to build/crash.json",
    )


def count(request: pytest.FixtureRequest, ring: str, verb: str, place: str, points: int) -> None:
    """Add that `points` points were tried without a complaint."""
    assert ring in RINGS
    one = {"ring": ring, "verb": verb, "file system": place, "points": points}
    request.node.user_properties.append((PROPERTY, one))


@dataclass(frozen=True)
class Sample:
    """Chooses the calls of a verb at which it is tried: all of them, or about `budget`."""

    every: bool

    def choose(self, calls: Sequence[Call], budget: int, near: Sequence[int] = (0,)) -> list[int]:
        """The numbers of the calls: evenly spread from a fixed start, and always those that put a
        document in its place, with the calls at the distances `near` from them."""
        if self.every or len(calls) <= budget:
            return list(range(len(calls)))
        always = {call.number + by for call in calls if call.places_document for by in near}
        step = max(1, len(calls) // budget)
        spread = range(random.Random(SEED).randrange(step), len(calls), step)
        return sorted(number for number in always | {*spread} if 0 <= number < len(calls))


def summarize(reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a line, or the whole table where every point was tried."""
    counts = _collected(reporter)
    if not counts:
        return
    if not config.getoption("--every-point"):
        parts = [f"{_sum(counts, ring=ring)} {ring}" for ring in RINGS]
        reporter.write_line(f"crash rings, sampled points: {', '.join(parts)}")
        return
    reporter.section("crash rings: points tried, without a failure")
    for line in _table(counts):
        reporter.write_line(line)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(counts, indent=1) + "\n")


def _collected(reporter: pytest.TerminalReporter) -> list[dict]:
    reports = reporter.stats.get("passed", [])
    found = [value for one in reports for name, value in one.user_properties if name == PROPERTY]
    return sorted(found, key=lambda one: [str(value) for value in one.values()])


def _table(counts: list[dict]) -> list[str]:
    head = ["verb", "file system", *RINGS]
    pairs = dict.fromkeys((one["verb"], one["file system"]) for one in counts)
    rows = [[verb, place, *_row(counts, verb=verb, place=place)] for verb, place in sorted(pairs)]
    rows.append(["all", "", *(str(_sum(counts, ring=ring)) for ring in RINGS)])
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in [head, *rows]]


def _row(counts: list[dict], verb: str, place: str) -> list[str]:
    return [str(_sum(counts, ring, verb, place) or "") for ring in RINGS]


def _sum(counts: list[dict], ring: str, verb: str = "", place: str = "") -> int:
    return sum(
        one["points"]
        for one in counts
        if one["ring"] == ring
        and (not verb or one["verb"] == verb)
        and (not place or one["file system"] == place)
    )
