"""Disk used after 20 commits of 1 % change, by what the file system itself says is taken."""

from __future__ import annotations

import os
import shutil

from tests.bench.clock import run
from tests.bench.filesystem import Filesystem
from tests.bench.peers import Restic, Rsync
from tests.bench.results import Results
from tests.bench.subject import VOLUME, Dvol
from tests.bench.tool import Tool
from tests.bench.workloads import WORKLOADS, rewrite, write
from tests.lab.filesystems import mounted

COMMITS = 20


def measure(kind: str, size: int, results: Results) -> None:
    """A fresh file system for each tool; bytes go to `results.disks` under the kind's name."""
    used = results.disks[kind] = {}
    for tool in (Dvol, Rsync, Restic):
        if tool is Dvol or shutil.which(tool.name):
            with mounted(kind, size) as root:
                used[tool.name] = _used(tool(Filesystem(kind, root, WORKLOADS["database"])), used)


def _used(tool: Tool, used: dict[str, int]) -> int:
    filesystem = tool.filesystem
    empty = _taken(filesystem)
    filesystem.place.mkdir()
    _fill(tool)
    used.setdefault("data", _taken(filesystem) - empty)
    used["changes"] = 0
    for number in range(COMMITS + 1):
        if number:
            pages = rewrite(tool.live, filesystem.workload, "1 %", f"disk {number}")
            used["changes"] += sum(len(page.old) for page in pages)
        run(*tool.work("commit"))
    return _taken(filesystem) - empty


def _fill(tool: Tool) -> None:
    """The live data, written and not cloned: what is shared with a reference would not count."""
    if isinstance(tool, Dvol):
        run(tool.command("init", VOLUME))
    else:
        tool.live.mkdir()
        tool.filesystem.reference.mkdir()  # empty: the first commit is a whole one
    write(tool.live, tool.filesystem.workload.files())
    if isinstance(tool, Restic):
        tool.start()


def _taken(filesystem: Filesystem) -> int:
    filesystem.settle()
    if filesystem.kind == "btrfs":
        # waits for the deletions that btrfs makes later: that space is not used
        run(("btrfs", "subvolume", "sync", str(filesystem.root)))
    state = os.statvfs(filesystem.root)
    return (state.f_blocks - state.f_bfree) * state.f_frsize
