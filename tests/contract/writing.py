"""Starts `writer.py` as a process, and tells it what to write."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.contract.places import environment

BLOCK = 4096


@dataclass
class Writer:
    """The process that runs `writer.py`; `last` is the file with its newest number."""

    process: subprocess.Popen
    last: Path

    def send(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        return self.process.stdout.readline().strip()

    def store(self) -> int:
        """One store through the mapping; what the file holds now."""
        self.send("one")
        return int(self.answer())

    def newest(self) -> int:
        """The last number it has stored, or is about to."""
        return number(self.last)


@contextmanager
def writing(kind: str, path: Path, parent_dir: Path) -> Iterator[Writer]:
    """A writer of the file at `path`, which is linked into `beside` to find it there."""
    link = parent_dir / "written"
    link.symlink_to(path)
    (parent_dir / "written.last").write_bytes(bytes(BLOCK))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.contract.writer", kind, str(link)],
        env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    writer = Writer(process, parent_dir / "written.last")
    try:
        assert writer.answer() == "ready"
        yield writer
    finally:
        process.kill()
        process.communicate()
        link.unlink()


def number(path: Path) -> int:
    """The number in the first eight bytes of a file."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(8), "little")
