"""Counts what the model did: printed at the end, and written to build/model.json by a long run.

The counts travel with the tests' reports, so that they arrive from other processes too.
"""

import json
from collections import Counter
from pathlib import Path

import pytest

OPTION = "--steps"
PROPERTY = "model"
RESULTS = Path(__file__).parents[2] / "build" / "model.json"


def add_option(parser: pytest.Parser) -> None:
    """Add `--steps`. Only the conftest of tests/ may call it: others are loaded too late."""
    parser.addoption(
        OPTION, type=int, default=0, help="model: that many steps; counts go to build/model.json"
    )


def count(request: pytest.FixtureRequest, seed: int, counted: dict[str, int]) -> None:
    """Add what one test has counted."""
    request.node.user_properties.append((PROPERTY, {"seed": seed, "counted": counted}))


def summarize(reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the counts, also of failed tests."""
    reports = reporter.stats.get("passed", []) + reporter.stats.get("failed", [])
    found = [value for one in reports for name, value in one.user_properties if name == PROPERTY]
    if not found:
        return
    total: Counter[str] = Counter()
    for one in found:
        total.update(one["counted"])
    text = ", ".join(f"{number} {what}" for what, number in sorted(total.items()))
    reporter.write_line(f"model: {text}")
    if config.getoption(OPTION):
        document = {"seeds": sorted(one["seed"] for one in found), **dict(sorted(total.items()))}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")
