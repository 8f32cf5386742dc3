"""docs/performance.svg: time against size, both logarithmic; a panel for commit, one for reset."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from tests.bench.results import Case, Results
from tests.bench.workloads import WORKLOADS

WIDTH, HEIGHT = 900, 400
PANEL, TALL = 340, 250  # of the axes
TOP = 50
SIZES = ("tenth", "database", "large")


@dataclass(frozen=True)
class Series:
    """One line: a tool on a file system, and how it is drawn."""

    tool: str
    kind: str
    colour: str
    dash: str = ""

    def case(self, verb: str, size: str) -> Case:
        """Where its time at one size is kept."""
        if self.kind == "btrfs":
            return Case("btrfs:sizes", size, verb, "12 files")
        return Case(f"{self.kind}:{size}", size, verb, "1 %")


SERIES = (
    Series("dvol", "ext4", "#0b62c4"),
    Series("rsync", "ext4", "#d1570a"),
    Series("cp -a", "ext4", "#6b6b6b"),
    Series("dvol", "btrfs", "#0b62c4", "6 4"),
    Series("btrfs", "btrfs", "#2a8a3e", "6 4"),
)
Points = list[tuple[float, float]]


def svg(results: Results) -> str:
    """The whole picture; a line without figures is left out, in the legend as well."""
    lines = {
        (series, verb): _points(results, series, verb)
        for series in SERIES
        for verb in ("commit", "reset")
    }
    low, high = _decades([seconds for points in lines.values() for _, seconds in points])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for left, verb in ((70, "commit"), (70 + PANEL + 90, "reset")):
        chosen = {series: lines[series, verb] for series in SERIES}
        parts += _panel(left, verb, chosen, low, high)
    drawn = [series for series in SERIES if lines[series, "commit"] or lines[series, "reset"]]
    return "\n".join([*parts, *_legend(drawn), "</svg>", ""])


def _points(results: Results, series: Series, verb: str) -> Points:
    medians = [(size, results.median(series.case(verb, size), series.tool)) for size in SIZES]
    return [(WORKLOADS[size].total, median) for size, median in medians if median]


def _decades(seconds: list[float]) -> tuple[int, int]:
    """The whole powers of ten around all times."""
    if not seconds:
        return -2, 1
    return math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))


def _panel(left: int, verb: str, lines: dict[Series, Points], low: int, high: int) -> Iterator[str]:
    yield f'<text x="{left}" y="{TOP - 20}" font-weight="bold">{verb}</text>'
    for decade in range(low, high + 1):
        y = _height(10.0**decade, low, high)
        yield f'<path d="M{left} {y:.1f}h{PANEL}" stroke="#ddd"/>'
        label = f"{10**decade} s" if decade >= 0 else f"{10 ** (decade + 3)} ms"
        yield f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    for size, label in zip(SIZES, ("100 MiB", "1 GiB", "10 GiB"), strict=True):
        x = left + _across(WORKLOADS[size].total)
        yield f'<text x="{x:.1f}" y="{TOP + TALL + 20}" text-anchor="middle">{label}</text>'
    for series, points in lines.items():
        yield from _line(series, [(left + _across(x), _height(y, low, high)) for x, y in points])


def _line(series: Series, points: Points) -> Iterator[str]:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    if points:
        yield f'<path d="M{path}" fill="none" stroke-width="2" {_stroke(series)}/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{series.colour}"/>'


def _legend(drawn: list[Series]) -> Iterator[str]:
    for number, series in enumerate(drawn):
        x, y = 70 + number % 3 * 270, TOP + TALL + 50 + number // 3 * 24
        yield f'<path d="M{x} {y - 4}h30" stroke-width="2" {_stroke(series)}/>'
        yield f'<text x="{x + 38}" y="{y}">{escape(_label(series))}</text>'


def _label(series: Series) -> str:
    tool = {"cp -a": "cp -a", "btrfs": "btrfs subvolume snapshot"}
    changed = "1 % changed" if series.kind == "ext4" else "12 files changed"
    return f"{tool.get(series.tool, series.tool)} ({series.kind}, {changed})"


def _stroke(series: Series) -> str:
    dash = f' stroke-dasharray="{series.dash}"' if series.dash else ""
    return f'stroke="{series.colour}"{dash}'


def _across(size: float) -> float:
    """From the left edge of the axes; half a size of room on either side."""
    sizes = [math.log10(WORKLOADS[name].total) for name in (SIZES[0], SIZES[-1])]
    return PANEL * (0.1 + 0.8 * (math.log10(size) - sizes[0]) / (sizes[1] - sizes[0]))


def _height(seconds: float, low: int, high: int) -> float:
    return TOP + TALL * (high - math.log10(seconds)) / (high - low)
