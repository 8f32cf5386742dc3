"""dvol itself, as whole processes and inside this process, and the least that it could take."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

from tests.bench.clock import Command, Failed, Work, run
from tests.bench.filesystem import Filesystem
from tests.bench.tool import Tool

ROOT = Path(__file__).parents[2]
VOLUME = "data"


def build() -> Path:
    """The command as `make install` would lay it down, built anew if a source has changed."""
    subprocess.run(["make", "-s", "build/dvol-here"], cwd=ROOT, check=True)
    return ROOT / "build" / "dvol-here"


class Dvol(Tool):
    """The command, embedded: a whole process for each verb. It makes its result durable itself."""

    name = "dvol"
    how = {
        "commit": "`dvol commit`",
        "reset": "`dvol reset --hard HEAD`",
        "branch": "`dvol checkout -b NEW`",
        "switch": "`dvol checkout master`",
    }
    peer = False
    program = ROOT / "build" / "dvol-here"

    def __init__(self, filesystem: Filesystem) -> None:
        super().__init__(filesystem)
        self.pool = filesystem.place / f"pool-{type(self).__name__.lower()}"
        self.live = self.pool / VOLUME / "branches" / "master"

    def start(self) -> None:
        run(self.command("init", VOLUME))
        self.filesystem.fill(self.live)
        run(self.command("commit", "-m", "the reference", VOLUME))

    def command(self, *arguments: str) -> Command:
        """The command line of one verb."""
        options = ("--pool", str(self.pool), "--disable-docker-integration")
        return (str(self.program), *options, *arguments)

    def commit(self) -> Work:
        return [self.command("commit", "-m", "a round", VOLUME)]

    def reset(self) -> Work:
        return [self.command("reset", "--hard", "HEAD", VOLUME)]

    def branch(self) -> Work:
        return [self.command("checkout", "-b", f"turn-{self.turn}", VOLUME)]

    def switch(self) -> Work:
        return [self.command("checkout", "master", VOLUME)]

    def tidy(self) -> None:
        for tree in (self.pool / VOLUME / "branches").glob("turn-*[0-9]"):
            run(self.command("branch", "-d", tree.name, VOLUME))
        for room in ("trash", "garbage"):
            for entry in (self.pool / ".dvol" / room).glob("*"):
                _delete(entry, self.filesystem.kind)


class InProcess(Dvol):
    """The same verbs as calls, in a Python that runs already: what a server's request costs."""

    name = "dvol in process"
    kinds = ("btrfs",)  # where a process's start is most of the time
    how = {"commit": "`LocalEngine.commit`", "reset": "`LocalEngine.reset`"}
    branch = switch = None  # type: ignore[assignment]

    def start(self) -> None:
        from dvol.containers import NoContainers
        from dvol.engine.local import LocalEngine

        super().start()
        self.engine = LocalEngine(self.pool, NoContainers(certain=True))

    def can(self, verb: str, change: str) -> bool:
        return verb in self.how

    def commit(self) -> Work:
        return lambda: self.engine.commit(VOLUME, "a round", "bench <bench@localhost>")

    def reset(self) -> Work:
        return lambda: self.engine.reset(VOLUME, "HEAD")


class Start(Tool):
    """What every verb does before its work: a process starts, reads its command line, and opens
    the volume."""

    name = "process start"
    how = {"commit": "`dvol log`"}
    changes = {"commit": ("0 %", "1 page")}
    peer = False

    def commit(self) -> Work:
        return [Dvol(self.filesystem).command("log", VOLUME)]


class Version(Tool):
    """The part of that which is Python's and the imports'."""

    name = "its version"
    how = {"commit": "`dvol --version`"}
    changes = Start.changes
    peer = False

    def commit(self) -> Work:
        return [(str(Dvol.program), "--version")]


class Floor(Tool):
    """The least that a commit of hard links does; the process's start is not in it."""

    name = "walk, links, sync"
    kinds = ("ext4", "xfs")  # between btrfs's subvolumes there are no hard links
    how = {"commit": "in process: `stat` of every file, a tree of hard links, `syncfs`"}
    changes = {"commit": ("0 %",)}
    peer = False

    def commit(self) -> Work:
        made = self.made("links")
        return lambda: _floor(str(self.live), str(self.filesystem.reference), made)

    def tidy(self) -> None:
        for tree in self.filesystem.place.glob("links-*"):
            run(("rm", "-r", str(tree)))


def _floor(live: str, before: str, made: str) -> None:
    _walk(live)
    _link(before, made)
    descriptor = os.open(made, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
        raise Failed(f"syncfs: {os.strerror(ctypes.get_errno())}")
    os.close(descriptor)


def _walk(tree: str) -> None:
    with os.scandir(tree) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                _walk(entry.path)


def _link(tree: str, made: str) -> None:
    os.mkdir(made)
    with os.scandir(tree) as entries:
        for entry in entries:
            to = f"{made}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                _link(entry.path, to)
            else:
                os.link(entry.path, to)


def _delete(entry: Path, kind: str) -> None:
    """`rm -rf`, which on btrfs is told about read-only subvolumes first; they keep it out."""
    if kind == "btrfs":
        for top, _, _ in os.walk(entry):
            if os.stat(top).st_ino == 256:  # a subvolume's root
                run(("btrfs", "property", "set", "-ts", top, "ro", "false"))
    run(("rm", "-rf", str(entry)))
