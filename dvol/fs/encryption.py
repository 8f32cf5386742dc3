"""Encrypted directories (fscrypt of ext4): whether a directory is one. Keys are never touched."""

from __future__ import annotations

import fcntl
import struct
from contextlib import suppress

_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS, ioctl_iflags(2); writes an int, whatever its number says
_ENCRYPTED = 0x800  # FS_ENCRYPT_FL


def is_encrypted(directory: int) -> bool:
    """Whether what is made in the open directory is encrypted; False where the file system knows
    no flags."""
    with suppress(OSError):
        answer = fcntl.ioctl(directory, _GET_FLAGS, bytes(8))
        return bool(struct.unpack_from("=I", answer)[0] & _ENCRYPTED)
    return False
