"""Backends: how trees are made, frozen and restored, and nothing else.

A backend knows paths. It knows no volume, branch, commit or container, and takes no lock; unless
`durable` says so it makes nothing durable. Whoever calls it does all of that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

Step = list[Any]  # of a journal, with absolute paths


class Past(NamedTuple):
    """What is known about a live tree before a move.

    `memory` is the file where a backend's own knowledge of that tree lies; it may be missing,
    stale or garbage, and is believed only as far as it proves right. `likely` is the frozen tree
    that the live one most likely still resembles. `full` says to believe nothing and to compare
    every byte. `ended` says that every process that could write to the tree has ended, not only
    paused. `ahead` is where `work_ahead` puts its clones, and `freeze` looks for them. `hurry`
    says that somebody waits for the move: what can be written to the disk later is.
    """

    memory: Path
    likely: Path | None = None
    full: bool = False
    ended: bool = False
    ahead: Path | None = None
    hurry: bool = False


class Memory(Protocol):
    """What a backend knows about a live tree after a move, for the next one."""

    def save(self, path: Path, base: Path) -> None:
        """Write it to a new file, which need not be durable. `base` is where the frozen tree
        now lies that the live one was made equal to, or that was made from it."""


class Replacement:
    """A staged change of a live tree, which only the steps of a journal still have to take.

    Every step is a rename, an exchange or a change of attributes, needs no space and may be
    taken twice. `changes` describes what the steps set aside, for `rebuild`.
    """

    def __init__(self, steps: list[Step], changes: Any) -> None:
        self.steps = steps
        self.changes = changes

    def remember(self) -> Memory | None:
        """What is known of the tree once the steps are taken, while nobody writes to it."""
        return None


class Backend(Protocol):
    """Moves on trees. Each target must not exist, and its parent must."""

    durable: bool  # what it has made is durable when a move returns

    def create(self, tree: Path) -> None:
        """Make an empty tree, `root:root 0755`, which Docker's copy-up then fills as it likes."""

    def atomic(self, tree: Path) -> bool:
        """Whether `freeze` gives this tree as it was at one instant, whoever writes to it."""

    def require_space(self, tree: Path, past: Past) -> None:
        """Raise NoSpace if freezing the tree has to copy more than fits."""

    def require_space_to_replace(self, frozen: Path, tree: Path, past: Past) -> None:
        """Raise NoSpace if `replace` would, as far as that can be told while others write to the
        tree."""

    def require_space_to_rebuild(self, entry: Path) -> None:
        """Raise NoSpace if `rebuild` from that entry, and a replacement by it, would not fit."""

    def work_ahead(self, tree: Path, past: Past) -> None:
        """Do now, while others may write to the tree, what makes a `freeze` shorter, in the new
        directory `past.ahead`. It may be left undone, and what it leaves deleted."""

    def freeze(self, tree: Path, into: Path, past: Past) -> Memory | None:
        """Make `into` equal to `tree`, for good.

        Content, owner, mode, times, extended attributes, links: everything a program could
        see. On an error `into` may be left half made; `delete` takes that too.
        """

    def restore(self, frozen: Path, into: Path) -> Memory | None:
        """Make `into` a writable tree equal to the frozen one, sharing nothing that a write
        to it could change."""

    def replace(self, frozen: Path, tree: Path, entry: Path, past: Past) -> Replacement:
        """Stage in the directory `entry` what makes `tree` equal to the frozen one.

        Once the steps are taken `entry` holds what they set aside. Nobody else may write to the
        tree from this call until the steps are taken.
        """

    def rebuild(self, entry: Path, changes: Any, frozen: Path, into: Path) -> None:
        """Make `into` a frozen tree equal to what a replacement by `frozen` has set aside in
        `entry`, which stays as it is."""

    def delete(self, tree: Path) -> None:
        """Delete a tree, a frozen one, a half-made one, a file, or a directory that holds such.

        Nothing there is no error. OSError EBUSY at a mount point.
        """

    def move(self, source: Path, target: Path) -> None:
        """Rename a tree, or a directory that holds trees, within the pool's file system."""

    def identity(self, path: Path) -> int:
        """A number that belongs to the file or tree at `path` and to no other on its file system,
        whatever it is called. Raises FileNotFoundError."""


def choose(pool: Path) -> Backend:
    """The best backend for the file system that `pool` lies on."""
    from dvol.fs import btrfs

    if btrfs.usable(pool):
        from dvol.backends.btrfs import Btrfs

        return Btrfs()
    from dvol.backends.copy.copy import Copy

    return Copy()
