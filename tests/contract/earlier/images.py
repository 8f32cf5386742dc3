"""The image of the earlier pools: made, packed, unpacked, and mounted as often as one likes.

Nothing here knows dvol. Whatever is mounted is unmounted at the end of a `with`.
"""

import lzma
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.lab import Unavailable, leftovers
from tests.lab.filesystems import PREFIX, attach, copy_sparse, detach

HERE = Path(__file__).parent
ZIP = HERE / "dvol-format1.zip"
PACKED = HERE / "format1.img.xz"
SIZE = 16 << 20
BLOCK = 1024
# Few inodes, no checksums and no log: the less is on the disk, the less there is to pack.
MAKE = (
    *("mkfs.ext4", "-q", "-F", "-b", str(BLOCK), "-I", "256", "-N", "4096", "-m", "0"),
    *("-O", "^has_journal,^resize_inode,^metadata_csum,^orphan_file", "-U", "null"),
    *("-E", "lazy_itable_init=0,nodiscard,hash_seed=d0010000-0000-4000-8000-000000000001"),
)


@contextmanager
def bench() -> Iterator[Path]:
    """A directory for images and what is mounted of them, in memory where that is possible; all
    of it goes at the end, whatever happened inside."""
    place = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path("/var/tmp")
    leftovers.sweep(place, PREFIX)
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    with leftovers.lock(made), ExitStack() as undo:
        undo.callback(leftovers.clear, made)
        yield made


@contextmanager
def mounted(image: Path, root: Path) -> Iterator[Path]:
    """The root of the file system in `image`, which changes with it; afterwards it is at rest."""
    root.mkdir()
    attach("ext4", image, root)
    try:
        yield root
    finally:
        detach(root)
        root.rmdir()


@contextmanager
def copied(image: Path, name: str) -> Iterator[Path]:
    """The root of a copy of `image`, for one who changes what is in it."""
    copy = image.with_name(f"{name}.img")
    copy_sparse(image, copy)
    with mounted(copy, image.with_name(name)) as root:
        yield root
    copy.unlink()


def made(image: Path) -> Path:
    """An empty file system in a new file."""
    with image.open("wb") as file:
        file.truncate(SIZE)
    _run(*MAKE, str(image))
    return image


def trimmed(root: Path) -> None:
    """Make free blocks zero: what was deleted need not be packed."""
    _run("fstrim", str(root))


def pack(image: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    PACKED.write_bytes(lzma.compress(image.read_bytes(), filters=filters))


def unpacked(into: Path) -> Path:
    """The image as a sparse file in the directory `into`."""
    image, content = into / "format1.img", lzma.decompress(PACKED.read_bytes())
    with image.open("wb") as file:
        file.truncate(len(content))
        for at in range(0, len(content), BLOCK):
            if (block := content[at : at + BLOCK]).strip(b"\0"):
                os.pwrite(file.fileno(), block, at)
    return image


def _run(*argv: str) -> None:
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PATH": path})
    if done.returncode:
        raise Unavailable(f"{' '.join(argv)}: {done.stderr.strip()}")
