"""The open directories of a walk, one level below the other, without a descriptor for each level.

Far above where the walk is, the directories are closed. On the way back each is opened again, as
".." of the one below it, and must be the one that it was: a program may have moved that one.
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar, TypeVar

from dvol.fs.beneath import DIRECTORY

OPEN = 64  # levels whose directories are open


class Level:
    """A directory of a walk, open in one tree or in several. `fds` names the attributes that hold
    the descriptors; one is None where a tree lacks the directory."""

    fds: ClassVar[tuple[str, ...]]
    _aside: dict[str, tuple[int, int]] | None = None  # device and inode of each that is to return

    def close(self) -> None:
        for name in self.fds:
            fd = getattr(self, name)
            if fd is not None and name not in (self._aside or ()):
                os.close(fd)

    def set_aside(self, below: Level) -> None:
        """Close, until `reopen`, what the level `below` has too: by that it is found again."""
        if self._aside is not None:
            return
        self._aside = {}
        for name in self.fds:
            fd = getattr(self, name)
            if fd is not None and getattr(below, name) is not None:
                status = os.fstat(fd)
                self._aside[name] = (status.st_dev, status.st_ino)
                os.close(fd)

    def reopen(self, below: Level) -> None:
        """Open a level that was set aside, from the one `below` it. OSError ESTALE if that was
        moved to another directory meanwhile."""
        if self._aside is None:
            return
        opened: dict[str, int] = {}
        try:
            for name, identity in self._aside.items():
                opened[name] = os.open("..", DIRECTORY, dir_fd=getattr(below, name))
                status = os.fstat(opened[name])
                if (status.st_dev, status.st_ino) != identity:
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        except OSError:
            for fd in opened.values():
                os.close(fd)
            raise
        for name, fd in opened.items():
            setattr(self, name, fd)
        self._aside = None


Kind = TypeVar("Kind", bound=Level)


def descend(levels: list[Kind], inner: Kind) -> None:
    """Enter a directory of the last level."""
    levels.append(inner)
    if len(levels) > OPEN:
        levels[-OPEN - 1].set_aside(levels[-OPEN])


def ascend(levels: list[Kind]) -> Kind:
    """Leave the last level for the one above it, which is open again; returns the last one, for the
    caller to close. OSError ESTALE as `Level.reopen`: then none was left."""
    if len(levels) > 1:
        levels[-2].reopen(levels[-1])
    return levels.pop()
