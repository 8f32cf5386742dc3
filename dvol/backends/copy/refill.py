"""Making a live tree equal to a frozen one where there is no room to stage a copy beside it.

What differs is deleted first, all of it, and then copied into the room that this has freed. Nothing
can be reverted. After a crash the trees are compared anew, so that whatever is half made is made
again.

    <aside>/flags     the inode flags of the frozen tree, as a summary that holds only these
    <aside>/links/    names of files that have several, while the others are placed
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from dvol.backends import FreezeHints, StagedReset
from dvol.backends.copy.in_place import compare, refuse_swap
from dvol.backends.copy.thaw import Thawer
from dvol.errors import DiskFailed, DvolError, NoSpace
from dvol.fs import flags, mountinfo, refusals
from dvol.fs.beneath import DIRECTORY, Beneath
from dvol.fs.clock import now, wait_until_after
from dvol.fs.durable import durably
from dvol.journal.steps import Refill
from dvol.tree import space
from dvol.tree.change_detection import TICK
from dvol.tree.compare import Change, Comparison, Kind
from dvol.tree.content import can_clone
from dvol.tree.delete import delete_tree
from dvol.tree.flags import NO_FLAGS, Flags, below, folders_of, give
from dvol.tree.hardlinks import HardLinks, count_names
from dvol.tree.index import Index, epoch, load
from dvol.tree.metadata import copy_attributes
from dvol.tree.summary import flags_at, save_flags
from dvol.tree.usage import DiskUsage
from dvol.tree.walk import fill

_DELETED = (Kind.REMOVE, Kind.REPLACE)
_COPIED = (Kind.ADD, Kind.REPLACE)
_FLAGS = "flags"  # in `aside`: the inode flags of the frozen tree, if they are known


def refill(frozen: Path, tree: Path, index: Path, aside: Path) -> None:
    """See `Mover.refill`."""
    mountinfo.refuse(tree)
    links = aside / "links"
    delete_tree(links)  # of an application that was killed
    with durably(tree), Beneath(frozen) as source, Beneath(tree) as live:
        found = flags_at(aside / _FLAGS)
        changes = _compare(source, live, tree, index, found)
        names = count_names(source.directory(""))
        thawer = Thawer(names, HardLinks(links), Index(), found or NO_FLAGS)
        Refiller(source, live, tree, thawer, found).apply(changes)
    delete_tree(links)


def stage_refill(frozen: Path, tree: Path, entry: Path, hints: FreezeHints) -> StagedReset:
    """See `Backend.stage_refill`."""
    mountinfo.refuse(tree)
    with Beneath(frozen) as source, Beneath(tree) as live:
        changes = _compare(source, live, tree, _index_file(hints, entry), hints.flags)
        refuse_swap(changes, tree)
        _require(changes, source, live, tree)
    if hints.flags is not None:
        save_flags(entry / _FLAGS, hints.flags)
    return StagedRefill(frozen, tree, entry, hints)


def require_space(frozen: Path, tree: Path, hints: FreezeHints) -> None:
    """See `Backend.require_space_to_refill`. An OSError on the way, such as a file that vanishes
    meanwhile, is left to `stage_refill`."""
    with Beneath(frozen) as source, Beneath(tree) as live, suppress(DiskFailed, OSError):
        index = _index_file(hints, tree)
        _require(_compare(source, live, tree, index, hints.flags), source, live, tree)


def _index_file(hints: FreezeHints, beside: Path) -> Path:
    """The index of the live tree; where there is none to believe, a path at which no file is."""
    return hints.index_file or beside.with_name(beside.name + ".index")


class StagedRefill(StagedReset):
    """A staged refill of a live tree."""

    def __init__(self, frozen: Path, tree: Path, entry: Path, hints: FreezeHints) -> None:
        step = Refill(str(frozen), str(tree), str(_index_file(hints, entry)), str(entry))
        super().__init__([], None, [step])
        self.frozen = frozen
        self.tree = tree
        self.hints = hints

    def tree_index(self) -> Index | None:
        """The files are compared once more, one tick later. Without an index the next commit would
        ask for room for a copy of each, which it does not need."""
        wait_until_after(now() + TICK)
        try:
            with Beneath(self.frozen) as source, Beneath(self.tree) as live:
                return compare(source, live, self.tree, self.hints).index
        except DvolError:
            return None


class Refiller:
    """Applies changes to the open live tree `live`."""

    def __init__(
        self, frozen: Beneath, live: Beneath, tree: Path, thawer: Thawer, found: Flags | None
    ) -> None:
        self.flags = found  # of the frozen tree
        self.lifted: dict[str, int] = {}  # the flags of directories whose locks were lifted
        self.frozen = frozen
        self.live = live
        self.tree = tree
        self.thawer = thawer

    def apply(self, changes: list[Change]) -> None:
        """Raises NoSpace, DiskFailed, TreeChanged."""
        copies = [change for change in changes if change.kind in _COPIED]
        path = ""
        try:
            for change in changes:
                path = change.path
                if change.kind in _DELETED:
                    self._delete(path)
            while copies:
                path = copies[-1].path
                self._copy(path)
                copies.pop()
            for change in reversed(changes):  # a directory after those in it
                path = change.path
                if change.kind in (Kind.ATTRIBUTES, Kind.TIMES):
                    self._set_attributes(path)
            self._give_flags(changes)
        except (OSError, DvolError) as error:
            raise self._named(error, path, copies) from error

    def _set_attributes(self, path: str) -> None:
        directory = self.live.directory(path)
        self._lift(directory, path)
        copy_attributes(self.frozen.directory(path), directory)

    def _give_flags(self, changes: list[Change]) -> None:
        """Of what was made, and of the directories in which something was."""
        known = self.flags is not None
        wanted: Flags = self.lifted if self.flags is None else self.flags
        folders = folders_of(wanted)
        for change in changes:
            if change.kind in _COPIED:
                inherited = {"": 0} if known else {}
                found = inherited | dict(below(wanted, change.path, folders))
                give(found, self.live, change.path)
            elif change.path in self.lifted or (known and change.kind == Kind.ATTRIBUTES):
                give({"": wanted.get(change.path, 0)}, self.live, change.path)

    def _lift(self, directory: int, path: str) -> None:
        """Lift the locks of an open directory, so that names in it can be changed."""
        if (own := flags.get(directory)) & flags.LOCKS and flags.may_lock():
            self.lifted[path] = own
            flags.unlock(directory)

    def _delete(self, path: str) -> None:
        directory, name = self._parent(path)
        delete_tree(Path(f"/proc/self/fd/{directory}/{name}"))

    def _copy(self, path: str) -> None:
        source, name = self.frozen.parent(path)
        target, _ = self._parent(path)
        if not stat.S_ISDIR(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode):
            self.thawer.place_one(name, source, name, target, path)
            return
        os.mkdir(name, 0o700, dir_fd=target)
        one = os.open(name, DIRECTORY, dir_fd=source)
        other = os.open(name, DIRECTORY, dir_fd=target)
        try:
            flags.put(other, 0)  # else all below would inherit those of the live directory
            fill(one, other, None, str(self.tree), self.thawer, path)
        finally:
            os.close(one)
            os.close(other)

    def _parent(self, path: str) -> tuple[int, str]:
        """The open directory that holds the last component of `path`, and that component. A user
        other than root may need the write bit first: a directory with changes gets the frozen
        one's attributes in the end."""
        directory, name = self.live.parent(path)
        self._lift(directory, os.path.dirname(path))
        if os.geteuid() != 0:
            os.fchmod(directory, 0o700)
        return directory, name

    def _named(self, error: OSError | DvolError, path: str, left: list[Change]) -> DvolError:
        """The error to raise for an error at `path`, while the changes `left` are to be copied. If
        the disk is full, what was half copied is deleted: gc, which may make room, needs some."""
        if space.is_full(error):
            if left:
                with suppress(OSError):
                    self._delete(path)
            needs = max(4096, _to_copy(self.frozen, left))
            return NoSpace(str(self.tree), str(needs), str(space.free(self.live.directory(""))))
        return error if isinstance(error, DvolError) else refusals.named(error, self.tree / path)


def _compare(
    frozen: Beneath, live: Beneath, tree: Path, index: Path, found: Flags | None
) -> list[Change]:
    source, target = frozen.directory(""), live.directory("")
    known = load(index, epoch(target))
    comparison = Comparison(count_names(source), str(tree), known=known, inode_flags=found)
    comparison.run(target, source)
    return comparison.changes


def _require(changes: list[Change], frozen: Beneath, live: Beneath, tree: Path) -> None:
    """Raise NoSpace unless the copies fit once the deletions are made."""
    needs = _to_copy(frozen, changes) - _freed(changes, live)
    free = space.free(live.directory(""))
    if needs > free and not can_clone(live.directory("")):
        raise NoSpace(str(tree), str(needs), str(free))


def _freed(changes: list[Change], live: Beneath) -> int:
    """The bytes that the deletions free."""
    usage, found = DiskUsage(), 0
    for change in changes:
        if change.kind in _DELETED:
            directory, name = live.parent(change.path)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            found += usage.freed("", name, status)
            if stat.S_ISDIR(status.st_mode):
                found += space.total(live.directory(change.path), usage.freed)
    return found


def _to_copy(frozen: Beneath, changes: list[Change]) -> int:
    """The bytes that the copies take; a file with several names is copied once."""
    seen: set[int] = set()

    def size(path: str, name: str, status: os.stat_result) -> int:
        known = status.st_ino in seen
        seen.add(status.st_ino)
        return 0 if known else space.size(status)

    found = 0
    for change in changes:
        if change.kind in _COPIED:
            directory, name = frozen.parent(change.path)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            found += size("", name, status)
            if stat.S_ISDIR(status.st_mode):
                found += space.total(frozen.directory(change.path), size)
    return found
