"""Steps on disk that happen wholly or not at all, and durably.

Rename, exchange, fsync, and JSON documents replaced whole. What the steps are for is known
above (`journal`, `history`); nothing here knows a volume.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dvol.errors import BadDocument

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_WRITE_AND_WAIT = 1 | 2 | 4  # all pages, whoever writes them already: sync_file_range(2)
# An fsync writes the log up to the last change of that file or directory, all earlier ones
# included: jbd2 commits whole transactions (ext4_fsync_journal), and so does XFS
# (xfs_log_force_seq).
ONE_LOG = frozenset({"ext4", "xfs"})
_WRITE = 2
_WORTH_A_SYNC = 1 << 20  # bytes that a disk writes while a log is forced
_FILESYSTEMS = {0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs"}  # statfs(2)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable: a rename is not, until its directory is synced."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with named(directory):
            os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def named(path: Path | str) -> Iterator[None]:
    """The kernel says what is wrong with a descriptor; people know paths."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def durably(directory: Path, *staged: Path) -> Iterator[None]:
    """Make all that was written on the file system of `directory` meanwhile durable at the end.

    One syncfs(2), which for a freshly copied tree is far cheaper than an fsync per file. Since
    Linux 5.8 it reports write-back errors too, but only those since its descriptor was opened:
    hence before the first write. A failed sync is never retried, because the kernel has then
    already thrown the pages away.

    Where all that matters lies below `staged` and is little, while others have much that is not
    written yet (a database that was just killed), only what matters is synced.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield
        with named(directory):
            if not (staged and filesystem(fd) in ONE_LOG and _sync_only(staged)):
                sync_filesystem(fd)
    finally:
        os.close(fd)


def _sync_only(staged: Sequence[Path]) -> bool:
    """Sync what lies below some directories of dvol's own, if a sync of everything would take
    longer: each file may wait for the log, everything waits for all dirty pages."""
    try:
        found = _below(staged, dirty() // _WORTH_A_SYNC)
    except OSError:  # so deep that it has no path
        return False
    for path in found:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    return bool(found)


def _below(directories: Sequence[Path], most: int) -> list[str]:
    """Files with content, then directories, each before the one that it is in; none if they are
    more than `most`."""
    files: list[str] = []
    found = list(map(str, directories))
    for directory in found:  # which grows meanwhile
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    files.append(entry.path)
        if len(files) + len(found) > most:
            return []
    return files + found[::-1]


def dirty() -> int:
    """Bytes in memory that are still to be written to some disk."""
    _, _, found = Path("/proc/meminfo").read_bytes().partition(b"\nDirty:")
    return int(found.split(maxsplit=1)[0]) * 1024


def sync_filesystem(fd: int) -> None:
    """Make all that was written on the file system of the open `fd` durable.

    Reports only the errors since `fd` was opened; see `durably`.
    """
    libc_call("syncfs", fd)


def write_back(fd: int) -> None:
    """Write the dirty pages of the open file and wait for it: not durable, since no metadata is
    written (sync_file_range(2)), but from then on a store through mmap touches ctime again."""
    import ctypes

    whole = ctypes.c_int64(0)
    libc_call("sync_file_range", fd, whole, whole, _WRITE_AND_WAIT)


def start_write_back(fd: int) -> None:
    """Have the dirty pages of the open file written, without waiting for it: a later sync has less
    left to do. Nothing depends on it, so an error is left for that sync to find."""
    import ctypes

    whole = ctypes.c_int64(0)
    with suppress(OSError):
        libc_call("sync_file_range", fd, whole, whole, _WRITE)


def filesystem(fd: int) -> str:
    """What kind of file system the open `fd` is on: ext4, xfs, btrfs, or "" for any other."""
    import ctypes

    answer = (ctypes.c_long * 32)()  # struct statfs, whose first field is its type
    libc_call("fstatfs", fd, ctypes.byref(answer))
    return _FILESYSTEMS.get(answer[0], "")


def exchange(
    one: str | Path, other: str | Path, one_fd: int = _AT_FDCWD, other_fd: int = _AT_FDCWD
) -> None:
    """Swap two names, relative to open directories, in one step: no instant has neither.

    OSError EINVAL where the file system cannot (renameat2(2)).
    """
    names = (one_fd, os.fsencode(one), other_fd, os.fsencode(other))
    libc_call("renameat2", *names, _RENAME_EXCHANGE, named=str(one))


def write_json(path: Path, document: Any, *, durable: bool) -> None:
    """Write a new file, and make its content durable if asked; its name is once synced."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with named(path), os.fdopen(fd, "wb") as file:
        file.write(json.dumps(document).encode("ascii") + b"\n")
        if durable:
            file.flush()
            os.fsync(fd)


def replace_json(path: Path, document: Any, staging: Path) -> None:
    """Replace a document whole: readers and a power cut see the old one or the new one.

    The temporary lies in `staging`, which must be on the same file system and be swept by
    whoever holds the lock next; so no crash leaves a stray file beside `path`.
    """
    staging.mkdir(parents=True, exist_ok=True)
    staged = staging / path.name
    write_json(staged, document, durable=True)
    os.rename(staged, path)
    sync_directory(path.parent)


def read_json(path: Path) -> Any:
    """The document at `path`; BadDocument when it is not JSON, OSError when it can't be read."""
    try:
        return json.loads(read_file(path))
    except IsADirectoryError:
        raise BadDocument(str(path), "it is a directory") from None
    except (ValueError, RecursionError) as error:
        raise BadDocument(str(path), f"not JSON ({error})") from error


def read_file(path: Path) -> bytes:
    """What a file of dvol's own holds; BadDocument if something else stands in its place."""
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BadDocument(str(path), "it is no file")
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    """A FIFO in the place of a document must not hold us; neither can a directory be opened."""
    return os.open(path, flags | os.O_NONBLOCK)


def libc_call(function: str, *arguments: Any, named: str | None = None) -> None:
    """A system call that Python has no name for; OSError as Python's own raise it."""
    import ctypes  # late: most commands never need it

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        code = ctypes.get_errno() or errno.EIO
        raise OSError(code, os.strerror(code), named)
