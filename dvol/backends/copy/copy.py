"""The copy backend itself: the operations of `Backend`, put together from the other modules
here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dvol.backends import FreezeHints, Frozen, StagedReset
from dvol.backends.copy.freeze import Freezer
from dvol.backends.copy.precopy import Precopied, precopy
from dvol.errors import disk_failed
from dvol.fs import projects
from dvol.fs.beneath import DIRECTORY
from dvol.fs.clock import wait_until_after
from dvol.fs.create import make_new_directory
from dvol.fs.directories import opened_directory
from dvol.fs.flags import put, settable
from dvol.tree import space
from dvol.tree.change_detection import Epoch
from dvol.tree.delete import delete_tree
from dvol.tree.flags import NO_FLAGS, Flags, give_all
from dvol.tree.hardlinks import HardLinks, count_names
from dvol.tree.index import NOTHING, Index, IndexWriter, LoadedIndex, epoch, load
from dvol.tree.summary import NONE, Summary, SummaryWriter, known_of
from dvol.tree.walk import fill


class Copy:
    """See `Backend` for the promises. What only some operations need is imported late."""

    durable = False

    def create(self, tree: Path) -> None:
        make_new_directory(tree)
        os.chmod(tree, 0o755)  # noqa: S103  mkdir's mode is cut by the umask

    def require_space(self, tree: Path, hints: FreezeHints) -> None:
        with opened_directory(tree) as fd:
            space.require(fd, tree, lambda: _to_copy(fd, hints))

    def atomic(self, tree: Path) -> bool:
        return False

    def require_space_to_reset(self, frozen: Path, tree: Path, hints: FreezeHints) -> None:
        from dvol.backends.copy.in_place import require_space

        require_space(frozen, tree, hints)

    def require_space_to_refill(self, frozen: Path, tree: Path, hints: FreezeHints) -> None:
        from dvol.backends.copy.refill import require_space

        require_space(frozen, tree, hints)

    def require_space_to_reconstruct(self, entry: Path) -> None:
        """The files that were set aside are copied, and then staged from that copy."""
        with suppress(OSError), opened_directory(entry / "files") as fd:  # reported later
            space.require(fd, entry, lambda: 2 * space.total(fd, _entry_size))

    def precopy(self, tree: Path, hints: FreezeHints) -> None:
        if hints.precopied is None:
            return
        with suppress(OSError), opened_directory(tree) as fd:  # `freeze` will report it
            precopy(tree, hints.precopied, _known(epoch(fd), hints).is_clean)

    def freeze(self, tree: Path, into: Path, hints: FreezeHints) -> Frozen:
        with _source_and_target(tree, into) as (source, target, links):
            index = Index(epoch(source))
            known = _known(index.epoch, hints)
            known = known if known.base else LoadedIndex({}, hints.parent)
            writer = IndexWriter(source, index, hints.writers_stopped)
            summary = SummaryWriter(_summary_of(known.base, hints))
            precopied = Precopied(hints.precopied)
            freezer = Freezer(known, writer, summary, links, precopied, hints.urgent)
            parent_dir = _open_parent(known.base)
            try:
                # from here on a change gets a later ctime than the target had at the start
                wait_until_after(os.fstat(target).st_ctime_ns)
                fill(source, target, parent_dir, str(tree), freezer)
            finally:
                if parent_dir is not None:
                    os.close(parent_dir)
        return Frozen(index, summary)

    def thaw(self, frozen: Path, into: Path, flags: Flags | None = None) -> Index:
        from dvol.backends.copy.thaw import Thawer

        with _source_and_target(frozen, into) as (source, target, links):
            space.require(target, into, lambda: space.total(source, _entry_size))
            thawer = Thawer(count_names(source), links, Index(epoch(target)), flags or NO_FLAGS)
            fill(source, target, None, str(frozen), thawer)
            if flags:
                give_all(flags, into)
                thawer.index.forget(path for path, own in flags.items() if own & ~settable())
        return thawer.index if wait_until_after(thawer.newest) else Index()

    def stage_reset(self, frozen: Path, tree: Path, entry: Path, hints: FreezeHints) -> StagedReset:
        from dvol.backends.copy.in_place import stage_reset

        return stage_reset(frozen, tree, entry, hints)

    def stage_refill(
        self, frozen: Path, tree: Path, entry: Path, hints: FreezeHints
    ) -> StagedReset:
        from dvol.backends.copy.refill import stage_refill

        return stage_refill(frozen, tree, entry, hints)

    def refill(self, frozen: Path, tree: Path, index: Path, aside: Path) -> None:
        from dvol.backends.copy.refill import refill

        refill(frozen, tree, index, aside)

    def is_committed(self, changes: Any, tree: Path, frozen: Path) -> bool:
        from dvol.backends.copy.committed import is_committed

        return is_committed(changes, tree, frozen)

    def reconstruct(
        self,
        entry: Path,
        changes: Any,
        frozen: Path,
        into: Path,
        flags: Flags | None = None,
    ) -> Flags | None:
        from dvol.backends.copy.reconstruct import reconstruct

        return reconstruct(entry, changes, frozen, into, flags)

    def delete(self, tree: Path) -> None:
        delete_tree(tree)

    def move(self, source: Path, target: Path) -> None:
        projects.rename(source, target)

    def exchange(self, one: Path, other: Path) -> None:
        projects.exchange(one, other)

    def identity(self, path: Path) -> int:
        return os.lstat(path).st_ino


def _known(now: Epoch | None, hints: FreezeHints) -> LoadedIndex:
    return NOTHING if hints.full else load(hints.index_file, now)


def _summary_of(base: Path | None, hints: FreezeHints) -> Summary:
    """The summary of the frozen tree to link from; an empty one if there is none."""
    if base is None or hints.summaries is None:
        return NONE
    return known_of(base, hints.summaries)


def _entry_size(path: str, name: str, status: os.stat_result) -> int:
    return space.size(status)


def _to_copy(tree: int, hints: FreezeHints) -> int:
    """Bytes of the files that are not clean."""
    known = _known(epoch(tree), hints)

    def visit(path: str, name: str, status: os.stat_result) -> int:
        return 0 if known.is_clean(path, name, status) else space.size(status)

    return space.total(tree, visit)


def _open_parent(base: Path | None) -> int | None:
    """The frozen tree to link from; None if it no longer exists, which only costs time."""
    try:
        return None if base is None else os.open(base, DIRECTORY)
    except OSError:
        return None


@contextmanager
def _source_and_target(source: Path, target: Path) -> Iterator[tuple[int, int, HardLinks]]:
    """The open `source`, the new `target`, open, and the hard links, kept in a directory beside
    it."""
    links = target.with_name(target.name + ".links")
    fds: list[int] = []
    try:
        fds.append(os.open(source, DIRECTORY))
        make_new_directory(target, 0o700)
        fds.append(os.open(target, DIRECTORY))
        put(fds[1], 0)  # else all below would inherit those of the pool's own directory
        yield fds[0], fds[1], HardLinks(links)
    except OSError as error:
        raise disk_failed(error, source) from error
    finally:
        for fd in fds:
            os.close(fd)
    delete_tree(links)
