"""Verbs on a pool at a moment: in this process, or in one that is killed midway."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvol.engine.gc import Collector
from dvol.engine.local import LocalEngine
from dvol.errors import DvolError
from dvol.fs.clock import Moment
from dvol.trash.selection import Wanted
from tests.crash.killing import at
from tests.crash.tracer import KILL, traced
from tests.model.clocks import showing

REFUSED = 9  # exit code


@dataclass(frozen=True)
class Call:
    """A verb of the engine and its arguments; `auto` is the gc that a server does once a day."""

    verb: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def make(self, root: Path, moment: Moment) -> Any:
        """What the verb returns, in this process."""
        engine = LocalEngine(root)
        with showing(moment):
            if self.verb == "auto":
                return Collector(engine.access, moment).collect(Wanted(auto=True))
            return getattr(engine, self.verb)(*self.arguments, **self.options)


@dataclass(frozen=True)
class Outcome:
    """What came of a call: it was killed, or `refused` has the name of the error, or neither."""

    killed: bool = False
    refused: str = ""
    result: Any = None


def made(root: Path, call: Call, moment: Moment) -> Outcome:
    try:
        return Outcome(result=call.make(root, moment))
    except DvolError as error:
        return Outcome(refused=type(error).__name__, result=str(error))


def killed(root: Path, call: Call, moment: Moment, number: int) -> Outcome:
    """Make the call in a process that is killed before its system call of that number, if it comes
    so far."""

    def run() -> int:
        outcome = made(root, call, moment)
        if outcome.refused:
            os.write(2, outcome.refused.encode())
        return REFUSED if outcome.refused else 0

    suspension = traced(run, str(root), at(number, KILL))
    if suspension.killed:
        return Outcome(killed=True)
    assert suspension.code in (0, REFUSED), suspension.said
    return Outcome(refused=suspension.said.strip() if suspension.code else "")
