"""Power cuts: the image file of the pool's disk, copied while the verb is stopped at a call.

Data that was not synced is not in that file. Most calls write nothing to it, so one copy serves
for all the points between two writes of the disk. The copies are checked afterwards: each is
mounted by a process with its own mounts and another boot id. These functions run in the worker.
"""

import ctypes
import fcntl
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.calls import Call
from tests.crash.check import Check, Expected
from tests.crash.history import wiped
from tests.crash.tracer import Decision, Suspension
from tests.crash.verbs import VERBS
from tests.lab import filesystems

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NEW_MOUNTS = 0x20000  # CLONE_NEWNS
START_SYNC, WAIT_SYNC = 0x80089418, 0x40089416  # of btrfs: commit, but write no files back
# Disks that write by themselves every few seconds would make durable what nobody synced.
OPTIONS = {"ext4": ("commit=900", "noatime"), "xfs": ("noatime",), "btrfs": ("commit=900",)}


@dataclass
class Images:
    """Copies the image of the disk mounted at `root` into `directory`, named by its first point.

    `fsync_first`: another file on the disk is written and synced before each copy. That commits
    the journal of the file system, which then has names and sizes of files without their content.
    `only`: the points to copy, else all. `points_of`: for each image the points it serves for.
    """

    root: Path
    directory: Path
    fsync_first: bool = False
    only: frozenset[int] | None = None
    points_of: dict[int, list[int]] = field(default_factory=dict)
    _last: str = ""

    def take(self, number: int) -> None:
        """Copy the disk as it is before the call of that number."""
        if self.only is not None and number not in self.only:
            return
        if self.fsync_first:
            _fsync_another_file(self.root)
        written = self._written()
        if written != self._last or not self.points_of:
            self._last = self._copy(written, self.directory / str(number))
            self.points_of[number] = []
        self.points_of[max(self.points_of)].append(number)

    def _copy(self, written: str, target: Path) -> str:
        """Copy until nothing was written meanwhile, so that the image is of one moment."""
        while True:
            filesystems.copy_sparse(filesystems.image(self.root), target)
            now = self._written()
            if now == written:
                return written
            written = now

    def _written(self) -> str:
        """The write counters of the device, once no request is in flight."""
        statistics = Path(f"/sys/block/{filesystems.device(self.root)}/stat")
        while int((numbers := statistics.read_text().split())[8]):
            time.sleep(0.001)
        return " ".join(numbers[4:7] + numbers[11:14])


def _fsync_another_file(root: Path) -> None:
    fd = os.open(root / "another-file", os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, os.urandom(8), 0)
        os.fsync(fd)
        transaction = fcntl.ioctl(fd, START_SYNC, b"\0" * 8)
        fcntl.ioctl(fd, WAIT_SYNC, transaction)
    except OSError:
        pass  # no btrfs: the fsync was enough
    finally:
        os.close(fd)


def build_pool(root: Path, name: str) -> None:
    """Build the pool on its disk; all of it is durable but the loose files."""
    wiped(root)
    VERBS[name].build(root)


def calls_of(root: Path, name: str) -> list[Call]:
    """The calls that the verb makes; the pool must be built again afterwards."""
    build_pool(root, name)
    return VERBS[name].perform(root).calls


def run_with_images(
    root: Path, name: str, images: Images, skipped: frozenset[str] = frozenset()
) -> tuple[Suspension, Images]:
    """Run the verb, and take an image before each of its calls and at its end.

    `skipped`: the calls that do nothing, as if the author of the verb had left them out.
    """

    def decide(call: Call) -> Decision:
        images.take(call.number)
        return 0 if call.name in skipped else None

    ended = VERBS[name].perform(root, decide)
    images.take(len(ended.calls))
    return ended, images


def check_image(
    kind: str, copy: Path, mount: Path, root: Path, name: str, expected: Expected, done: bool
) -> list[str]:
    """The complaints of a process of the next boot about an image; deletes the image."""
    _leave_mounts()
    filesystems.attach(kind, copy, mount)
    try:
        _other_boot(copy.with_name("boot_id"))
        return Check(root, name, expected, cut=True, done=done).complaints()
    finally:
        filesystems.detach(mount)
        copy.unlink()


def _leave_mounts() -> None:
    """Give this process its own mount namespace, which ends with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _mount(b"none", b"/", 0x4000 | 0x40000)  # MS_REC | MS_PRIVATE


def _other_boot(file: Path) -> None:
    """Show this process another boot id: a power cut is followed by another boot, and records of
    the old one must not be trusted."""
    file.write_text(f"{uuid.uuid4()}\n")
    _mount(os.fsencode(file), os.fsencode(BOOT_ID), 0x1000)  # MS_BIND
    assert BOOT_ID.read_text() == file.read_text()


def _mount(source: bytes, target: bytes, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source, target, None, flags, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {os.fsdecode(target)}")
