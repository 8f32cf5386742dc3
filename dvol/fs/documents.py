"""dvol's own JSON documents: replaced whole, read with care, and checks of the values in them.

The caller knows what a document means.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from dvol.errors import BadDocument
from dvol.fs import projects
from dvol.fs.create import create, make_directory
from dvol.fs.durable import sync_directory
from dvol.fs.syscalls import named

_LARGEST = 1 << 30  # bytes; no document of dvol's comes near it
_MOST = 1 << 80  # more than any inode, and than any time in ns that a kernel keeps


def write_json(path: Path, document: Any, *, durable: bool) -> None:
    """Write a new file. If `durable`, its content is synced; its name is durable once the directory
    is synced."""
    with named(path), os.fdopen(create(path), "wb") as file:
        file.write(json.dumps(document).encode("ascii") + b"\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())


def replace_json(path: Path, document: Any, staging: Path) -> None:
    """Replace a document whole: readers and a power cut see the old one or the new one.

    The temporary file lies in `staging`, which must be on the same file system and be emptied by
    the next holder of the lock; so no crash leaves a stray file beside `path`.
    """
    make_directory(staging)
    staged = staging / path.name
    write_json(staged, document, durable=True)
    projects.rename(staged, path)
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
    """The content of one of dvol's own files; BadDocument for a FIFO or a device, IsADirectoryError
    for a directory."""
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise BadDocument(str(path), "it is no file")
        if status.st_size > _LARGEST:
            raise BadDocument(str(path), f"it has {status.st_size} bytes")
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    """Opening a FIFO in the place of a document must not block."""
    return os.open(path, flags | os.O_NONBLOCK)


def is_word(value: Any) -> bool:
    """Whether a value is a text that can be a path, or a part of one."""
    try:
        return isinstance(value, str) and b"\0" not in value.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False


def is_number(value: Any) -> bool:
    """Whether a value is a whole number that the kernel can take as a time in ns, or an inode."""
    return type(value) is int and abs(value) < _MOST
