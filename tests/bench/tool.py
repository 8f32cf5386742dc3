"""What a tool under measurement is: a live tree, and the work that each verb is for it."""

from __future__ import annotations

from pathlib import Path

from tests.bench.clock import Work
from tests.bench.filesystem import Filesystem

FULL = ("0 %", "1 %", "100 %")


class Tool:
    """Each verb is a method that gives the work; what it does not have, it is not measured at.

    `changes` tells per verb which changes matter to it: a full copy takes as long whatever was
    changed, so it is measured at some only. `kinds` are the file systems it works on. `how` says
    in words what is timed, for the document.
    """

    name: str
    how: dict[str, str]
    changes: dict[str, tuple[str, ...]] = {}
    kinds: tuple[str, ...] = ("ext4", "xfs", "btrfs")
    peer = True  # a bound or a part of dvol is no peer: nobody would use it instead
    live: Path

    def __init__(self, filesystem: Filesystem) -> None:
        self.filesystem = filesystem
        self.live = filesystem.live
        self.turn = 0

    def start(self) -> None:
        """What comes once, before any timing."""

    def tidy(self) -> None:
        """What is left of a turn goes, outside the timing, so that the disk does not fill."""

    def stop(self) -> None:
        """What was started ends."""

    def can(self, verb: str, change: str) -> bool:
        """Is it measured at this?"""
        return hasattr(self, verb) and change in self.changes.get(verb, (change,))

    def work(self, verb: str) -> Work:
        """What one timing of `verb` runs; counted, so that a tool can name what it makes."""
        self.turn += 1
        work: Work = getattr(self, verb)()
        return work

    def made(self, what: str) -> str:
        """The path of what this turn makes."""
        return str(self.filesystem.place / f"{what}-{self.turn}")

    def last(self, what: str) -> str:
        """The path of what the turn before made, or the reference."""
        path = self.filesystem.place / f"{what}-{self.turn - 1}"
        return str(path if path.exists() else self.filesystem.reference)
