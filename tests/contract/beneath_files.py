"""A disk that can be taken from under its file system, changed byte by byte, and put back.

So a file gets other content, or a link count, under the status that it had, in the same boot and
on the same device: what after a power cut is the rule.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.places import eventually
from tests.lab import Unavailable
from tests.lab.filesystems import attach, copy_sparse, detach, device, image, mounted

_FIEMAP = 0xC020660B  # ioctl_fiemap(2)
_HEADER = "=QQIIII"
_EXTENT = "=QQQQQIIII"


@dataclass
class Disk:
    """A file system on a loop device of its own."""

    root: Path
    device: Path
    kind: str

    @contextmanager
    def unmounted(self) -> Iterator[None]:
        """Held open, so that it stays the same loop device, and the same to stat(2)."""
        held = os.open(self.device, os.O_RDONLY)
        try:
            subprocess.run(["umount", self.root], check=True)
            eventually(self._is_free)
            yield
            subprocess.run(["mount", self.device, self.root], check=True)
        finally:
            os.close(held)

    def _is_free(self) -> bool:
        """Not while another mount namespace still has it."""
        try:
            os.close(os.open(self.device, os.O_RDONLY | os.O_EXCL))
        except OSError:
            return False
        return True

    def copied(self) -> Path:
        """A copy of it: while it is mounted, as a power cut would leave it."""
        copy = self.root.with_name("copy")
        copy_sparse(image(self.root), copy)
        return copy

    @contextmanager
    def attached(self, copy: Path) -> Iterator[Path]:
        """The root of a copy: the same files, inodes and times, on another device. XFS and btrfs
        refuse it beside the original."""
        root = self.root.with_name("attached")
        root.mkdir()
        attach(self.kind, copy, root)
        try:
            yield root
        finally:
            detach(root)

    def overwrite(self, path: Path, content: bytes) -> None:
        """Other content of the same length under the same status."""
        before, at = path.stat(), physical(path)
        assert before.st_size == len(content)
        with self.unmounted():
            fd = os.open(self.device, os.O_RDWR)
            os.pwrite(fd, content, at)
            os.fsync(fd)
            os.close(fd)
        after = path.stat()
        assert path.read_bytes() == content
        for fact in ("st_ino", "st_dev", "st_size", "st_mtime_ns", "st_ctime_ns"):
            assert getattr(before, fact) == getattr(after, fact)

    def set_names(self, counts: dict[Path, int]) -> None:
        """Make files of ext4 have that many names, as far as stat(2) says."""
        wanted = {path.stat().st_ino: count for path, count in counts.items()}
        with self.unmounted():
            for inode, count in wanted.items():
                request = f"set_inode_field <{inode}> links_count {count}"
                subprocess.run(
                    ["debugfs", "-w", "-R", request, self.device], check=True, capture_output=True
                )
        assert [path.stat().st_nlink for path in counts] == list(counts.values())


@contextmanager
def disk(kind: str, size: int = 64 << 20) -> Iterator[Disk]:
    """A fresh one; skips the test where that can't be."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with ExitStack() as undo:
        try:
            root = undo.enter_context(mounted(kind, size))
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield Disk(root, Path("/dev") / device(root), kind)


def physical(path: Path) -> int:
    """Where on its device the content of a small file begins."""
    buffer = bytearray(struct.pack(_HEADER, 0, 1 << 40, 1, 0, 1, 0) + bytes(56))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        fcntl.ioctl(file, _FIEMAP, buffer)
    start, where = struct.unpack_from(_EXTENT, buffer, struct.calcsize(_HEADER))[:2]
    assert (start, bool(where)) == (0, True)
    return where
