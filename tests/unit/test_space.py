"""What a copy would take, reckoned while others write."""

import os
from pathlib import Path

from dvol.fs.beneath import DIRECTORY
from dvol.tree import space


def test_what_vanishes_meanwhile_is_not_counted(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("x")

    def visit(path: str, name: str, status: os.stat_result) -> int:
        for left in tmp_path.iterdir():
            left.unlink()
        return 1

    fd = os.open(tmp_path, DIRECTORY)
    try:
        assert space.total(fd, visit) == 1
    finally:
        os.close(fd)
