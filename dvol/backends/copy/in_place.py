"""Making a live tree equal to a frozen one in place: unchanged files are not touched.

Every replacement is staged first; the steps of a journal, which only rename, exchange and set
attributes, do the rest. The step that exchanges a file with its replacement also sets the old file
aside, so `reconstruct` can make the replaced tree again.

    <entry>/files/<n>    a staged replacement, and once its step is applied the file it replaced
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvol.backends import FreezeHints, StagedReset
from dvol.backends.copy.thaw import Thawer
from dvol.errors import DiskFailed, PathOccupied, SwapInUse, disk_failed
from dvol.fs import flags, mountinfo, projects, swap
from dvol.fs.beneath import DIRECTORY, Beneath
from dvol.fs.clock import wait_until_after
from dvol.fs.create import make_new_directory
from dvol.fs.flags import LOCKS
from dvol.journal.steps import Exchange, Move, SetAttributes, SetFlags, SetTimes, Step
from dvol.tree import space
from dvol.tree.change_detection import signature
from dvol.tree.compare import Change, Comparison, Kind
from dvol.tree.delete import delete_tree
from dvol.tree.flags import NO_FLAGS, Flags, below, folders_of, give
from dvol.tree.hardlinks import HardLinks, count_names
from dvol.tree.index import NOTHING, Index, IndexWriter, epoch, load
from dvol.tree.metadata import copy_attributes, same_status
from dvol.tree.walk import fill


class InPlace(StagedReset):
    """A staged reset that replaces single files of a live tree."""

    def __init__(self, stager: Stager, writers_stopped: bool) -> None:
        super().__init__(stager.steps + stager.last, stager.changes)
        self.tree = stager.tree
        self.placed = stager.placed  # path of a file, inode of the frozen one, status of the staged
        self.index = stager.thawer.index
        self.writers_stopped = writers_stopped

    def tree_index(self) -> Index:
        """The exchange has changed the ctime of each file, so their status is read once more, if no
        process can have written to them since."""
        newest = 0
        if not self.writers_stopped:
            return self.index
        with Beneath(self.tree) as live:
            for path, frozen, staged in self.placed:
                status = _status_at(live, path)
                if status and status.st_ino == staged.st_ino and same_status(status, staged):
                    folder, name = os.path.split(path)
                    self.index.directories.setdefault(folder, {})[name] = signature(status, frozen)
                    newest = max(newest, status.st_ctime_ns)
        return self.index if wait_until_after(newest) else Index()


class Stager:
    """Stages the changes that a comparison found: the steps, and what they set aside."""

    def __init__(
        self,
        frozen: Beneath,
        live: Beneath,
        entry: Path,
        tree: Path,
        thawer: Thawer,
        found: Flags | None,
    ) -> None:
        self.flags = found or NO_FLAGS
        self.flags_known = found is not None
        self.copied: list[tuple[str, str]] = []  # path of an entry, number of its copy
        self.frozen = frozen
        self.live = live
        self.entry = entry
        self.tree = tree
        self.thawer = thawer
        self.steps: list[Step] = []
        self.last: list[Step] = []  # attributes and times: XFS touches what it moves
        self.changes: list[Any] = []
        self.placed: list[tuple[str, int, os.stat_result]] = []
        self.count = 0
        make_new_directory(self.entry / "files", 0o700)
        self.files = os.open(self.entry / "files", DIRECTORY)
        flags.put(self.files, 0)  # else all below would inherit those of the pool's own directory
        self.settable = flags.settable() if self.flags else 0
        self.projects = projects.StagedFor(self.files)

    def close(self) -> None:
        self.projects.end()
        os.close(self.files)

    def stage(self, change: Change) -> None:
        match change.kind:
            case Kind.ADD:
                self._add(change)
            case Kind.REMOVE:
                self._remove(change)
            case Kind.REPLACE:
                self._replace(change)
            case Kind.ATTRIBUTES:
                self._set_attributes(change)
            case Kind.TIMES:
                self._set_times(change)

    def give_flags(self) -> None:
        """Set the inode flags of the copies, once all are made: an immutable file can't get another
        name. What locks an entry itself is left to the steps: files come after directories, since
        one may have another name in these, which has locked it."""
        if self.flags:
            folders = folders_of(self.flags)
            with Beneath(self.entry / "files") as files:
                for path, number in sorted(self.copied, key=self._is_file):
                    found = dict(below(self.flags, path, folders))
                    found |= {"": found.get("", 0) & ~LOCKS}
                    give(found, files, number)

    def _is_file(self, copied: tuple[str, str]) -> bool:
        _, number = copied
        status = os.stat(number, dir_fd=self.files, follow_symlinks=False)
        return not stat.S_ISDIR(status.st_mode)

    def _add(self, change: Change) -> None:
        self.steps.append(Move(self._stage_copy(change), self._live_path(change)))
        new = self._staged_status()
        times: list[Step] = []
        if stat.S_ISDIR(new.st_mode):
            times.append(SetTimes.between(self._live_path(change), new, new))
        self.last += self._locking(change, new, times)
        self.changes.append(["added", change.path])

    def _remove(self, change: Change) -> None:
        staged = self._next_path()
        self.steps.append(Move(self._live_path(change), staged))
        self.changes.append(["removed", change.path, str(self.count)])

    def _replace(self, change: Change) -> None:
        staged = self._stage_copy(change)
        new = self._staged_status()
        self.steps.append(Exchange(staged, self._live_path(change), new.st_ino, change.old))
        directory, name = self.live.parent(change.path)
        old = os.stat(name, dir_fd=directory, follow_symlinks=False)
        times: list[Step] = []
        if stat.S_ISDIR(new.st_mode) or stat.S_ISDIR(old.st_mode):
            times.append(SetTimes.between(self._live_path(change), new, old))
            times.append(SetTimes.between(staged, old, new))
        self.last += self._locking(change, new, times)
        self.changes.append(["replaced", change.path, str(self.count)])

    def _locking(self, change: Change, new: os.stat_result, times: list[Step]) -> list[Step]:
        """The steps that set the times, and then lock the new entry if it is locked in its tree."""
        own = self.flags.get(change.path, 0) & self.settable
        if not own & LOCKS:
            return times
        return [*times, SetFlags(self._live_path(change), new.st_ino, own, own & ~LOCKS)]

    def _set_attributes(self, change: Change) -> None:
        """Two empty directories carry the attributes, one the new and one the old."""
        before = flags.get(self.live.directory(change.path))
        after = self.flags.get(change.path, 0) if self.flags_known else before
        new = self._template(self.frozen.directory(change.path), after)
        old = self._template(self.live.directory(change.path), before)
        self.last.append(SetAttributes(new, self._live_path(change), old))
        self.changes.append(["attributes", change.path, str(self.count)])

    def _set_times(self, change: Change) -> None:
        new = os.fstat(self.frozen.directory(change.path))
        old = os.fstat(self.live.directory(change.path))
        self.last.append(SetTimes.between(self._live_path(change), new, old))
        self.changes.append(["times", change.path, old.st_atime_ns, old.st_mtime_ns])

    def _stage_copy(self, change: Change) -> str:
        """Copy the frozen entry under the next number; returns the path of the copy."""
        staged = self._next_path()
        self.copied.append((change.path, str(self.count)))
        self._take_project(change)
        directory, name = self.frozen.parent(change.path)
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._stage_directory(name, directory, change)
        else:
            number, path = str(self.count), change.path
            placed = self.thawer.place_one(name, directory, number, self.files, path)
            if placed is not None and not self.flags.get(path, 0) & ~self.settable:
                self.placed.append((change.path, status.st_ino, placed))
        return staged

    def _stage_directory(self, name: str, directory: int, change: Change) -> None:
        os.mkdir(str(self.count), 0o700, dir_fd=self.files)
        source = os.open(name, DIRECTORY, dir_fd=directory)
        target = os.open(str(self.count), DIRECTORY, dir_fd=self.files)
        try:
            fill(source, target, None, str(self.tree), self.thawer, change.path)
        finally:
            os.close(source)
            os.close(target)

    def _take_project(self, change: Change) -> None:
        """Let the copy be made with the project of the directory that it goes to."""
        parent = os.path.dirname(change.path)
        if not self.projects.knows(parent):
            self.projects.ask(parent, self.live.directory(parent))
        self.projects.become(parent)

    def _staged_status(self) -> os.stat_result:
        """The status of the entry that was staged last."""
        return os.stat(str(self.count), dir_fd=self.files, follow_symlinks=False)

    def _template(self, directory: int, own: int) -> str:
        staged = self._next_path()
        os.mkdir(str(self.count), 0o700, dir_fd=self.files)
        target = os.open(str(self.count), DIRECTORY, dir_fd=self.files)
        try:
            copy_attributes(directory, target)
            flags.put(target, own & flags.settable())
        finally:
            os.close(target)
        return staged

    def _next_path(self) -> str:
        self.count += 1
        return f"{self.entry}/files/{self.count}"

    def _live_path(self, change: Change) -> str:
        return f"{self.tree}/{change.path}" if change.path else str(self.tree)


def stage_reset(frozen: Path, tree: Path, entry: Path, hints: FreezeHints) -> InPlace:
    """Compare two trees and stage the changes; see `Backend.stage_reset`."""
    links = entry / "links"
    mountinfo.refuse(tree)
    with Beneath(frozen) as source, Beneath(tree) as live:
        if os.fstat(live.directory("")).st_dev != os.lstat(entry).st_dev:
            raise PathOccupied(f"the file system mounted at {tree}")
        try:
            comparison = compare(source, live, tree, hints)
        except OSError as error:
            raise disk_failed(error, tree) from error
        refuse_swap(comparison.changes, tree)
        found = hints.flags or NO_FLAGS
        thawer = Thawer(comparison.names, HardLinks(links), comparison.index, found)
        stager = Stager(source, live, entry, tree, thawer, hints.flags)
        try:
            space.require(stager.files, tree, lambda: _to_copy(comparison, source))
            for change in comparison.changes:
                stager.stage(change)
            stager.give_flags()
        except OSError as error:
            raise disk_failed(error, tree) from error
        finally:
            stager.close()
    delete_tree(links)
    if not wait_until_after(thawer.newest):  # before any process can reach the staged files
        comparison.index.directories.clear()
    return InPlace(stager, hints.writers_stopped)


def refuse_swap(changes: list[Change], tree: Path) -> None:
    """Raise SwapInUse if a file in use as swap space would be set aside or deleted, alone or with a
    directory."""
    for path in swap.below(tree):
        moved = {str(path.relative_to(tree)), *map(str, path.relative_to(tree).parents)}
        for change in changes:
            if change.kind in (Kind.REMOVE, Kind.REPLACE) and change.path in moved:
                raise SwapInUse(str(path))


def require_space(frozen: Path, tree: Path, hints: FreezeHints) -> None:
    """See `Backend.require_space_to_reset`. The trees are compared only where space may be short.
    An OSError on the way, such as a file that vanishes meanwhile, is left to `stage_reset`."""
    with Beneath(frozen) as source, Beneath(tree) as live:

        def needed() -> int:
            return _to_copy(compare(source, live, tree, hints), source)

        with suppress(DiskFailed, OSError):
            space.require(live.directory(""), tree, needed)


def compare(frozen: Beneath, live: Beneath, tree: Path, hints: FreezeHints) -> Comparison:
    """The live tree compared with the frozen one; files that are equal are in its index."""
    source, target = frozen.directory(""), live.directory("")
    index = Index(epoch(target))
    comparison = Comparison(
        count_names(source),
        str(tree),
        known=NOTHING if hints.full else load(hints.index_file, index.epoch),
        writer=IndexWriter(target, index, hints.writers_stopped),
        inode_flags=hints.flags,
    )
    comparison.run(target, source)
    return comparison


def _to_copy(comparison: Comparison, frozen: Beneath) -> int:
    copied = (Kind.ADD, Kind.REPLACE)
    paths = (change.path for change in comparison.changes if change.kind in copied)
    return sum(_size(frozen, path) for path in paths)


def _status_at(live: Beneath, path: str) -> os.stat_result | None:
    """None if the file was deleted meanwhile: some process writes to the tree after all."""
    try:
        directory, name = live.parent(path)
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None


def _size(frozen: Beneath, path: str) -> int:
    directory, name = frozen.parent(path)
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return space.size(status)
    return space.total(frozen.directory(path), lambda _, __, status: space.size(status))
