"""Kill a verb, or its recovery, at one of its calls. These functions run in the worker."""

from collections.abc import Callable
from pathlib import Path

from tests.crash.calls import Call
from tests.crash.history import wiped
from tests.crash.tracer import KILL, Decision
from tests.crash.verbs import ALL, Verb


def at(number: int, decision: Decision) -> Callable[[Call], Decision]:
    """A decision about the call of that number; all other calls are made."""
    return lambda call: decision if call.number == number else None


def killed(root: Path, name: str, number: int) -> bool:
    """Build a pool anew and kill the verb at its call of that number; whether it died."""
    wiped(root)
    ALL[name].build(root)
    return ALL[name].perform(root, at(number, KILL)).killed


def crashed(root: Path, name: str) -> bool:
    """Build a pool and kill the verb once its journal is durable, before its first step; whether it
    died."""
    wiped(root)
    ALL[name].build(root)
    written = False

    def decide(call: Call) -> Decision:
        nonlocal written
        # the directory of the journal is synced first, and is not a step
        if written and call.name != "fsync":
            return KILL
        written = written or call.writes_journal
        return None

    return ALL[name].perform(root, decide).killed


def recovery_calls(root: Path, name: str) -> list[Call]:
    """The calls by which the next command recovers a crashed verb."""
    assert crashed(root, name)
    return _recovery(name).perform(root).calls


def recovery_killed(root: Path, name: str, number: int) -> bool:
    """Crash the verb, and kill its recovery at its call of that number; whether it died."""
    assert crashed(root, name)
    return _recovery(name).perform(root, at(number, KILL)).killed


def _recovery(name: str) -> Verb:
    return Verb(ALL[name].recovery, without=ALL[name].without)
