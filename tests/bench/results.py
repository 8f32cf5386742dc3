"""What a run measured: seconds per part, data, verb, change and tool; kept as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One thing that several tools were measured at."""

    part: str
    data: str
    verb: str
    change: str


@dataclass
class Results:
    """Of one run. `facts` are about the machine, `weights` peaks in bytes, `disks` bytes used."""

    facts: dict[str, str] = field(default_factory=dict)
    samples: dict[tuple[Case, str], list[float]] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    disks: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    how: dict[str, dict[str, str]] = field(default_factory=dict)
    peers: list[str] = field(default_factory=list)

    def add(self, case: Case, tool: str, seconds: float) -> None:
        """One timing."""
        self.samples.setdefault((case, tool), []).append(seconds)

    def median(self, case: Case, tool: str) -> float | None:
        """Seconds, or None where it was not measured."""
        seconds = self.samples.get((case, tool))
        return statistics.median(seconds) if seconds else None

    def count(self, case: Case, tool: str) -> int:
        """How many timings the median is of."""
        return len(self.samples.get((case, tool), ()))

    def cases(self, part: str = "") -> Iterator[Case]:
        """In the order measured, each once; all or those of one part."""
        cases = dict.fromkeys(case for case, _ in self.samples)
        return (case for case in cases if part in ("", case.part))

    def parts(self) -> list[str]:
        """Those with timings, in the order measured."""
        return list(dict.fromkeys(case.part for case in self.cases()))

    def tools(self, part: str) -> list[str]:
        """Those of one part, in the order in which they were introduced."""
        measured = {tool for case, tool in self.samples if case.part == part}
        return [tool for tool in self.how if tool in measured]

    def save(self, path: Path) -> None:
        """Replace the file."""
        plain: dict[str, Any] = {
            name: value for name, value in vars(self).items() if name != "samples"
        }
        plain["samples"] = [
            {**asdict(case), "tool": tool, "seconds": seconds}
            for (case, tool), seconds in self.samples.items()
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(plain, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """What `save` wrote."""
        plain = json.loads(path.read_text())
        samples = plain.pop("samples")
        results = cls(**plain)
        for sample in samples:
            tool, seconds = sample.pop("tool"), sample.pop("seconds")
            results.samples[Case(**sample), tool] = seconds
        return results
