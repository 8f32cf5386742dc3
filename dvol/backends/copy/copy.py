"""The backend that works on every file system: trees are plain directories.

Nothing unchanged is copied: `freezing` links it from an older frozen tree, `replacing` leaves it
where it is. This class puts the moves together from those parts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dvol.backends import Past, Replacement
from dvol.backends.copy.freeze import Freezer, WriteBack
from dvol.backends.copy.precopy import Ahead, work_ahead
from dvol.errors import disk_failed
from dvol.fs.beneath import DIRECTORY
from dvol.tree import space
from dvol.tree.change_detection import Moment
from dvol.tree.delete import delete_tree
from dvol.tree.hardlinks import Groups, names_of_files
from dvol.tree.index import NOTHING, Index, Known, load, moment, wait_until_after
from dvol.tree.walk import fill


class Copy:
    """See `Backend` for the promises. What only some moves need is imported late."""

    durable = False

    def create(self, tree: Path) -> None:
        os.mkdir(tree)
        os.chmod(tree, 0o755)  # noqa: S103  mkdir's mode is cut by the umask

    def require_space(self, tree: Path, past: Past) -> None:
        fd = os.open(tree, DIRECTORY)
        try:
            space.require(fd, tree, lambda: _to_copy(fd, past))
        finally:
            os.close(fd)

    def atomic(self, tree: Path) -> bool:
        return False

    def require_space_to_replace(self, frozen: Path, tree: Path, past: Past) -> None:
        from dvol.backends.copy.in_place import require_space

        require_space(frozen, tree, past)

    def require_space_to_rebuild(self, entry: Path) -> None:
        """What was set aside is copied, and then staged from that copy."""
        with suppress(OSError):  # which whoever rebuilds will tell
            fd = os.open(entry / "files", DIRECTORY)
            try:
                space.require(fd, entry, lambda: 2 * space.total(fd, _whole))
            finally:
                os.close(fd)

    def work_ahead(self, tree: Path, past: Past) -> None:
        if past.ahead is None:
            return
        with suppress(OSError):  # which whoever freezes will tell
            fd = os.open(tree, DIRECTORY)
            try:
                work_ahead(tree, past.ahead, _known(moment(fd), past).is_clean)
            finally:
                os.close(fd)

    def freeze(self, tree: Path, into: Path, past: Past) -> Index:
        with _copying(tree, into) as (source, target, groups):
            index = Index(moment(source))
            known = _known(index.moment, past)
            known = known if known.base else Known({}, past.likely)
            freezer = Freezer(
                known=known,
                ended=past.ended,
                index=index,
                written_back=WriteBack(source, index.moment is not None),
                groups=groups,
                device=os.fstat(source).st_dev,
                ahead=Ahead(past.ahead),
                hurry=past.hurry,
            )
            beside = _opened(known.base)
            try:
                # what changes from here on is seen to be younger than the walk
                wait_until_after(os.fstat(target).st_ctime_ns)
                fill(source, target, beside, str(tree), freezer)
            finally:
                if beside is not None:
                    os.close(beside)
        return index

    def restore(self, frozen: Path, into: Path) -> Index:
        from dvol.backends.copy.thaw import Restorer

        with _copying(frozen, into) as (source, target, groups):
            space.require(target, into, lambda: space.total(source, _whole))
            restorer = Restorer(names_of_files(source), groups, Index(moment(target)))
            fill(source, target, None, str(frozen), restorer)
        return restorer.index if wait_until_after(restorer.newest) else Index()

    def replace(self, frozen: Path, tree: Path, entry: Path, past: Past) -> Replacement:
        from dvol.backends.copy.in_place import replace

        return replace(frozen, tree, entry, past)

    def rebuild(self, entry: Path, changes: Any, frozen: Path, into: Path) -> None:
        from dvol.backends.copy.in_place import rebuild

        rebuild(entry, changes, frozen, into)

    def delete(self, tree: Path) -> None:
        delete_tree(tree)

    def move(self, source: Path, target: Path) -> None:
        os.rename(source, target)

    def identity(self, path: Path) -> int:
        return os.lstat(path).st_ino


def _known(now: Moment | None, past: Past) -> Known:
    return NOTHING if past.full else load(past.memory, now)


def _whole(path: str, name: str, status: os.stat_result) -> int:
    return space.size(status)


def _to_copy(tree: int, past: Past) -> int:
    """Bytes of the files that are not known to be unchanged."""
    known = _known(moment(tree), past)

    def visit(path: str, name: str, status: os.stat_result) -> int:
        return 0 if known.is_clean(path, name, status) else space.size(status)

    return space.total(tree, visit)


def _opened(base: Path | None) -> int | None:
    """The frozen tree to link from; one that is gone only costs time."""
    try:
        return None if base is None else os.open(base, DIRECTORY)
    except OSError:
        return None


@contextmanager
def _copying(source: Path, target: Path) -> Iterator[tuple[int, int, Groups]]:
    """Both directories open, the target new, and a place beside it for names of groups."""
    links = target.with_name(target.name + ".links")
    fds: list[int] = []
    try:
        fds.append(os.open(source, DIRECTORY))
        os.mkdir(target, 0o700)
        fds.append(os.open(target, DIRECTORY))
        yield fds[0], fds[1], Groups(links)
    except OSError as error:
        raise disk_failed(error, source) from error
    finally:
        for fd in fds:
            os.close(fd)
    delete_tree(links)
