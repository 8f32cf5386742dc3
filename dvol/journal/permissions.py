"""The permissions that a user other than root needs for the steps of a journal.

To change the names in a directory that user needs its write bit, and to move a directory to
another one, also that of the directory itself, since its ".." changes (rename(2)). A program may
have taken the bit away, as Go does in its module cache. So steps give it for as long as others need
it, and put it back; they are reverted like all others.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from dvol.fs.beneath import Beneath
from dvol.journal.steps import Exchange, Move, SetMode, Step

_NEEDED = stat.S_IWUSR | stat.S_IXUSR


def with_permissions(steps: list[Step], root: Path) -> list[Step]:
    """The steps, whose paths are relative to `root`, with those that give and take permissions.
    The very same steps for root, and where nothing is missing."""
    if os.geteuid() == 0:
        return steps
    with Beneath(root) as beneath:
        return _Lender(beneath).around(steps)


class _Lender:
    """Finds what is missing, as the disk is before the first of the steps."""

    def __init__(self, root: Beneath) -> None:
        self._root = root

    def around(self, steps: list[Step]) -> list[Step]:
        renames = [step for step in steps if isinstance(step, Move | Exchange)]
        last: dict[str, Step] = {}  # the last step that needs each directory
        for rename in renames:
            last |= dict.fromkeys(map(os.path.dirname, rename.paths), rename)
        lent = {path: mode for path in last if (mode := self._missing(path)) is not None}
        result: list[Step] = [SetMode(path, mode | _NEEDED, mode) for path, mode in lent.items()]
        until: dict[int, list[str]] = {}  # the paths lent until a step, by the step's identity
        for path in lent:
            until.setdefault(id(last[path]), []).append(path)
        for step in steps:
            result += self._moving(step) if isinstance(step, Move | Exchange) else [step]
            done = until.get(id(step), [])
            result += [SetMode(path, lent[path], lent[path] | _NEEDED) for path in done]
        return result

    def _moving(self, step: Move | Exchange) -> list[Step]:
        """The step, between those for the directories that it moves to another one."""
        one, other = step.paths
        if os.path.dirname(one) == os.path.dirname(other):
            return [step]
        ways = [(one, other)] if isinstance(step, Move) else [(one, other), (other, one)]
        moved = [(*way, mode) for way in ways if (mode := self._missing(way[0])) is not None]
        give: list[Step] = [SetMode(path, mode | _NEEDED, mode) for path, _, mode in moved]
        take: list[Step] = [SetMode(path, mode, mode | _NEEDED) for _, path, mode in moved]
        return [*give, step, *take]

    def _missing(self, path: str) -> int | None:
        """The permission bits of a directory that lacks one; None for any other path. If it is
        somebody else's, its mode can't be changed, and the step itself will say so."""
        with suppress(OSError):
            directory, name = self._root.parent(path)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            lacks = status.st_mode & _NEEDED != _NEEDED
            if stat.S_ISDIR(status.st_mode) and lacks and status.st_uid == os.geteuid():
                return stat.S_IMODE(status.st_mode)
        return None
