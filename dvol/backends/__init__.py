"""Strategies: how a tree is frozen, thawed and reset (copy, btrfs); no volumes, commits or locks.

A backend knows only paths. Unless its `durable` is true it makes nothing durable: its caller does
that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from dvol.journal.steps import Mover, Step
from dvol.tree.flags import Flags


class FreezeHints(NamedTuple):
    """What is known about a live tree before it is frozen or reset.

    `index_file` is the tree's index, in the backend's own form; it may be missing, stale or
    garbage, and is used only as far as it proves something; None says to use none. `parent` is the
    commit to compare with first. `full` says to ignore the index and to compare every byte.
    `writers_stopped` says that every process that could write to the tree has ended, and is not
    only paused. `precopied` is the directory in which `precopy` puts its clones, and `freeze` looks
    for them. `urgent` says that containers wait: pages that can be written to the disk later are
    left for later. `summaries` is the directory with the summaries of frozen trees, by their names.
    `flags` are the inode flags of the tree that is reset to, as `thaw` takes them.
    """

    index_file: Path | None
    parent: Path | None = None
    full: bool = False
    writers_stopped: bool = False
    precopied: Path | None = None
    urgent: bool = False
    summaries: Path | None = None
    flags: Flags | None = None


class TreeIndex(Protocol):
    """What a backend knows about a live tree after a freeze, thaw or reset, for the next of
    them."""

    def save(self, path: Path, base: Path) -> None:
        """Write it to a new file, which need not be durable. `base` is the frozen tree that equals
        the live one, at the place where it stays."""


class TreeSummary(Protocol):
    """What shows later that a frozen tree is undamaged."""

    @property
    def flags(self) -> Flags | None:
        """The inode flags of the tree that was frozen, as `Backend.thaw` takes them."""

    def save(self, path: Path) -> None:
        """Write it to a new file, which the caller makes durable."""

    def symlinks(self) -> Iterator[str] | None:
        """The paths of the symbolic links in the tree; None if they are not known."""


class Frozen(NamedTuple):
    """What a freeze learned: of the live tree, for the next verb, and of the frozen one."""

    tree_index: TreeIndex | None
    summary: TreeSummary


class StagedReset:
    """A reset of a live tree, staged; the steps of a journal are left to be applied.

    Every step is a rename, an exchange or a change of attributes, needs no space and may be applied
    twice. `changes` describes the files that the steps set aside, for `reconstruct`. Of
    `stage_refill` there is no such step, but `final` ones, for a journal of their own.
    """

    def __init__(self, steps: list[Step], changes: Any, final: Sequence[Step] = ()) -> None:
        self.steps = steps
        self.changes = changes
        self.final = final

    def tree_index(self) -> TreeIndex | None:
        """What is known of the tree after the steps were applied; to be called before any process
        writes to it."""
        return None


class Backend(Mover, Protocol):
    """Operations on trees. A target must not exist, and its parent directory must."""

    def create(self, tree: Path) -> None:
        """Make an empty tree, `root:root 0755`, which Docker's copy-up then fills from an image."""

    def atomic(self, tree: Path) -> bool:
        """Whether `freeze` gives this tree as it was at one instant, also while processes write to
        it."""

    def require_space(self, tree: Path, hints: FreezeHints) -> None:
        """Raise NoSpace if freezing the tree has to copy more than fits on the file system."""

    def require_space_to_reset(self, frozen: Path, tree: Path, hints: FreezeHints) -> None:
        """Raise NoSpace if `stage_reset` would, as far as that can be found out while processes
        write to the tree."""

    def require_space_to_refill(self, frozen: Path, tree: Path, hints: FreezeHints) -> None:
        """Raise NoSpace if `stage_refill` would, as far as that can be found out while processes
        write to the tree."""

    def require_space_to_reconstruct(self, entry: Path) -> None:
        """Raise NoSpace if `reconstruct` from `entry`, and a reset to its result, would not fit."""

    def precopy(self, tree: Path, hints: FreezeHints) -> None:
        """Do the part of a `freeze` that can be done while processes write to the tree, in the new
        directory `hints.precopied`, so that the freeze takes less time. The directory may be
        deleted at any time before the freeze."""

    def freeze(self, tree: Path, into: Path, hints: FreezeHints) -> Frozen:
        """Make `into` a frozen tree equal to `tree`.

        Content, owner, mode, times, extended attributes, hard links: everything that a program
        could see. On an error `into` may be left half made; `delete` deletes that too.
        """

    def thaw(self, frozen: Path, into: Path, flags: Flags | None = None) -> TreeIndex | None:
        """Make `into` a writable tree equal to the frozen one, sharing nothing that a write
        to it could change. It gets the recorded inode `flags`; None if they are not known, or are
        part of the frozen tree."""

    def stage_reset(self, frozen: Path, tree: Path, entry: Path, hints: FreezeHints) -> StagedReset:
        """Stage in the directory `entry` the files that make `tree` equal to the frozen one.

        Once the steps are applied `entry` holds the files that they set aside. No process may write
        to the tree from this call until the steps are applied.
        """

    def is_committed(self, changes: Any, tree: Path, frozen: Path) -> bool:
        """Whether every file of the live `tree` that the steps of a staged reset with these
        `changes` will set aside is in the frozen tree `frozen` too, by status. To be called before
        the steps are applied. False where that is not known."""

    def stage_refill(
        self, frozen: Path, tree: Path, entry: Path, hints: FreezeHints
    ) -> StagedReset:
        """For a reset for which there is no room: its final step deletes what differs in the tree,
        and copies into the room that this frees.

        Raises NoSpace if that would not be enough either. `entry` is for files of that step.
        """

    def reconstruct(
        self,
        entry: Path,
        changes: Any,
        frozen: Path,
        into: Path,
        flags: Flags | None = None,
    ) -> Flags | None:
        """Make `into` a frozen tree equal to the live one before a reset to `frozen`, whose steps
        set files aside in `entry`. The entry stays as it is. Takes the recorded inode flags of
        `frozen`, and returns those of `into`."""


def choose(pool: Path) -> Backend:
    """The best backend for the file system that `pool` lies on, and for its owner: only root can
    delete a subvolume (btrfs(5), user_subvol_rm_allowed). A pool that has subvolumes keeps them."""
    from dvol.fs import btrfs

    if btrfs.usable(pool) and (_is_roots(pool) or _has_subvolumes(pool)):
        from dvol.backends.btrfs import Btrfs

        return Btrfs()
    from dvol.backends.copy.copy import Copy

    return Copy()


def _is_roots(pool: Path) -> bool:
    """Also of a pool that does not exist yet, which will belong to the user who makes it."""
    try:
        return os.stat(pool).st_uid == 0
    except FileNotFoundError:
        return True


def _has_subvolumes(pool: Path) -> bool:
    """Whether a live tree is one: root has worked in the pool with an earlier build."""
    from dvol.fs import btrfs

    for tree in pool.glob("*/branches/*"):
        with suppress(FileNotFoundError):  # another process has just moved it
            if os.lstat(tree).st_ino == btrfs.ROOT:
                return True
    return False
