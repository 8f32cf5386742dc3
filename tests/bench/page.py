"""docs/performance.md: every figure and every claim in it comes from the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.bench import acceptance, plot, tables
from tests.bench.results import Case, Results
from tests.bench.rounds import SLOW
from tests.bench.workloads import GIB, MIB, WORKLOADS

BEGIN = "<!-- make bench-docker -->"  # from here on another benchmark writes
KINDS = {"ext4": "ext4", "xfs": "XFS (reflink)", "btrfs": "btrfs"}
INTRODUCTION = """\
# Performance

`make bench` wrote this page, the figures and the claims, from one run on {date}; nothing here is
by hand. The tools that people use instead of dvol ran in the same run on the same data, in turns.

A time is the median of {count} rounds after a warm-up: from the start of the first process until
the result is on disk. In brackets: that time divided by dvol's. A star marks a case that took more
than {slow:g} s in the warm-up, and so ran in every third round only. Before each timing everything
is on disk and the page cache is warm. Each round changes other files; in each changed file, four
pages of 8 KiB are overwritten in place, as a database does ("one page": one page).
"""
DURABILITY = """\
## What is timed

A dvol command returns when its result is durable. No peer promises that, so each is followed by
`sync -f` of its file system, which is timed with it. (buttervolume's server runs already; its
command is timed.)
"""
SIZED = """\
In this table alone the changes, the same twelve files at each size, are still in memory when the
clock starts, so the time includes writing them.
"""


def write(results: Results, path: Path) -> None:
    """The page, and the picture beside it."""
    picture = path.with_suffix(".svg")
    picture.write_text(plot.svg(results))
    others = path.read_text().partition(BEGIN)[1:] if path.exists() else ()
    path.write_text("\n".join(_sections(results, picture.name)) + "\n" + "".join(others))


def _sections(results: Results, picture: str) -> Iterator[str]:
    count = max((len(seconds) for seconds in results.samples.values()), default=0)
    date = results.facts.get("date", "")
    yield INTRODUCTION.format(date=date, count=count, slow=SLOW)
    yield f"![Time of commit and reset against size]({picture})\n"
    yield f"## What was aimed at\n\n{acceptance.table(results)}\n"
    yield f"## Where dvol loses\n\n{_losses(results)}\n"
    yield from _times(results)
    yield from _room(results)
    yield f"{DURABILITY}\n{_commands(results)}\n"
    if results.notes:
        yield "## Not measured\n\n" + "".join(f"- {note}\n" for note in results.notes)
    yield "## Machine\n\n" + "".join(f"- {name}: {fact}\n" for name, fact in results.facts.items())


def _losses(results: Results) -> str:
    """Every case in which a peer's median is below dvol's, however little."""
    lost = [line for case in results.cases() if (line := _loss(results, case))]
    cases = sum(1 for case in results.cases() if results.median(case, "dvol"))
    if not lost:
        return f"In none of {cases} cases was any peer faster than dvol."
    return f"In {len(lost)} of {cases} cases a peer was faster:\n\n" + "\n".join(lost)


def _loss(results: Results, case: Case) -> str:
    own = results.median(case, "dvol")
    medians = {peer: results.median(case, peer) for peer in results.peers}
    faster = [
        f"{peer} {tables.seconds(median)}"
        for peer, median in medians.items()
        if median and own and median < own
    ]
    if not own or not faster:
        return ""
    kind = KINDS[case.part.partition(":")[0]]
    where = f"{kind}, {WORKLOADS[case.data].about}: {tables.title(case)}"
    return f"- {where}: {', '.join(faster)}; dvol {tables.seconds(own)}"


def _times(results: Results) -> Iterator[str]:
    kind = ""
    for part in results.parts():
        here, _, what = part.partition(":")
        if here != kind:
            kind = here
            yield f"## {KINDS[kind]}\n"
        sized = what == "sizes"
        yield f"### {'From 100 MiB to 10 GiB' if sized else WORKLOADS[what].about}\n"
        if sized:
            yield SIZED
        yield f"{tables.of_part(results, part)}\n"


def _room(results: Results) -> Iterator[str]:
    if results.weights:
        lines = [[verb, f"{weight / MIB:.0f} MiB"] for verb, weight in results.weights.items()]
        yield f"## Peak memory, {WORKLOADS['many'].about}\n\n{tables.table(['', 'dvol'], lines)}\n"
    if results.disks:
        tools = ["dvol", "rsync", "restic"]
        lines = [
            [KINDS[kind], *(_gib(used.get(name)) for name in ("data", "changes", *tools))]
            for kind, used in results.disks.items()
        ]
        table = tables.table(["", "live data", "bytes changed", *tools], lines)
        yield f"## Disk used after 20 commits of 1 %, live data included\n\n{table}\n"


def _gib(size: int | None) -> str:
    return "" if size is None else f"{size / GIB:.3f} GiB"


def _commands(results: Results) -> str:
    """What each tool's verbs are; a verb it does not have is not listed."""
    measured = {tool for _, tool in results.samples}
    return "".join(
        f"- **{tool}** {'; '.join(f'{verb}: {command}' for verb, command in how.items())}\n"
        for tool, how in results.how.items()
        if tool in measured
    )
