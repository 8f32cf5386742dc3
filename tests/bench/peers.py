"""What people use instead: copies, rsync, archives, snapshots. Each ends with `sync -f`."""

from __future__ import annotations

from pathlib import Path

from tests.bench import clock
from tests.bench.clock import Command, Work, run
from tests.bench.filesystem import CLONES, Filesystem
from tests.bench.tool import Tool


class Copy(Tool):
    """A plain copy: what dvol itself did, and what everybody does first."""

    name = "cp -a"
    how = {
        "commit": "`cp -a LIVE NEW`",
        "reset": "`rm -r LIVE`, `cp -a COPY LIVE`",
        "branch": "`cp -a COPY NEW`",
        "switch": "`ln -sfn NEW CURRENT`",
    }
    changes = {"commit": ("1 %", "100 %"), "reset": ("1 %", "100 %")}
    options: tuple[str, ...] = ()

    def __init__(self, filesystem: Filesystem) -> None:
        super().__init__(filesystem)
        if filesystem.kind in CLONES:
            self.options = ("--reflink=never",)  # today's cp clones unless told not to

    def commit(self) -> Work:
        return [self._copy(str(self.live), self.made("copy")), self.filesystem.sync]

    def reset(self) -> Work:
        live = str(self.live)
        copy = self._copy(str(self.filesystem.reference), live)
        return [("rm", "-r", live), copy, self.filesystem.sync]

    def branch(self) -> Work:
        return [self._copy(str(self.filesystem.reference), self.made("copy")), self.filesystem.sync]

    def switch(self) -> Work:
        link = str(self.filesystem.place / "current")
        return [("ln", "-sfn", self.last("copy"), link), self.filesystem.sync]

    def tidy(self) -> None:
        for copy in self.filesystem.place.glob("copy-*"):
            run(("rm", "-r", str(copy)))

    def _copy(self, source: str, target: str) -> Command:
        return ("cp", "-a", *self.options, source, target)


class Clone(Copy):
    """The same with shared blocks, where the file system can."""

    name = "cp --reflink"
    kinds = CLONES
    how = {
        "commit": "`cp -a --reflink=always LIVE NEW`",
        "reset": "`rm -r LIVE`, `cp -a --reflink=always COPY LIVE`",
        "branch": "`cp -a --reflink=always COPY NEW`",
        "switch": Copy.how["switch"],
    }
    changes = {}

    def __init__(self, filesystem: Filesystem) -> None:
        super().__init__(filesystem)
        self.options = ("--reflink=always",)


class Rsync(Tool):
    """Unchanged files are hard links to the commit before. A file counts as unchanged by size
    and time of modification."""

    name = "rsync"
    how = {
        "commit": "`rsync -a --link-dest=LAST LIVE/ NEW`",
        "reset": "`rsync -a --delete COPY/ LIVE/`",
        "branch": "`rsync -a COPY/ NEW`",
    }
    keep = 1  # commits besides the reference

    def commit(self) -> Work:
        before = f"--link-dest={self.last('rsync')}"
        return [("rsync", "-a", before, f"{self.live}/", self.made("rsync")), self.filesystem.sync]

    def reset(self) -> Work:
        source, target = f"{self.filesystem.reference}/", f"{self.live}/"
        return [("rsync", "-a", "--delete", source, target), self.filesystem.sync]

    def branch(self) -> Work:
        return [
            ("rsync", "-a", f"{self.filesystem.reference}/", self.made("tree")),
            self.filesystem.sync,
        ]

    def last(self, what: str) -> str:
        made = sorted(self.filesystem.place.glob(f"{what}-*"), key=_number)
        return str(made[-1] if made else self.filesystem.reference)

    def tidy(self) -> None:
        made = sorted(self.filesystem.place.glob("rsync-*"), key=_number)
        for tree in [*made[: -self.keep], *self.filesystem.place.glob("tree-*")]:
            run(("rm", "-r", str(tree)))


class Tar(Tool):
    """An archive of everything."""

    name = "tar"
    how = {
        "commit": "`tar -cf NEW -C LIVE .`",
        "reset": "`rm -r LIVE`, `mkdir LIVE`, `tar -xf ARCHIVE -C LIVE`",
    }
    changes = {"commit": ("1 %",), "reset": ("1 %",)}

    def start(self) -> None:
        self.archive = str(self.filesystem.place / "reference.tar")
        run(("tar", "-cf", self.archive, "-C", str(self.filesystem.reference), "."))

    def commit(self) -> Work:
        made = self.made("archive")
        return [("tar", "-cf", made, "-C", str(self.live), "."), self.filesystem.sync]

    def reset(self) -> Work:
        live = str(self.live)
        unpack = ("tar", "-xf", self.archive, "-C", live)
        return [("rm", "-r", live), ("mkdir", live), unpack, self.filesystem.sync]

    def tidy(self) -> None:
        for archive in self.filesystem.place.glob("archive-*"):
            archive.unlink()


class Restic(Tool):
    """A repository of encrypted, deduplicated chunks, here on the same file system."""

    name = "restic"
    how = {
        "commit": "`restic backup LIVE`",
        "reset": "`rm -r LIVE`, `restic restore ID --target PARENT`",
    }
    changes = {"reset": ("1 %",)}

    def start(self) -> None:
        place = self.filesystem.place
        clock.ENVIRONMENT.update(RESTIC_PASSWORD="bench", RESTIC_PROGRESS_FPS="0")
        clock.ENVIRONMENT.update(RESTIC_CACHE_DIR=str(place / "restic-cache"))
        run(self._restic("init"), self._restic("backup", "--tag", "reference", "live"))

    def commit(self) -> Work:
        return [self._restic("backup", "live"), self.filesystem.sync]

    def reset(self) -> Work:
        where = ("--tag", "reference", "--target", str(self.filesystem.place))
        restore = self._restic("restore", "latest", *where)
        return [("rm", "-r", str(self.live)), restore, self.filesystem.sync]

    def _restic(self, *arguments: str) -> Command:
        # relative paths, so that a restore finds its way back: restic keeps them as given
        place = str(self.filesystem.place)
        return ("env", "-C", place, "restic", "-q", "-r", f"{place}/restic", *arguments)


class Snapshot(Tool):
    """btrfs's own snapshots, by its own command, of a subvolume of its own."""

    name = "btrfs"
    kinds = ("btrfs",)
    how = {
        "commit": "`btrfs subvolume snapshot -r LIVE NEW`",
        "reset": "`btrfs subvolume delete LIVE`, `btrfs subvolume snapshot COPY LIVE`",
        "branch": "`btrfs subvolume snapshot COPY NEW`",
    }

    def __init__(self, filesystem: Filesystem) -> None:
        super().__init__(filesystem)
        self.live = filesystem.place / "subvolume"

    def start(self) -> None:
        self.filesystem.fill(self.live)
        self.copy = str(self.filesystem.place / "frozen")
        run(_snapshot("-r", str(self.live), self.copy))

    def commit(self) -> Work:
        return [_snapshot("-r", str(self.live), self.made("snapshot")), self.filesystem.sync]

    def reset(self) -> Work:
        live = str(self.live)
        delete = ("btrfs", "subvolume", "delete", live)
        return [delete, _snapshot(self.copy, live), self.filesystem.sync]

    def branch(self) -> Work:
        return [_snapshot(self.copy, self.made("snapshot")), self.filesystem.sync]


def _snapshot(*arguments: str) -> Command:
    return ("btrfs", "subvolume", "snapshot", *arguments)


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])
