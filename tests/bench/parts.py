"""The parts of the benchmark, each a file system with one workload, and how one is run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import disk, memory, peers
from tests.bench.buttervolume import Buttervolume
from tests.bench.clock import Failed
from tests.bench.filesystem import Filesystem
from tests.bench.results import Results
from tests.bench.rounds import OWN, Rounds
from tests.bench.subject import Dvol, Floor, InProcess, Start, Version
from tests.bench.tool import FULL, Tool
from tests.bench.workloads import GIB, WORKLOADS
from tests.lab import Unavailable
from tests.lab.filesystems import PLACE, mounted

SAME = "12 files"  # changed at every size: what is written is the same, only the rest grows
SIZES = ("tenth", "database", "large")
ARCHIVES = frozenset({"tar", "restic"})  # which share nothing with what they archive, anywhere
# Every tool, in the order of the tables: dvol, its peers, then the bounds and parts of dvol.
TOOLS: tuple[type[Tool], ...] = (
    Dvol,
    peers.Rsync,
    peers.Copy,
    peers.Clone,
    peers.Snapshot,
    Buttervolume,
    peers.Tar,
    peers.Restic,
    InProcess,
    Start,
    Version,
    Floor,
)
# Measured in every round where the acceptance asks for them, however slow.
NAMED = OWN | {"rsync", "cp -a", "cp --reflink", "btrfs"}


@dataclass(frozen=True)
class Depth:
    """How much of a part is run: `brief` is for the engineer's next try."""

    rounds: int
    brief: bool
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A file system and a workload. `room` is what the disk must have free, in GiB."""

    kind: str
    what: str
    room: int
    changes: tuple[str, ...] = ("1 %",)
    verbs: tuple[str, ...] = ("reset", "commit", "branch")
    without: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """As it is asked for."""
        return f"{self.kind}:{self.what}"

    def run(self, depth: Depth, results: Results) -> None:
        """Measure it; what this machine cannot give is noted."""
        if shutil.disk_usage(PLACE).free < self.room * GIB:
            results.notes.append(f"{self.name}: not measured: {PLACE} has no {self.room} GiB free")
            return
        try:
            _RUNS.get(self.what, _compare)(self, depth, results)
        except Unavailable as error:
            results.notes.append(f"{self.name}: not measured: {error}")


PARTS = (
    Part("ext4", "tenth", 4, without=ARCHIVES, verbs=("reset", "commit")),
    Part("ext4", "database", 20, FULL),
    Part("ext4", "small", 8, FULL),
    Part("ext4", "bigfile", 20, ("1 page",), ("reset", "commit"), ARCHIVES),
    Part("ext4", "large", 60, without=ARCHIVES, verbs=("reset", "commit")),
    Part("xfs", "database", 20, FULL, without=ARCHIVES),
    Part("xfs", "small", 8, without=ARCHIVES),
    Part("xfs", "bigfile", 10, ("1 page",), without=ARCHIVES),
    Part("btrfs", "database", 20, FULL, without=ARCHIVES),
    Part("btrfs", "small", 8, without=ARCHIVES),
    Part("btrfs", "bigfile", 10, ("1 page",), without=ARCHIVES),
    Part("btrfs", "sizes", 20, verbs=("reset", "commit")),
    Part("ext4", "memory", 10),
    *(Part(kind, "disk", 25) for kind in ("ext4", "xfs", "btrfs")),
)


def introduce(results: Results) -> None:
    """Tell what the tools are, in the order in which they are to be shown."""
    results.how = {tool.name: tool.how for tool in TOOLS}
    results.peers = [tool.name for tool in TOOLS if tool.peer]


def _compare(part: Part, depth: Depth, results: Results) -> None:
    """Every tool at every verb on one workload."""
    with _mounted(part) as root:
        filesystem = Filesystem(part.kind, root, WORKLOADS[part.what])
        filesystem.prepare()
        with ExitStack() as undo:
            tools = _started(part, depth, filesystem, results, undo)
            rounds = Rounds(part.name, filesystem, tools, results, depth.rounds)
            for verb in (verb for verb in part.verbs if verb in depth.verbs):
                _rounds(rounds, part, verb, depth)


def _rounds(rounds: Rounds, part: Part, verb: str, depth: Depth) -> None:
    if verb == "branch":  # which starts from a commit, whatever was changed since
        rounds.measure(("branch", "switch"), "none")
        return
    for change in part.changes:
        if change == "100 %" and depth.brief:
            continue
        named = change == "1 %" and part.name in ("ext4:database", "ext4:small")
        rounds.always = NAMED if named else OWN
        rounds.measure((verb,), change)


def _started(
    part: Part, depth: Depth, filesystem: Filesystem, results: Results, undo: ExitStack
) -> list[Tool]:
    """The tools that work here, each ready for its first turn."""
    wanted = [
        tool
        for tool in TOOLS
        if part.kind in tool.kinds
        and tool.name not in part.without
        and not (depth.brief and tool.peer and tool.name not in NAMED)
    ]
    return _start([tool(filesystem) for tool in wanted], part.name, results, undo)


def _start(tools: Sequence[Tool], part: str, results: Results, undo: ExitStack) -> list[Tool]:
    ready = []
    for tool in tools:
        try:
            undo.callback(tool.stop)
            tool.start()
            ready.append(tool)
        except (Failed, OSError) as error:
            results.notes.append(f"{part}: {tool.name} cannot run here: {error}")
    return ready


def _sizes(part: Part, depth: Depth, results: Results) -> None:
    """Snapshots must cost the same at every size: dirty data, three sizes in the same rounds."""
    with _mounted(part) as root, ExitStack() as undo:
        all_rounds = []
        for size in SIZES:
            filesystem = Filesystem(part.kind, root, WORKLOADS[size])
            filesystem.prepare()
            tools = [tool(filesystem) for tool in (Dvol, InProcess, peers.Snapshot)]
            ready = _start(tools, part.name, results, undo)
            all_rounds.append(
                Rounds(part.name, filesystem, ready, results, depth.rounds, dirty=True)
            )
        for verb in (verb for verb in part.verbs if verb in depth.verbs):
            for rounds in all_rounds:
                rounds.measure((verb,), SAME)


def _mounted(part: Part) -> AbstractContextManager[Path]:
    # the image is sparse; room for inodes and for what is deleted late is given freely
    return mounted(part.kind, 3 * part.room * GIB)


def _aside(measure: Callable[[Path, str, Results], None]) -> Callable[..., None]:
    """A part that times nothing and makes its own file systems."""
    return lambda part, depth, results: measure(part.kind, 3 * part.room * GIB, results)


_RUNS: dict[str, Callable[[Part, Depth, Results], None]] = {
    "sizes": _sizes,
    "memory": _aside(memory.measure),
    "disk": _aside(disk.measure),
}
