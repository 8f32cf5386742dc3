"""Opening a file of somebody's tree: what stands there by now may be anything."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dvol.tree.metadata import opened


def fifo(path: Path) -> int:
    """With a writer, so that nobody would wait."""
    os.mkfifo(path)
    return os.open(path, os.O_RDWR)


def socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))


def symlink(path: Path) -> None:
    path.with_name("file").touch()
    path.symlink_to("file")


KINDS = [fifo, socket, pytest.param(device, marks=pytest.mark.root), Path.mkdir, symlink]


@pytest.mark.parametrize("make", KINDS)
def test_only_a_regular_file_is_ever_opened(
    tmp_path: Path, make: Callable[[Path], int | None]
) -> None:
    held = make(tmp_path / "x")
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(OSError) as error, opened("x", directory):
            pass
        assert error.value.errno == errno.ESTALE
    finally:
        os.close(directory)
        if held is not None:
            os.close(held)
