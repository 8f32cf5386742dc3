"""A live tree under changes at random: entries come, go, move, are linked, written and dressed.

What stands in the way of a change, a lock flag or a user's missing permission, is taken away for
that moment.
"""

import mmap
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ctypes import CDLL, c_int, c_long
from pathlib import Path
from random import Random
from typing import TypeVar

from tests.contract.inode_flags import flags_of, give
from tests.trees import attributes, entries, flags
from tests.trees.attributes import status_of

FEW, MANY = 30, 110  # entries below which a tree grows, and above which it shrinks
PATH_USED = 3500  # bytes: what lies deeper is changed with its directory only
KEEP_SIZE_AND_PUNCH = 3  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
Chosen = TypeVar("Chosen")
_libc = CDLL(None, use_errno=True)


class ChangingTree:
    """The live tree at `top`, changed as `rng` says."""

    def __init__(self, rng: Random, top: Path) -> None:
        self.rng = rng
        self.top = os.fsencode(top)
        self.directories: list[bytes] = []
        self.others: list[bytes] = []
        powers = os.geteuid() == 0
        self.makers = entries.WEIGHTS | (entries.OF_ROOT if powers else {})
        self.dresses = attributes.WEIGHTS | (attributes.OF_ROOT if powers else {})

    def change(self) -> str:
        """Make one change; its name."""
        self._look()
        size = len(self.directories) + len(self.others)
        changes = dict(CHANGES)
        changes[ChangingTree.make] *= 4 if size < FEW else 1
        changes[ChangingTree.delete] *= 8 if size > MANY else 1
        chosen = _chosen(self.rng, changes)
        chosen(self)
        return chosen.__name__

    def _look(self) -> None:
        self.directories, self.others = [self.top], []
        for path, directories, files in os.walk(self.top):
            links = [name for name in directories if os.path.islink(path + b"/" + name)]
            inner = [name for name in directories if name not in links]
            self.directories += [path + b"/" + name for name in inner]
            self.others += [path + b"/" + name for name in (*files, *links)]
        for found in (self.directories, self.others):
            found[:] = sorted(path for path in found if len(path) < PATH_USED)

    # -- the changes -------------------------------------------------------------------------------

    def make(self) -> None:
        path = self._new_path()
        if path:
            with loosened(os.path.dirname(path)):
                _chosen(self.rng, self.makers)(self.rng, path)
            for _ in range(self.rng.randint(0, 3)):
                self._dress(path)

    def link(self) -> None:
        path = self._new_path()
        if path and self.others:
            source = self.rng.choice(self.others)
            with loosened(source, os.path.dirname(path)):
                os.link(source, path, follow_symlinks=False)

    def dress(self) -> None:
        self._dress(self.rng.choice(self.directories + self.others))

    def _dress(self, path: bytes) -> None:
        change = _chosen(self.rng, self.dresses)
        if change is attributes.inode_flags:
            change(self.rng, path)
            return
        keeps_mode = change not in (attributes.mode, attributes.access_list)
        with loosened(path, modes=keeps_mode):
            change(self.rng, path)

    def delete(self) -> None:
        path = self._any()
        if path:
            self._delete(path)

    def move(self) -> None:
        source, target = self._any(), self._new_path()
        if source and target and not target.startswith(source + b"/"):
            with loosened(source, os.path.dirname(source), os.path.dirname(target)):
                os.rename(source, target)

    def exchange_kind(self) -> None:
        """Another entry, mostly of another kind, under the same name."""
        path = self._any()
        if path:
            self._delete(path)
            with loosened(os.path.dirname(path)):
                _chosen(self.rng, self.makers)(self.rng, path)

    def unlink_twin(self) -> None:
        """A copy of a file in the place of one of its names."""
        twins = [path for path in self._files() if status_of(path).st_nlink > 1]
        if twins:
            path = self.rng.choice(twins)
            status = status_of(path)
            with loosened(path, os.path.dirname(path)):
                copy = os.path.dirname(path) + b"/.copy"
                shutil.copyfile(os.fsdecode(path), os.fsdecode(copy))
                os.rename(copy, path)
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def overwrite(self) -> None:
        """In place, the size as before; at times the mtime, too."""
        self._write(self._overwrite)

    def store(self) -> None:
        """Through mmap."""
        self._write(self._store)

    def append(self) -> None:
        self._write(lambda fd, size: os.pwrite(fd, self.rng.randbytes(100), size))

    def truncate(self) -> None:
        self._write(lambda fd, size: os.ftruncate(fd, self.rng.randint(0, 2 * size)))

    def punch(self) -> None:
        self._write(self._punch)

    # -- how ---------------------------------------------------------------------------------------

    def _write(self, how: Callable[[int, int], object]) -> None:
        files = self._files()
        if files:
            path = self.rng.choice(files)
            with loosened(path):
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
                try:
                    how(fd, os.fstat(fd).st_size)
                finally:
                    os.close(fd)

    def _overwrite(self, fd: int, size: int) -> None:
        status = os.fstat(fd)
        if size:
            at = self.rng.randrange(size)
            os.pwrite(fd, self.rng.randbytes(min(self.rng.randint(1, 5000), size - at)), at)
        if self.rng.randrange(2):
            os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _store(self, fd: int, size: int) -> None:
        if size:
            with mmap.mmap(fd, size) as memory:
                memory[self.rng.randrange(size)] = self.rng.randrange(256)

    def _punch(self, fd: int, size: int) -> None:
        arguments = (c_long(self.rng.randint(0, size)), c_long(self.rng.randint(1, 50_000)))
        if _libc.fallocate(c_int(fd), c_int(KEEP_SIZE_AND_PUNCH), *arguments):
            raise OSError("fallocate")

    def _delete(self, path: bytes) -> None:
        if not stat.S_ISDIR(status_of(path).st_mode):
            with loosened(path, os.path.dirname(path)):
                os.unlink(path)
            return
        with loosened(os.path.dirname(path)):
            _loosen_all(path)
            shutil.rmtree(os.fsdecode(path))

    def _any(self) -> bytes:
        """Any entry but the root; directories rarely, since all that is in them goes along."""
        found = self.others if self.rng.randrange(5) else self.directories[1:]
        return self.rng.choice(found) if found else b""

    def _files(self) -> list[bytes]:
        return [path for path in self.others if stat.S_ISREG(status_of(path).st_mode)]

    def _new_path(self) -> bytes:
        """A path without an entry, or nothing."""
        name = entries.name(self.rng)
        path = self.rng.choice(self.directories) + b"/" + name
        return b"" if not entries.is_fit(name) or os.path.lexists(path) else path


CHANGES: dict[Callable[[ChangingTree], None], int] = {
    ChangingTree.make: 6, ChangingTree.link: 2, ChangingTree.dress: 6, ChangingTree.delete: 2,
    ChangingTree.move: 2, ChangingTree.exchange_kind: 1, ChangingTree.unlink_twin: 1,
    ChangingTree.overwrite: 2, ChangingTree.store: 1, ChangingTree.append: 1,
    ChangingTree.truncate: 1, ChangingTree.punch: 1,
}  # fmt: skip


@contextmanager
def loosened(*paths: bytes, modes: bool = True) -> Iterator[None]:
    """While these files and directories are without lock flags and, if `modes`, open to their user.
    They get both back, wherever they are by then."""
    with ExitStack() as undo:
        for path in dict.fromkeys(paths):
            if flags.has_flags(status_of(path)):
                fd = flags.opened(path)
                undo.callback(os.close, fd)
                _loosen(fd, modes, undo)
        yield


def _loosen(fd: int, modes: bool, undo: ExitStack) -> None:
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    locks = flags.unlock(fd)
    if locks:
        undo.callback(_lock_again, fd, locks)
    if modes and os.geteuid() != 0 and not mode & stat.S_IWUSR:
        os.fchmod(fd, mode | stat.S_IWUSR)
        undo.callback(os.fchmod, fd, mode)


def _lock_again(fd: int, locks: str) -> None:
    if os.fstat(fd).st_nlink:  # else it was deleted meanwhile
        give(fd, flags_of(fd) + locks)


def _loosen_all(top: bytes) -> None:
    for _, _, names, fd in os.fwalk(top, follow_symlinks=False):
        with ExitStack() as undo:
            _loosen(fd, True, undo)
            undo.pop_all()
        for name in names:
            if flags.has_flags(os.stat(name, dir_fd=fd, follow_symlinks=False)):
                file = flags.opened(name, fd)
                flags.unlock(file)
                os.close(file)


def _chosen(rng: Random, weights: dict[Chosen, int]) -> Chosen:
    return rng.choices([*weights], [*weights.values()])[0]
