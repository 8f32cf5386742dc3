"""Why the kernel refused, where its error number does not say it. The reason is looked for only
once the error has come. Project ids, which dvol puts right by itself, are in `projects`."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from dvol.errors import DiskFailed, DvolError, LowerLayer, SwapInUse, disk_failed
from dvol.fs.directories import opened_directory
from dvol.fs.flags import is_locked
from dvol.fs.swap import is_swap
from dvol.fs.syscalls import is_overlay

_OF_SWAP = (errno.ETXTBSY, errno.EPERM)


def named(error: OSError, path: str | Path | None = None) -> DvolError:
    """The error to raise for an error of the kernel at a path, by default its own: SwapInUse,
    LowerLayer, or DiskFailed, which names a lock, or has the kernel's words."""
    where = path if path is not None else error.filename
    if isinstance(where, str | Path):
        if error.errno in _OF_SWAP and is_swap(where):
            return SwapInUse(str(where))
        if error.errno == errno.EPERM and _is_locked(where):
            return DiskFailed(str(where), "append-only or immutable; 'chattr -i -a' lifts that")
        if error.errno == errno.EXDEV and _is_on_overlay(where):
            return LowerLayer(str(where))
    return disk_failed(error, path)


def _is_locked(path: str | Path) -> bool:
    with suppress(OSError), opened_directory(os.path.dirname(path), follow=True) as parent:
        return is_locked(os.path.basename(path), parent)
    return False


def _is_on_overlay(path: str | Path) -> bool:
    """An overlay answers EXDEV to the rename of a directory that its lower layer holds, wholly or
    in part (ovl_can_move in fs/overlayfs/dir.c)."""
    with suppress(OSError), opened_directory(os.path.dirname(path), follow=True) as parent:
        return is_overlay(parent)
    return False
