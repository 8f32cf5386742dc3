"""The lock file of a volume, and how a test holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file as another process would: a flock belongs to the open file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def lock(pool: Path, volume: str = "v") -> Path:
    """The lock file of a volume."""
    return pool / ".dvol" / "locks" / "volumes" / volume
