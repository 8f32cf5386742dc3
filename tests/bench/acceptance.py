"""What dvol set out to reach, each line beside what this run measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench import tables
from tests.bench.results import Case, Results
from tests.bench.workloads import MIB

DATABASE = "ext4, 1 GiB in 1,200 files"
SMALL = "ext4, 20,000 files of 4 KiB"
CLONED = "XFS, a page of one file of 1 GiB changed"
SIZES = ("tenth", "database", "large")


@dataclass(frozen=True)
class Line:
    """One aim. `measured` and `limit` are of one unit; None where this run has no figure."""

    what: str
    against: str
    measured: float | None
    limit: float | None
    unit: str = "x"

    @property
    def verdict(self) -> str:
        """PASS or miss, or that nothing can be said."""
        if self.measured is None or self.limit is None:
            return "not measured"
        return "PASS" if self.measured <= self.limit else "miss"

    def cells(self) -> list[str]:
        """As a line of the table."""
        figures = [_figure(value, self.unit) for value in (self.measured, self.limit)]
        return [self.what, self.against, *figures, self.verdict]


def table(results: Results, whole: bool = True) -> str:
    """The lines in Markdown: all, or those with a figure."""
    shown = [line for line in lines(results) if whole or line.measured is not None]
    if not shown:
        return "Nothing was measured that the aims are about."
    return tables.table(
        ["", "against", "measured", "at most", ""], [each.cells() for each in shown]
    )


def lines(results: Results) -> Iterator[Line]:
    """Every aim in its order."""
    yield from _copies(results)
    yield from _cloned(results)
    yield from _snapshots(results)
    for data in ("database", "small"):
        yield _floor(results, data)
    yield from _weights(results)
    yield from _disks(results)


# -- times -------------------------------------------------------------------------------------


def _copies(results: Results) -> Iterator[Line]:
    for part, data, aims in (
        ("ext4:database", DATABASE, {"rsync": (1.0, 1.3), "cp -a": (1 / 12, 1 / 20)}),
        ("ext4:small", SMALL, {"cp -a": (1 / 2, 1 / 5)}),
    ):
        for verb, place in (("commit", 0), ("reset", 1)):
            case = Case(part, part.partition(":")[2], verb, "1 %")
            for peer, limits in aims.items():
                yield Line(
                    f"{verb}, {data}, 1 % changed",
                    results.how.get(peer, {}).get(verb, peer),
                    _ratio(results, case, "dvol", peer),
                    limits[place],
                )


def _ratio(results: Results, case: Case, tool: str, peer: str) -> float | None:
    own, other = results.median(case, tool), results.median(case, peer)
    return None if own is None or other is None else own / other


def _cloned(results: Results) -> Iterator[Line]:
    commit = Case("xfs:bigfile", "bigfile", "commit", "1 page")
    clone, start = (results.median(commit, tool) for tool in ("cp --reflink", "process start"))
    limit = None if clone is None or start is None else 1.3 * clone + start
    for verb in ("commit", "reset"):
        own = results.median(Case("xfs:bigfile", "bigfile", verb, "1 page"), "dvol")
        against = "1.3 x `cp -a --reflink=always` of it + `dvol log`"
        yield Line(f"{verb}, {CLONED}", against, own, limit, "s")


def _snapshots(results: Results) -> Iterator[Line]:
    """Of the same dirty data; a reset is held against the bare snapshot, too."""
    for verb in ("commit", "reset"):
        medians = [_snapshot(results, verb, size, "dvol in process") for size in SIZES]
        for size, own in zip(SIZES, medians, strict=True):
            bare = _snapshot(results, "commit", size, "btrfs")
            ratio = None if own is None or bare is None else own / bare
            what = f"{verb} in process, btrfs, {WORDS[size]}"
            yield Line(what, "`btrfs subvolume snapshot`, `sync -f`", ratio, 1.5)
        known = [median for median in medians if median is not None]
        flat = max(known) / min(known) if len(known) == len(SIZES) else None
        yield Line(f"{verb} in process, btrfs, slowest size", "fastest size", flat, 1.5)
        yield Line(f"{verb}, btrfs, what the process adds", "", _added(results, verb), 0.08, "s")


WORDS = {"tenth": "100 MiB", "database": "1 GiB", "large": "10 GiB"}


def _snapshot(results: Results, verb: str, size: str, tool: str) -> float | None:
    return results.median(Case("btrfs:sizes", size, verb, "12 files"), tool)


def _added(results: Results, verb: str) -> float | None:
    """The most of the three sizes."""
    added = []
    for size in SIZES:
        whole = _snapshot(results, verb, size, "dvol")
        inside = _snapshot(results, verb, size, "dvol in process")
        if whole is not None and inside is not None:
            added.append(whole - inside)
    return max(added, default=None)


def _floor(results: Results, data: str) -> Line:
    case = Case(f"ext4:{data}", data, "commit", "0 %")
    bare, start = (results.median(case, tool) for tool in ("walk, links, sync", "process start"))
    own = results.median(case, "dvol")
    ratio = None if own is None or bare is None or start is None else own / (bare + start)
    what = f"commit, {DATABASE if data == 'database' else SMALL}, nothing changed"
    return Line(what, "`dvol log` + walk and stat + hard links + sync", ratio, 1.3)


# -- room --------------------------------------------------------------------------------------


def _weights(results: Results) -> Iterator[Line]:
    for verb in ("commit", "reset"):
        weight = results.weights.get(verb)
        if verb == "commit" and weight is not None:
            weight = max(weight, results.weights["first commit"])
        measured = None if weight is None else weight / MIB
        yield Line(f"{verb}, 200,000 files, peak memory", "", measured, 200, "MiB")


def _disks(results: Results) -> Iterator[Line]:
    for kind, copies in (("ext4", 2), ("xfs", 1), ("btrfs", 1)):
        used = results.disks.get(kind)
        ratio = used and used["dvol"] / (copies * used["data"] + used["changes"])
        against = f"{'2 x data' if copies == 2 else 'data'} + bytes changed"
        yield Line(f"disk after 20 commits of 1 %, {kind}", against, ratio, 1.3)


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "s":
        return tables.seconds(value)
    return f"{value:.0f} MiB" if unit == "MiB" else f"{value:.3g} x"
