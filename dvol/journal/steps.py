"""The steps of a journal, as they are taken on disk, and taken back.

A step looks at what is there and does what is left to do, so that it may be taken any number of
times, by any process. Paths lead into trees whose content somebody else chooses: they are
resolved by `beneath`, so that nothing outside the pool is ever touched.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from dvol.backends import Backend, Step
from dvol.errors import BadDocument, Corrupt
from dvol.fs.beneath import Beneath, is_beneath
from dvol.fs.documents import is_number, is_word
from dvol.fs.durable import ONE_LOG, exchange, filesystem, named
from dvol.layout import OWN
from dvol.tree.metadata import copy_attributes

_ATTRIBUTES = ("dress", "times")
_SHAPES: dict[str, tuple[type, ...]] = {
    "exchange": (str, str, int, int),
    "move": (str, str),
    "dress": (str, str, str),
    "times": (str, int, int, int, int),
    "discard": (str,),
}


class Taker:
    """Takes the steps of one journal, below `root`, or takes them back."""

    def __init__(self, root: Path, backend: Backend) -> None:
        self._root = root
        self._backend = backend
        self._one, self._other = Beneath(root), Beneath(root)  # each keeps its last directory open
        self._kind = filesystem(self._one.directory(""))

    def __enter__(self) -> Taker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._one.close()
        self._other.close()

    def take(self, step: Step) -> None:
        """Take a step, unless it was taken before."""
        kind, *arguments = step
        try:
            getattr(self, f"_{kind}")(*arguments)
        except OSError as error:
            subject = 1 if kind in ("move", "exchange", "dress") else 0
            error.filename = f"{self._root}/{arguments[subject]}"
            raise
        if not self._kind:
            self._sync([step])

    def sync(self, steps: list[Step]) -> None:
        """Make all steps durable. Only names have changed, and attributes: syncing the whole
        file system would write out what was just discarded."""
        if self._kind:
            self._sync(steps[-1:] if self._kind in ONE_LOG else steps)

    def left(self, steps: list[Step]) -> list[Step]:
        """The steps that may still have to be taken: those after the last one that certainly
        was, because dvol's own source of it is gone. Names change in order, so then all before
        it were taken; and they can't be taken again once what they were staged in has moved."""
        for at in range(len(steps), 0, -1):
            kind, source, *_ = steps[at - 1]
            own = OWN in source.split("/")[:2]
            if kind in ("move", "discard") and own and not self._exists(source, self._one):
                return steps[at:]
        return steps

    def take_back(self, steps: list[Step]) -> bool:
        """Take back whatever was taken of `steps`, by whom ever, so that nothing has happened.

        What can't be is left as it is; False then.
        """
        whole = True
        names = [step for step in reversed(steps) if step[0] not in _ATTRIBUTES]
        attributes = [step for step in reversed(steps) if step[0] in _ATTRIBUTES]
        for kind, *arguments in names + attributes:  # names change the times of directories
            try:
                getattr(self, f"_{kind}_back")(*arguments)
            except (OSError, Corrupt):
                whole = False
        return whole

    def _exchange(self, staged: str, live: str, new: int, old: int) -> None:
        """The staged one becomes the live one, and the live one the staged.

        In a pool that was copied file by file neither inode is there: nobody knows then.
        """
        if self._exists(_aside(staged), self._one):  # begun by renames
            self._exchange_by_renames(staged, live, new)
        elif self._identity(live, self._other) != new:
            if self._identity(live, self._other) != old:
                raise BadDocument(f"{self._root}/{live}", "neither the old one nor the new")
            try:
                self._swap(staged, live)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._exchange_by_renames(staged, live, new)

    def _swap(self, staged: str, live: str) -> None:
        (one, name), (other, other_name) = self._one.parent(staged), self._other.parent(live)
        exchange(name, other_name, one, other)

    def _exchange_by_renames(self, staged: str, live: str, new: int) -> None:
        """For file systems without RENAME_EXCHANGE: leaves a hole, which the journal covers."""
        if not self._exists(_aside(staged), self._one):
            self._rename(live, _aside(staged))
        if self._identity(staged, self._one) == new:
            self._rename(staged, live)
        self._rename(_aside(staged), staged)

    def _exchange_back(self, staged: str, live: str, new: int, old: int) -> None:
        if self._exists(_aside(staged), self._one):  # renames were under way
            if self._exists(live, self._other):
                self._rename(live, staged)
            self._rename(_aside(staged), live)
        else:
            self._exchange(staged, live, old, new)

    def _move(self, source: str, target: str) -> None:
        if self._exists(source, self._one):
            self._rename(source, target)

    def _move_back(self, source: str, target: str) -> None:
        if not self._exists(source, self._one) and self._exists(target, self._other):
            self._rename(target, source)

    def _rename(self, source: str, target: str) -> None:
        (one, name), (other, new_name) = self._one.parent(source), self._other.parent(target)
        self._backend.move(_at(one, name), _at(other, new_name))

    def _dress(self, new: str, path: str, old: str) -> None:
        copy_attributes(self._one.directory(new), self._other.directory(path))

    def _dress_back(self, new: str, path: str, old: str) -> None:
        self._dress(old, path, new)

    def _times(self, path: str, accessed: int, modified: int, *old: int) -> None:
        directory, name = self._one.parent(path)
        os.utime(name, ns=(accessed, modified), dir_fd=directory, follow_symlinks=False)

    def _times_back(self, path: str, accessed: int, modified: int, *old: int) -> None:
        with suppress(FileNotFoundError):  # it was only there for the verb
            self._times(path, *old)

    def _discard(self, path: str) -> None:
        """What can't be deleted now the next verb sweeps: no reason to take anything back."""
        with suppress(OSError):
            self._backend.delete(self._root / path)

    def _exists(self, path: str, below: Beneath) -> bool:
        return self._identity(path, below) is not None

    def _identity(self, path: str, below: Beneath) -> int | None:
        try:
            directory, name = below.parent(path)
            return self._backend.identity(_at(directory, name))
        except FileNotFoundError:
            return None

    def _discard_back(self, path: str) -> None:
        """Nothing can be brought back that only dvol ever needed."""

    def _sync(self, steps: list[Step]) -> None:
        paths = [path for step in steps for path in step[1:3] if isinstance(path, str)]
        for path in dict.fromkeys(path.rpartition("/")[0] for path in paths):
            # one that is not there was moved by a later step
            with named(f"{self._root}/{path}"), suppress(FileNotFoundError):
                os.fsync(self._one.directory(path))


def putting(root: Path, staged: Path, live: Path) -> list[Step]:
    """Steps that replace a document by a staged one, or put it where none is. By an exchange,
    which can be taken back."""
    paths = [str(path.relative_to(root)) for path in (staged, live)]
    try:
        old = os.lstat(live).st_ino
    except FileNotFoundError:
        return [["move", *paths]]
    return [["exchange", *paths, os.lstat(staged).st_ino, old]]


def is_step(step: Any) -> bool:
    """Known, whole, and inside the root: recovery moves and deletes only what is dvol's."""
    if not isinstance(step, list) or not step or str(step[0]) not in _SHAPES:
        return False
    kind, *arguments = step
    shape = _SHAPES[kind]
    return len(arguments) == len(shape) and all(map(_fits, arguments, shape))


def _at(directory: int, name: str) -> Path:
    """A path to an entry of an open directory, for calls that take no descriptor."""
    return Path(f"/proc/self/fd/{directory}/{name}")


def _aside(staged: str) -> str:
    return staged + ".aside"


def _fits(argument: Any, kind: type) -> bool:
    if kind is int:
        return is_number(argument)
    return is_word(argument) and argument != "" and is_beneath(argument)
