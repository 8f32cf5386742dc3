"""The content of files: copied so that blocks are shared where they can be, and compared.

Sparse files stay sparse, and holes are never read.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from itertools import chain

from dvol.fs.syscalls import start_write_back

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_CLONE_FROM = 16 * 1024  # bytes; below that a plain copy is quicker than sharing extents
_WRITTEN_FROM = 128 * 1024  # bytes; the disk writes it while the next file is copied
_AT_ONCE = 1 << 30  # bytes for one copy_file_range
_CHUNK = 1 << 20  # bytes to compare at a time
_CANNOT_CLONE = {
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EINVAL,
    errno.EXDEV,
    errno.ENOSYS,
    errno.EPERM,
}


class ContentCopier:
    """Copies the content of open files. Whether blocks can be shared is found out once.

    A copy begins to be written to the disk at once, so that a later sync has less left to do; not
    if `urgent`, because a disk that has much to write delays all other requests.
    """

    def __init__(self, urgent: bool = False) -> None:
        self.clones = True
        self.urgent = urgent

    def copy(self, source: int, target: int, status: os.stat_result, over: bool = False) -> None:
        """Make the file `target` hold what `source` holds, which has `status`. It is empty, or, if
        `over`, an older copy."""
        if over:
            os.ftruncate(target, status.st_size)
        if status.st_size >= _CLONE_FROM and self._clone(source, target):
            return
        if over:
            os.ftruncate(target, 0)
        sparse = is_sparse(status)
        for start, end in extents(source, status.st_size) if sparse else [(0, status.st_size)]:
            _copy_range(source, target, start, end)
        if sparse:
            os.ftruncate(target, status.st_size)
        if status.st_size >= _WRITTEN_FROM and not self.urgent:
            start_write_back(target)

    def _clone(self, source: int, target: int) -> bool:
        if self.clones:
            try:
                clone(source, target)
                return True
            except OSError as error:
                if error.errno not in _CANNOT_CLONE:
                    raise
                # EINVAL is said of one file: on btrfs of one whose writes are not copied, where
                # the other one's are (btrfs_remap_file_range_prep)
                self.clones = error.errno == errno.EINVAL
        return False


def clone(source: int, target: int) -> None:
    """Let the open `target` share all blocks of the open `source`; OSError where that can't be."""
    fcntl.ioctl(target, _FICLONE, source)


def can_clone(directory: int) -> bool:
    """Whether files in the open `directory` can share blocks, so that a copy takes no space."""
    flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
    try:
        one = os.open(".", flags, 0o600, dir_fd=directory)
    except OSError:
        return False
    try:
        other = os.open(".", flags, 0o600, dir_fd=directory)
        try:
            clone(one, other)
            return True
        finally:
            os.close(other)
    except OSError:
        return False
    finally:
        os.close(one)


def same_content(one: int, other: int, size: int) -> bool:
    """Whether two open files of `size` bytes have the same content; a hole reads as zeros."""
    ranges: Iterable[tuple[int, int]] = [(0, size)]
    if is_sparse(os.fstat(one)) or is_sparse(os.fstat(other)):
        ranges = chain(extents(one, size), extents(other, size))
    return all(_same_range(one, other, start, end) for start, end in ranges)


def is_sparse(status: os.stat_result) -> bool:
    return status.st_blocks * 512 < status.st_size


def _same_range(one: int, other: int, start: int, end: int) -> bool:
    for at in range(start, end, _CHUNK):
        count = min(_CHUNK, end - at)
        if os.pread(one, count, at) != os.pread(other, count, at):
            return False
    return True


def extents(file: int, size: int) -> Iterator[tuple[int, int]]:
    """The ranges of a file that hold data, without its holes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data beyond
                return
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    """Copied by the kernel where it can. A file that ends early has another signature, which shows
    it."""
    while start < end:
        count = min(end - start, _AT_ONCE)
        try:
            done = os.copy_file_range(source, target, count, start, start)
        except OSError as error:
            if error.errno not in _CANNOT_CLONE:
                raise
            done = os.pwrite(target, os.pread(source, min(count, 1 << 20), start), start)
        if done == 0:
            return
        start += done
