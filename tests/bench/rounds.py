"""Interleaving: in every round each tool has one turn, so that a slow minute slows all alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.clock import Failed, timed
from tests.bench.filesystem import Filesystem
from tests.bench.results import Case, Results
from tests.bench.tool import Tool
from tests.bench.workloads import Page, rewrite, undone

OWN = frozenset({"dvol", "dvol in process"})
SLOW = 1.0  # seconds; slower peers take their turn in every third round only


@dataclass
class Rounds:
    """Turns of `tools` on one file system: a warm-up, then `count` rounds.

    `dirty` leaves what was changed in memory, so that the verb itself has to write it; else all is
    on disk before the clock starts. `always` names the tools that slowness does not excuse.
    """

    part: str
    filesystem: Filesystem
    tools: Sequence[Tool]
    results: Results
    count: int = 9
    dirty: bool = False
    always: frozenset[str] = OWN
    _slow: set[str] = field(default_factory=set)
    _fell: set[str] = field(default_factory=set)

    def measure(self, verbs: Sequence[str], change: str) -> None:
        """Time `verbs`, one after the other within each turn, after `change` to the live tree."""
        tools = [tool for tool in self.tools if tool.can(verbs[0], change)]
        self._slow.clear()
        for number in range(self.count + 1):
            self._changed: dict[Path, list[Page]] = {}
            for tool in tools[number % len(tools) :] + tools[: number % len(tools)]:
                if self._has_turn(tool.name, number):
                    self._try(tool, verbs, change, number)

    def _has_turn(self, name: str, number: int) -> bool:
        return name not in self._fell and (name not in self._slow or number % 3 == 1)

    def _try(self, tool: Tool, verbs: Sequence[str], change: str, number: int) -> None:
        try:
            self._turn(tool, verbs, change, number)
        except (Failed, OSError) as error:
            self._fell.add(tool.name)
            self.results.notes.append(f"{self.part}: {tool.name} is left out: {error}")

    def _turn(self, tool: Tool, verbs: Sequence[str], change: str, number: int) -> None:
        seed = f"{self.filesystem.workload.name} {' '.join(verbs)} {change} {number}"
        if self.dirty:
            self.filesystem.settle()
        pages = self._change(tool, verbs, change, seed)
        for verb in (verb for verb in verbs if hasattr(tool, verb)):
            if not self.dirty:
                self.filesystem.settle()
            self._keep(tool, verb, change, number, timed(tool.work(verb)))
        # in the warm-up the live tree may differ from the reference by more than these pages
        if "reset" in verbs and number and not undone(tool.live, pages):
            raise Failed("the live tree is not as it was")
        tool.tidy()

    def _change(self, tool: Tool, verbs: Sequence[str], change: str, seed: str) -> list[Page]:
        """Once a round for a live tree that tools share, unless each puts it back."""
        if "branch" in verbs:
            return []
        if "reset" in verbs or tool.live not in self._changed:
            pages = rewrite(tool.live, self.filesystem.workload, change, seed)
            self._changed[tool.live] = pages
        return self._changed[tool.live]

    def _keep(self, tool: Tool, verb: str, change: str, number: int, seconds: float) -> None:
        if number:
            case = Case(self.part, self.filesystem.workload.name, verb, change)
            self.results.add(case, tool.name, seconds)
        elif seconds > SLOW and tool.name not in self.always:
            self._slow.add(tool.name)
