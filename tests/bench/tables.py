"""Tables in Markdown: medians, and how many times dvol's each is."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.results import Case, Results
from tests.bench.workloads import WORKLOADS


def of_part(results: Results, part: str) -> str:
    """One line for each verb and change, one column for each tool; dvol's comes first."""
    if part not in results.parts():
        return "nothing timed"
    tools = results.tools(part)
    cases = list(results.cases(part))
    sized = len({case.data for case in cases}) > 1
    head = ["", *tools]
    return table(head, [_line(results, case, tools, sized) for case in cases])


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Aligned, so that it reads in a terminal as well."""
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    rule = ["-" * width for width in widths]
    rows = [map(str.ljust, line, widths) for line in [head, rule, *lines]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def seconds(value: float) -> str:
    """Two or three digits, in the unit that suits."""
    if value < 0.0995:
        return f"{value * 1000:.3g} ms"
    return f"{value:.2f} s" if value < 9.95 else f"{value:.0f} s"


def title(case: Case) -> str:
    """The verb, and what was changed before it."""
    verb = {"branch": "new branch"}.get(case.verb, case.verb)
    return verb if case.change == "none" else f"{verb}, {change(case.change)} changed"


def change(text: str) -> str:
    """As the prose has it."""
    return {"1 page": "one page"}.get(text, text)


def _line(results: Results, case: Case, tools: Sequence[str], sized: bool) -> list[str]:
    own = results.median(case, "dvol")
    cells = [_cell(results, case, tool, own) for tool in tools]
    name = title(case)
    return [f"{WORKLOADS[case.data].about}: {name}" if sized else name, *cells]


def _cell(results: Results, case: Case, tool: str, own: float | None) -> str:
    median = results.median(case, tool)
    if median is None:
        return ""
    star = "*" if results.count(case, tool) < results.count(case, "dvol") else ""
    if tool == "dvol" or not own:
        return f"{seconds(median)}{star}"
    return f"{seconds(median)}{star} ({_times(median / own)})"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 9.95 else f"{ratio:.0f}"
