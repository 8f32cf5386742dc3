"""What a value in a document may be, whoever wrote it: of the right kind, and in bounds."""

from __future__ import annotations

from typing import Any

_MOST = 1 << 80  # more than any inode, and than any time in ns that a kernel keeps


def is_word(value: Any) -> bool:
    """A text that can be a part of a path, or a whole one."""
    try:
        return isinstance(value, str) and b"\0" not in value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False


def is_number(value: Any) -> bool:
    """A time in ns, or an inode: a whole number that the kernel can take."""
    return type(value) is int and abs(value) < _MOST
