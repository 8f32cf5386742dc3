"""File systems to try a pool on: ext4, XFS and btrfs in an image file, and tmpfs.

Each is fresh, mounted for the length of a `with`, and gone afterwards whatever happened inside.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.lab import Unavailable, leftovers

# On disk: an image file in memory would be neither cheap nor true.
PLACE = Path("/var/tmp")
PREFIX = "dvol-fs-"
MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-m", "reflink=1"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
# The least that each mkfs takes: XFS refuses less than 300 MB, btrfs about 110 MB.
LEAST = {"ext4": 8 << 20, "xfs": 300 << 20, "btrfs": 128 << 20, "tmpfs": 1 << 20}
KINDS = tuple(LEAST)


@contextmanager
def mounted(kind: str, size: int = 512 << 20) -> Iterator[Path]:
    """The root of a fresh file system of `kind` with about `size` bytes, at least the least."""
    _require(kind)
    leftovers.sweep(PLACE, PREFIX)
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE))
    with leftovers.lock(place), ExitStack() as undo:
        undo.callback(leftovers.clear, place)
        root = place / "root"
        root.mkdir()
        _mount(kind, max(size, LEAST[kind]), root)
        yield root


def _require(kind: str) -> None:
    if kind not in LEAST:
        raise ValueError(f"{kind} is not one of {', '.join(KINDS)}")
    if os.geteuid() != 0:
        raise Unavailable(f"mounting {kind} needs root")
    if kind in MAKE and shutil.which(MAKE[kind][0], path=_path()) is None:
        raise Unavailable(f"{MAKE[kind][0]} is not installed")
    if not _in_kernel(kind):
        raise Unavailable(f"this kernel has no {kind}")


def _in_kernel(kind: str) -> bool:
    """Asked for by loading it: a module that is not loaded yet is not listed."""
    listed = Path("/proc/filesystems")
    if kind not in listed.read_text().split() and shutil.which("modprobe", path=_path()):
        subprocess.run(["modprobe", "-q", kind], capture_output=True)
    return kind in listed.read_text().split()


def _mount(kind: str, size: int, root: Path) -> None:
    if kind == "tmpfs":
        _run("mount", "-t", kind, "-o", f"size={size}", "tmpfs", str(root))
        return
    image = root.parent / "image"
    with image.open("wb") as file:
        file.truncate(size)
    _run(*MAKE[kind], str(image))
    # -o loop: the device is the kernel's to detach, whoever unmounts
    _run("mount", "-t", kind, "-o", "loop", str(image), str(root))


def _run(*argv: str) -> None:
    env = {**os.environ, "PATH": _path()}
    done = subprocess.run(argv, capture_output=True, text=True, env=env)
    if done.returncode:
        raise Unavailable(f"{' '.join(argv)}: {done.stderr.strip()}")


def _path() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
