"""What the steps of a journal need that the files of a tree may lack: permissions, and no locks.

To change the names in a directory a user other than root needs its write bit, and to move a
directory to another one, also that of the directory itself, since its ".." changes (rename(2)). A
program may have taken the bit away, as Go does in its module cache. An append-only or immutable
file can't be renamed at all, and of such a directory no name and no time can be changed (may_delete
in fs/namei.c, may_setattr in fs/attr.c). So steps give the bit, or lift the lock, for as long as
others need that, and put it back; they are reverted like all others.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path

from dvol.fs import btrfs, flags
from dvol.journal.steps import (
    Exchange,
    Move,
    Mover,
    Root,
    SetAttributes,
    SetFlags,
    SetMode,
    SetTimes,
    Step,
)
from dvol.layout import OWN

_NEEDED = stat.S_IWUSR | stat.S_IXUSR


def with_permissions(steps: list[Step], root: Path, mover: Mover) -> list[Step]:
    """The steps, whose paths are relative to `root`, with those that give and take permissions, and
    lift and set locks. The very same steps where nothing is missing."""
    if not any(isinstance(step, Move | Exchange) for step in steps):
        return steps
    with closing(Root(root, mover)) as opened:
        owner = os.fstat(opened.directory("")).st_uid
        if owner != 0:  # for root as well: should it die, the owner completes the journal
            steps = _Lender(opened, owner).around(steps)
        return _Unlocker(opened).around(steps) if flags.may_lock() else steps


def _ways(rename: Move | Exchange) -> list[tuple[str, str]]:
    """Where each entry that a rename moves goes to."""
    one, other = rename.paths
    return [(one, other)] if isinstance(rename, Move) else [(one, other), (other, one)]


class _Unlocker:
    """Finds what is locked, as the disk is before the first of the steps. The locks are lifted
    before all steps, and set again after the last step that the entry matters to: its name, the
    names in it, or its times. Several names of one file are unlocked together."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def around(self, steps: list[Step]) -> list[Step]:
        renames = [step for step in steps if isinstance(step, Move | Exchange)]
        moved = [source for step in renames for source, _ in _ways(step)]
        parents = [os.path.dirname(path) for step in renames for path in step.paths]
        timed = [step.path for step in steps if isinstance(step, SetTimes)]
        named = dict.fromkeys([*parents, *moved, *timed])
        locked = {path: own for path in named if (own := self._locked(path))}
        if not locked:
            return steps
        after = self._put_back(steps, locked, _places(locked, renames))
        lift: list[Step] = [
            SetFlags(path, identity, own & ~flags.LOCKS, own)
            for path, (identity, own) in locked.items()
        ]
        pieces = ([step, *after.get(place, [])] for place, step in enumerate(steps))
        return [*lift, *chain.from_iterable(pieces)]

    def _put_back(
        self, steps: list[Step], locked: dict[str, tuple[int, int]], places: dict[str, list[str]]
    ) -> dict[int, list[Step]]:
        """The steps that set the locks again, by the place of the step that they follow."""
        touched = {path: at for at, step in enumerate(steps) for path in _needed(step)}
        last: dict[int, int] = {}  # by identity
        for path, (identity, _) in locked.items():
            at = max(touched.get(place, 0) for place in places[path])
            last[identity] = max(at, last.get(identity, 0))
        final = {step.path for step in steps if isinstance(step, SetAttributes)}  # with its flags
        after: dict[int, list[Step]] = {}
        for path, (identity, own) in locked.items():
            if path not in final:
                back = SetFlags(places[path][-1], identity, own, own & ~flags.LOCKS)
                after.setdefault(last[identity], []).append(back)
        return after

    def _locked(self, path: str) -> tuple[int, int] | None:
        """The identity and the flags of an entry that is locked; None for any other path. A staged
        file has no locks yet, and the mover takes care of a read-only subvolume."""
        with suppress(OSError):
            directory, name = self._root.parent(path)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if _is_staged(path) and not stat.S_ISDIR(status.st_mode):
                return None
            with flags.opened(name, directory) as fd:
                own = 0 if fd is None else flags.get(fd)
                if fd is None or not own & flags.LOCKS or _is_frozen(fd):
                    return None
            identity = self._root.identity(path)
            return None if identity is None else (identity, own)
        return None


def _is_frozen(fd: int) -> bool:
    return btrfs.is_subvolume(fd) and btrfs.is_readonly(fd)


def _places(paths: Iterable[str], renames: list[Move | Exchange]) -> dict[str, list[str]]:
    """Where the entries at these paths are before, between and after the renames."""
    places = {path: [path] for path in paths}
    here = {path: path for path in places}  # where an entry is now: where it was before all
    for step in renames:
        moving = {target: here.pop(source) for source, target in _ways(step) if source in here}
        for target, path in moving.items():
            places[path].append(target)
        here |= moving
    return places


def _needed(step: Step) -> tuple[str, ...]:
    """The paths of the entries that a step needs to be unlocked."""
    if isinstance(step, Move | Exchange):
        return (*step.paths, *map(os.path.dirname, step.paths))
    return step.paths


def _is_staged(path: str) -> bool:
    return path.split("/")[1:3] == [OWN, "staging"]


class _Lender:
    """Finds what the owner of the pool lacks, as the disk is before the first of the steps."""

    def __init__(self, root: Root, owner: int) -> None:
        self._root = root
        self._owner = owner

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
        moved = [(*way, mode) for way in _ways(step) if (mode := self._missing(way[0])) is not None]
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
            if stat.S_ISDIR(status.st_mode) and lacks and status.st_uid == self._owner:
                return stat.S_IMODE(status.st_mode)
        return None
