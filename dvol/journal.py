"""The redo journal: several durable steps that happen all or not at all.

A verb first stages everything it needs and makes that durable, then writes its steps here,
and only then takes them. From the moment the journal is durable the verb *will* happen: by its
own process or by whoever opens the volume next. So the steps are only renames, exchanges and
deletions, which need no space, and each can be taken again without harm:

    ["exchange", staged, live, new, old]   swap the two, unless `live` has the new inode already
    ["times", path, atime, mtime]          in ns; XFS touches a directory that it exchanges
    ["move", from, to]                     rename over `to`, unless `from` is gone already
    ["discard", path]                      delete a tree or file dvol made, if it is there

Paths are relative to the root of the volume or the pool. A journal that exists is a closed
gate: nobody mounts or changes the volume before the steps are complete.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvol.atomic import exchange, read_json, replace_json, sync_directory
from dvol.errors import BadDocument

FORMAT = 1
Step = list[Any]


@dataclass(frozen=True)
class Journal:
    """The journal of one volume or pool. Whoever calls any verb here holds its lock."""

    path: Path
    root: Path
    staging: Path
    delete: Callable[[Path], None]

    def pending(self) -> bool:
        """Whether a verb is under way, or was when its process died."""
        return os.path.lexists(self.path)

    def run(self, verb: str, steps: list[Step]) -> None:
        """Take `steps`, all or none. What they move must be durable already."""
        replace_json(self.path, {"format": FORMAT, "verb": verb, "steps": steps}, self.staging)
        # from here on the verb happens, whoever completes it
        try:
            self._take(steps)
        except OSError:
            if self._untouched(steps[0]):
                self._clear()  # ... unless it can't even begin: then it did not happen
            raise

    def complete(self) -> None:
        """Take the steps that a dead process left, if it left any."""
        if self.pending():
            self._take(self._read())

    def staged(self) -> list[str]:
        """What lies in the staging: without a journal, the leavings of a dead process."""
        try:
            return os.listdir(self.staging)
        except FileNotFoundError:
            return []

    def recover(self) -> None:
        """Complete what a dead process began, then delete what it had only staged."""
        self.complete()
        for name in self.staged():
            self.delete(self.staging / name)

    def _take(self, steps: list[Step]) -> None:
        for kind, *arguments in steps:
            _KINDS[kind](self, *arguments)
        self._clear()

    def _clear(self) -> None:
        os.unlink(self.path)
        sync_directory(self.path.parent)

    def _untouched(self, step: Step) -> bool:
        """Whether a step that failed has changed nothing."""
        kind, source, *rest = step
        if kind == "move":
            return os.path.lexists(self.root / source)
        if kind == "exchange":
            begun = os.path.lexists(_aside(self.root / source))
            return not begun and not _is_inode(self.root / rest[0], rest[1])
        return False

    def _read(self) -> list[Step]:
        document = read_json(self.path)
        known = isinstance(document, dict) and document.get("format") == FORMAT
        steps = document.get("steps") if known else None
        if not isinstance(steps, list) or not all(map(_is_step, steps)):
            raise BadDocument(str(self.path), "not a journal that this dvol can complete")
        return steps

    def _exchange(self, staged: str, live: str, new: int, old: int) -> None:
        """The staged tree becomes the live one, and the live one the staged.

        In a pool that was copied file by file neither inode is there: nobody knows then.
        """
        one, other = self.root / staged, self.root / live
        if os.path.lexists(_aside(one)):  # begun by renames
            _exchange_by_renames(one, other, new)
        elif not _is_inode(other, new):
            if not _is_inode(other, old):
                raise BadDocument(str(self.path), f"{other} is neither the old tree nor the new")
            try:
                exchange(one, other)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                _exchange_by_renames(one, other, new)
        _sync_parents(one, other)

    def _times(self, path: str, accessed: int, modified: int) -> None:
        os.utime(self.root / path, ns=(accessed, modified), follow_symlinks=False)

    def _move(self, source: str, target: str) -> None:
        one, other = self.root / source, self.root / target
        if os.path.lexists(one):
            os.rename(one, other)
        _sync_parents(one, other)

    def _discard(self, path: str) -> None:
        self.delete(self.root / path)


_KINDS: dict[str, Callable[..., None]] = {
    "exchange": Journal._exchange,
    "times": Journal._times,
    "move": Journal._move,
    "discard": Journal._discard,
}
_SHAPES: dict[str, tuple[type, ...]] = {
    "exchange": (str, str, int, int),
    "times": (str, int, int),
    "move": (str, str),
    "discard": (str,),
}


def _exchange_by_renames(staged: Path, live: Path, inode: int) -> None:
    """For file systems without RENAME_EXCHANGE: leaves a hole, which the journal covers."""
    if not os.path.lexists(_aside(staged)):
        os.rename(live, _aside(staged))
        _sync_parents(staged, live)
    if _is_inode(staged, inode):
        os.rename(staged, live)
        _sync_parents(staged, live)
    os.rename(_aside(staged), staged)


def _aside(staged: Path) -> Path:
    return staged.with_name(staged.name + ".aside")


def _is_inode(path: Path, inode: int) -> bool:
    try:
        return os.lstat(path).st_ino == inode
    except FileNotFoundError:
        return False


def _is_step(step: Any) -> bool:
    """Known, whole, and inside the root: recovery moves and deletes only what is dvol's."""
    if not isinstance(step, list) or not step or str(step[0]) not in _KINDS:
        return False
    kind, *arguments = step
    shape = _SHAPES[kind]
    return len(arguments) == len(shape) and all(map(_fits, arguments, shape))


def _fits(argument: Any, kind: type) -> bool:
    if kind is int:
        return type(argument) is int
    return isinstance(argument, str) and all(map(_is_component, argument.split("/")))


def _is_component(component: str) -> bool:
    try:
        component.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return component not in ("", ".", "..") and "\0" not in component


def _sync_parents(*paths: Path) -> None:
    for directory in {path.parent for path in paths}:
        if directory.is_dir():
            sync_directory(directory)
