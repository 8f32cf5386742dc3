"""Steps on disk that happen wholly or not at all, and durably.

Rename, exchange, fsync, and JSON documents replaced whole. What the steps are for is known
above (`journal`, `history`); nothing here knows a volume.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvol.errors import BadDocument

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable: a rename is not, until its directory is synced."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def durably(directory: Path) -> Iterator[None]:
    """Make all that was written on the file system of `directory` meanwhile durable at the end.

    One syncfs(2), which for a freshly copied tree is far cheaper than an fsync per file. Since
    Linux 5.8 it reports write-back errors too, but only those since its descriptor was opened:
    hence before the first write. A failed sync is never retried, because the kernel has then
    already thrown the pages away.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield
        libc_call("syncfs", fd)
    finally:
        os.close(fd)


def exchange(one: Path, other: Path) -> None:
    """Swap two names in one step, so that no instant has neither.

    OSError EINVAL where the file system cannot (renameat2(2)).
    """
    libc_call(
        "renameat2",
        _AT_FDCWD,
        os.fsencode(one),
        _AT_FDCWD,
        os.fsencode(other),
        _RENAME_EXCHANGE,
        named=one,
    )


def write_json(path: Path, document: Any) -> None:
    """Write a new file and make its content durable; its name is durable once synced."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        json.dump(document, file)
        file.write("\n")
        file.flush()
        os.fsync(fd)


def replace_json(path: Path, document: Any, staging: Path) -> None:
    """Replace a document whole: readers and a power cut see the old one or the new one.

    The temporary lies in `staging`, which must be on the same file system and be swept by
    whoever holds the lock next; so no crash leaves a stray file beside `path`.
    """
    staging.mkdir(parents=True, exist_ok=True)
    staged = staging / path.name
    write_json(staged, document)
    os.rename(staged, path)
    sync_directory(path.parent)


def read_json(path: Path) -> Any:
    """The document at `path`; BadDocument when it is not JSON, OSError when it can't be read."""
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    except IsADirectoryError:
        raise BadDocument(str(path), "it is a directory") from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BadDocument(str(path), "it is no file")
        try:
            return json.load(file)
        except (ValueError, RecursionError) as error:
            raise BadDocument(str(path), f"not JSON ({error})") from error


def _without_waiting(path: str, flags: int) -> int:
    """A FIFO in the place of a document must not hold us; neither can a directory be opened."""
    return os.open(path, flags | os.O_NONBLOCK)


def libc_call(function: str, *arguments: Any, named: Path | None = None) -> None:
    """A system call that Python has no name for; OSError as Python's own raise it."""
    import ctypes  # late: most commands never need it

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno() or errno.EIO
        raise OSError(code, os.strerror(code), str(named) if named else None)
