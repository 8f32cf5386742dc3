"""Where the content of a file lies on the disk, as the kernel says (fiemap, Linux 2.6.28)."""

from __future__ import annotations

import errno
import fcntl
import struct
from collections.abc import Iterator
from typing import NamedTuple

_FIEMAP = 0xC020660B  # FS_IOC_FIEMAP, include/uapi/linux/fs.h
_REQUEST = struct.Struct("=QQIIII")  # struct fiemap: start, length, flags, mapped, room, reserved
_EXTENT = struct.Struct("=QQQQQIIII")  # struct fiemap_extent: logical, physical, length, ..., flags
_LAST, _SHARED = 1, 0x2000  # FIEMAP_EXTENT_*
_AT_ONCE = 256  # extents
_END = (1 << 64) - 1


class Extent(NamedTuple):
    """A part of a file: where it begins on the disk and how long it is, in bytes, and whether
    another part of this or of another file lies there too."""

    physical: int
    length: int
    shared: bool


def extents(fd: int) -> Iterator[Extent]:
    """The extents of an open file. OSError EOPNOTSUPP where the file system does not tell."""
    start, flags = 0, 0
    while not flags & _LAST and (found := _extents(fd, start)):
        for logical, physical, length, _, _, flags, *_ in found:
            yield Extent(physical, length, bool(flags & _SHARED))
            start = logical + length


def _extents(fd: int, start: int) -> list[tuple[int, ...]]:
    """The next extents of an open file, from byte `start`."""
    request = bytearray(_REQUEST.size + _AT_ONCE * _EXTENT.size)
    _REQUEST.pack_into(request, 0, start, _END - start, 0, 0, _AT_ONCE, 0)
    try:
        fcntl.ioctl(fd, _FIEMAP, request)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL):
            raise OSError(errno.EOPNOTSUPP, "it does not tell extents") from error
        raise
    mapped = _REQUEST.unpack_from(request)[3]
    end = _REQUEST.size + mapped * _EXTENT.size
    return list(_EXTENT.iter_unpack(bytes(request[_REQUEST.size : end])))
