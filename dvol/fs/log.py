"""Logs: files of lines that are written only at their end.

The caller knows what the lines mean, and has the lock under which they are written.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dvol.errors import BadDocument
from dvol.fs.create import open_or_create

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO in the place of a log must not block


def append_line(path: Path, line: bytes) -> int:
    """Append a line, which holds no newline; returns the size of the file. It is durable after the
    next sync of the file system.

    A power cut may have torn the last line: then the new one begins with a newline. Raises
    BadDocument for a symbolic link, else OSError, also for a device or a file with a second name.
    """
    with _opened(path, os.O_RDWR | os.O_APPEND, open_or_create) as fd:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError(errno.EINVAL, "it is no file of this directory alone", str(path))
        size = status.st_size
        is_torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        return size + os.write(fd, b"\n" * is_torn + line + b"\n")


def read_end(path: Path, most: int) -> bytes:
    """The last lines of a log, as far as `most` bytes hold them whole; nothing if there is no log.
    Raises BadDocument for what is no file, else OSError."""
    try:
        with _opened(path, os.O_RDONLY, os.open) as fd:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise BadDocument(str(path), "it is no file")
            end = os.pread(fd, most, max(0, found.st_size - most))
            return end if found.st_size <= most else end.partition(b"\n")[2]
    except FileNotFoundError:
        return b""


@contextmanager
def _opened(path: Path, flags: int, how: Callable[[Path, int], int]) -> Iterator[int]:
    try:
        fd = how(path, flags | _FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            link = "it is a symbolic link, which may lead elsewhere"
            raise BadDocument(str(path), link) from None
        raise
    try:
        yield fd
    finally:
        os.close(fd)
