"""The redo journal: several durable steps that happen all or not at all.

A verb first stages everything it needs and makes that durable, then writes its steps here,
and only then takes them. From the moment the journal is durable the verb *will* happen: by its
own process or by whoever opens the volume next. So the steps are only renames, exchanges and
deletions, which need no space, and each can be taken again without harm:

    ["exchange", staged, live, inode]   swap the two, unless `live` is that inode already
    ["move", from, to]                  rename over `to`, unless `from` is gone already
    ["discard", path]                   delete a tree or file dvol made, if it is there

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
        replace_json(self.path, {"format": 1, "verb": verb, "steps": steps}, self.staging)
        # from here on the verb happens, whoever completes it
        self._take(steps)

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
        os.unlink(self.path)
        sync_directory(self.path.parent)

    def _read(self) -> list[Step]:
        document = read_json(self.path)
        steps = document.get("steps") if isinstance(document, dict) else None
        if not isinstance(steps, list) or not all(map(_is_step, steps)):
            raise BadDocument(str(self.path), "not a journal that this dvol can complete")
        return steps

    def _exchange(self, staged: str, live: str, inode: int) -> None:
        """The staged tree becomes the live one, and the live one the staged."""
        one, other = self.root / staged, self.root / live
        if not _is_inode(other, inode):
            try:
                exchange(one, other)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                _exchange_by_renames(one, other, inode)
        elif os.path.lexists(_aside(one)):
            os.rename(_aside(one), one)
        _sync_parents(one, other)

    def _move(self, source: str, target: str) -> None:
        one, other = self.root / source, self.root / target
        if os.path.lexists(one):
            other.parent.mkdir(parents=True, exist_ok=True)
            os.rename(one, other)
        _sync_parents(one, other)

    def _discard(self, path: str) -> None:
        self.delete(self.root / path)


_KINDS: dict[str, Callable[..., None]] = {
    "exchange": Journal._exchange,
    "move": Journal._move,
    "discard": Journal._discard,
}


def _exchange_by_renames(staged: Path, live: Path, inode: int) -> None:
    """For file systems without RENAME_EXCHANGE: leaves a hole, which the journal covers."""
    if os.path.lexists(live):
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
    """Known, and inside the root: recovery deletes and moves only what belongs to dvol."""
    if not isinstance(step, list) or not step or step[0] not in _KINDS:
        return False
    paths = [argument for argument in step[1:] if isinstance(argument, str)]
    return all(not path.startswith("/") and ".." not in path.split("/") for path in paths)


def _sync_parents(*paths: Path) -> None:
    for directory in {path.parent for path in paths}:
        if directory.is_dir():
            sync_directory(directory)
