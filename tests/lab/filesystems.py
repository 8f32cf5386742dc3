"""File systems to try a pool on: ext4, XFS and btrfs in an image file, and tmpfs.

Each is fresh, mounted for the length of a `with`, and gone afterwards whatever happened inside.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
def mounted(
    kind: str,
    size: int = 512 << 20,
    place: Path = PLACE,
    options: Sequence[str] = (),
    clones: bool = True,
    features: Sequence[str] = (),
) -> Iterator[Path]:
    """The root of a fresh file system of `kind` with about `size` bytes, at least the least. XFS
    `clones` files, or does not. ext4 may be made with more `features` than mkfs gives it.

    Its image file, if it has one, is `image(root)`.
    """
    _require(kind)
    leftovers.sweep(place, PREFIX)
    bench = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    bench.chmod(0o755)
    with leftovers.lock(bench), ExitStack() as undo:
        undo.callback(leftovers.clear, bench)
        root = bench / "root"
        root.mkdir()
        _mount(kind, max(size, LEAST[kind]), root, options, clones, features)
        yield root


def image(root: Path) -> Path:
    """The file that holds the file system mounted at `root`."""
    return root.parent / "image"


def device(root: Path) -> str:
    """The name of the loop device that is mounted at `root`, without /dev/."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [line.split() for line in lines if line.split()[4] == str(root)]
    return Path(found[-1][found[-1].index("-") + 2]).name


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file, holes left out; quick where most of it is holes."""
    with source.open("rb") as one, target.open("wb") as other:
        end = os.fstat(one.fileno()).st_size
        os.ftruncate(other.fileno(), end)
        at = 0
        with suppress(OSError):  # ENXIO: nothing but a hole from here on
            while at < end:
                start = os.lseek(one.fileno(), at, os.SEEK_DATA)
                at = os.lseek(one.fileno(), start, os.SEEK_HOLE)
                _copy_range(one.fileno(), other.fileno(), start, at)


def attach(kind: str, copy: Path, root: Path) -> None:
    """Mount the copy of an image at `root`, as the boot after a power cut does.

    The original must be unmounted: btrfs goes by an id that both have, and forgets the device
    only when told.
    """
    if kind == "btrfs":
        _run("btrfs", "device", "scan", "--forget")
    options = "loop,nouuid" if kind == "xfs" else "loop"
    _run("mount", "-t", kind, "-o", options, str(copy), str(root))


def detach(root: Path) -> None:
    """Unmount wholly: afterwards the image is at rest."""
    _run("umount", str(root))


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """A file or directory mounted at another place, too."""
    _run("mount", "--bind", str(source), str(target))
    try:
        yield
    finally:
        detach(target)


def remount(root: Path, how: str) -> None:
    """Mount again what is mounted, read-only ("ro") or not ("rw")."""
    _run("mount", "-o", f"remount,{how}", str(root))


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


def _mount(
    kind: str,
    size: int,
    root: Path,
    options: Sequence[str],
    clones: bool,
    features: Sequence[str],
) -> None:
    if kind == "tmpfs":
        _run("mount", "-t", kind, "-o", ",".join([f"size={size}", *options]), "tmpfs", str(root))
        return
    with image(root).open("wb") as file:
        file.truncate(size)
    make = [word if clones else word.replace("reflink=1", "reflink=0") for word in MAKE[kind]]
    if features:
        make += ["-O", ",".join(features)]
    _run(*make, str(image(root)))
    _run("fallocate", "--dig-holes", str(image(root)))  # mkfs.xfs writes 64 MiB of zeros
    # -o loop: the device is the kernel's to detach, whoever unmounts
    _run("mount", "-t", kind, "-o", ",".join(["loop", *options]), str(image(root)), str(root))


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        done = os.copy_file_range(source, target, end - start, start, start)
        if not done:
            return
        start += done


def _run(*argv: str) -> None:
    env = {**os.environ, "PATH": _path()}
    done = subprocess.run(argv, capture_output=True, text=True, env=env)
    if done.returncode:
        raise Unavailable(f"{' '.join(argv)}: {done.stderr.strip()}")


def _path() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
