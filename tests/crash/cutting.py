"""Power cuts: the image file of the pool's disk, copied as it stands while the verb stands still.

What was not synced is not in that file. Most calls change nothing there, so one copy serves for
all the points between two writes of the disk. The copies are looked at afterwards, each mounted
by a process with its own mounts and another boot id. These functions run in the stage.
"""

import ctypes
import fcntl
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.calls import Call
from tests.crash.history import wiped
from tests.crash.tracer import Decision, Ended
from tests.crash.verbs import VERBS
from tests.crash.verdict import Judge, Lesson
from tests.lab import filesystems

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NEW_MOUNTS = 0x20000  # CLONE_NEWNS
START_SYNC, WAIT_SYNC = 0x80089418, 0x40089416  # of btrfs: commit, but write no files back
# Disks that write by themselves every few seconds would make durable what nobody synced.
OPTIONS = {"ext4": ("commit=900", "noatime"), "xfs": ("noatime",), "btrfs": ("commit=900",)}


@dataclass
class Camera:
    """Takes the image of the disk mounted at `root` into the directory `album`.

    `stirred`: just before, a stranger has a file of its own made durable. That commits the
    journal of the file system, and with it names and sizes of which the content is not there.
    """

    root: Path
    album: Path
    stirred: bool = False
    only: frozenset[int] | None = None
    shots: dict[int, list[int]] = field(default_factory=dict)
    _last: str = ""

    def take(self, number: int) -> None:
        """The disk as it is before the call of that number."""
        if self.only is not None and number not in self.only:
            return
        if self.stirred:
            _stir(self.root)
        written = self._written()
        if written != self._last or not self.shots:
            self._last = self._copy(written, self.album / str(number))
            self.shots[number] = []
        self.shots[max(self.shots)].append(number)

    def _copy(self, written: str, target: Path) -> str:
        """Again, if the disk wrote meanwhile: no power cut takes two moments."""
        while True:
            filesystems.copy_sparse(filesystems.image(self.root), target)
            now = self._written()
            if now == written:
                return written
            written = now

    def _written(self) -> str:
        """Changes whenever the device wrote, which it is waited for."""
        statistics = Path(f"/sys/block/{filesystems.device(self.root)}/stat")
        while int((numbers := statistics.read_text().split())[8]):
            time.sleep(0.001)
        return " ".join(numbers[4:7] + numbers[11:14])


def _stir(root: Path) -> None:
    fd = os.open(root / "stranger", os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, os.urandom(8), 0)
        os.fsync(fd)
        transaction = fcntl.ioctl(fd, START_SYNC, b"\0" * 8)
        fcntl.ioctl(fd, WAIT_SYNC, transaction)
    except OSError:
        pass  # no btrfs: the fsync was enough
    finally:
        os.close(fd)


def prepared(root: Path, name: str) -> None:
    """The pool on its disk, all of it durable but what is loose."""
    wiped(root)
    VERBS[name].build(root)


def rehearsed(root: Path, name: str) -> list[Call]:
    """The calls that the verb makes; the pool is of no use then."""
    prepared(root, name)
    return VERBS[name].perform(root).calls


def filmed(
    root: Path, name: str, camera: Camera, careless: frozenset[str] = frozenset()
) -> tuple[Ended, Camera]:
    """Do the verb, and take the disk before each of its calls and at its end.

    `careless`: the calls that do nothing then, as if the author of the verb had left them out.
    """

    def decide(call: Call) -> Decision:
        camera.take(call.number)
        return 0 if call.name in careless else None

    ended = VERBS[name].perform(root, decide)
    camera.take(len(ended.calls))
    return ended, camera


def developed(
    kind: str, copy: Path, mount: Path, root: Path, name: str, lesson: Lesson, done: bool
) -> list[str]:
    """What a process of the next boot finds on the copy of a disk; the copy is gone then."""
    _leave_mounts()
    filesystems.attach(kind, copy, mount)
    try:
        _other_boot(copy.with_name("boot_id"))
        return Judge(root, name, lesson, cut=True, done=done).judge()
    finally:
        filesystems.detach(mount)
        copy.unlink()


def _leave_mounts() -> None:
    """From here on this process mounts for itself, and what it mounts ends with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _mount(b"none", b"/", 0x4000 | 0x40000)  # MS_REC | MS_PRIVATE


def _other_boot(file: Path) -> None:
    """A power cut is followed by another boot: what was noted for the old one is not to be
    trusted any more."""
    file.write_text(f"{uuid.uuid4()}\n")
    _mount(os.fsencode(file), os.fsencode(BOOT_ID), 0x1000)  # MS_BIND
    assert BOOT_ID.read_text() == file.read_text()


def _mount(source: bytes, target: bytes, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source, target, None, flags, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount {os.fsdecode(target)}")
