"""The file system that tools are measured on, with a live tree and a reference for the peers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.clock import Command, run
from tests.bench.workloads import Workload, write

CLONES = ("xfs", "btrfs")  # where files can share blocks


@dataclass(frozen=True)
class Filesystem:
    """A file system of `kind` mounted at `root`, for one workload below `place`."""

    kind: str
    root: Path
    workload: Workload

    @property
    def place(self) -> Path:
        """The directory of this workload; several workloads may share the file system."""
        return self.root / self.workload.name

    @property
    def live(self) -> Path:
        """The tree that the peers commit and reset; each leaves it as it found it."""
        return self.place / "live"

    @property
    def reference(self) -> Path:
        """What the peers reset to. Never changed after it was made."""
        return self.place / "reference"

    @property
    def sync(self) -> Command:
        """Ends the work of every tool that does not make its result durable itself."""
        return ("sync", "-f", str(self.root))

    def prepare(self) -> None:
        """Make the live tree and the reference."""
        self.place.mkdir()
        self.live.mkdir()
        write(self.live, self.workload.files())
        self.fill(self.reference)

    def fill(self, tree: Path) -> None:
        """Give a tree the workload's bytes, times and owners, in the quickest way there is."""
        if self.kind == "btrfs" and not tree.exists():
            run(("btrfs", "subvolume", "create", str(tree)))
        tree.mkdir(parents=True, exist_ok=True)
        run(("cp", "-a", "--reflink=auto", f"{self.live}/.", str(tree)))

    def settle(self) -> None:
        """The state before every timing: all is on disk.

        Not waited for is btrfs's cleaner, which starts twice a minute and so slows all alike.
        """
        run(self.sync)
