"""Kill a verb, or its recovery, at one of its calls. These functions run in the stage."""

from collections.abc import Callable
from pathlib import Path

from tests.crash.calls import Call
from tests.crash.history import wiped
from tests.crash.tracer import KILL, Decision
from tests.crash.verbs import VERBS, Verb


def at(number: int, decision: Decision) -> Callable[[Call], Decision]:
    """Decide so at the call of that number, and let all others be."""
    return lambda call: decision if call.number == number else None


def killed(root: Path, name: str, number: int) -> bool:
    """Build a pool anew and kill the verb at its call of that number; whether it died."""
    wiped(root)
    VERBS[name].build(root)
    return VERBS[name].perform(root, at(number, KILL)).killed


def crashed(root: Path, name: str) -> bool:
    """A pool whose verb has its journal, durable, and all steps still before it."""
    wiped(root)
    VERBS[name].build(root)
    written = False

    def decide(call: Call) -> Decision:
        nonlocal written
        # the directory of the journal is synced first, and is not a step
        if written and call.name != "fsync":
            return KILL
        written = written or call.journals
        return None

    return VERBS[name].perform(root, decide).killed


def looked(root: Path, name: str) -> list[Call]:
    """The calls by which the next command recovers a crashed verb."""
    assert crashed(root, name)
    return _looking(name).perform(root).calls


def recovered(root: Path, name: str, number: int) -> bool:
    """Crash the verb, and have its recovery die at its call of that number; whether it did."""
    assert crashed(root, name)
    return _looking(name).perform(root, at(number, KILL)).killed


def _looking(name: str) -> Verb:
    return Verb("list", without=VERBS[name].without)
