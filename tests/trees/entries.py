"""New entries of every kind, with names and contents at random.

A function makes one at a path that does not exist yet, which must be shorter than PATH_MAX.
"""

import os
import stat
from collections.abc import Callable
from random import Random

Make = Callable[[Random, bytes], None]

KiB = 1024
LEVELS, NAME_MAX = 20, 255
NAMES = (
    b"-rf", b"--", b" ", b"...", b".dvol", b".deleting-1", b"tree.links", b"tree", b"new\nline",
    b"\xff\xfe", b"\x01\x7f", "ü".encode(), b"a'b\"c", b"$(id)", b"%s", b"back\\slash",
)  # fmt: skip


def name(rng: Random) -> bytes:
    """Mostly plain, so that names are used again after their entries are gone."""
    which = rng.randrange(8)
    if which == 0:
        return rng.choice(NAMES)
    if which == 1:
        return bytes(rng.choice(b"x\xe9-\n") for _ in range(NAME_MAX))
    if which == 2:
        return rng.randbytes(rng.randint(1, 40)).translate(None, b"/\0") or b"x"
    return b"n%d" % rng.randrange(60)


def is_fit(entry: bytes) -> bool:
    return entry not in (b".", b"..")


def empty(rng: Random, path: bytes) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def small(rng: Random, path: bytes) -> None:
    _written(path, rng.randbytes(rng.choice([1, 7, 100, 4095, 4096, 4097, 9000])))


def large(rng: Random, path: bytes) -> None:
    """From 128 KiB on a copied file is handed to the disk at once."""
    _written(path, rng.randbytes(rng.choice([128 * KiB, 128 * KiB + 1, 300 * KiB])))


def zeros(rng: Random, path: bytes) -> None:
    _written(path, bytes(rng.randint(1, 20_000)))


def sparse(rng: Random, path: bytes) -> None:
    """Holes at the beginning, in between and at the end."""
    with open(path, "xb") as file:  # noqa: PTH123
        for _ in range(rng.randint(0, 3)):
            file.seek(rng.randrange(8 << 20))
            file.write(rng.randbytes(rng.randint(1, 5000)))
        file.truncate(rng.randrange(9 << 20))


def extents(rng: Random, path: bytes) -> None:
    """Written from the end to the beginning, each part handed to the disk before the next."""
    with open(path, "xb", buffering=0) as file:  # noqa: PTH123
        for at in reversed(range(rng.randint(2, 4))):
            os.pwrite(file.fileno(), rng.randbytes(10_000), at * rng.choice([10_000, 16 * KiB]))
            os.fdatasync(file.fileno())


def preallocated(rng: Random, path: bytes) -> None:
    """Blocks that were never written, within the file."""
    with open(path, "xb", buffering=0) as file:  # noqa: PTH123
        os.posix_fallocate(file.fileno(), 0, rng.randint(1, 100_000))
        os.pwrite(file.fileno(), b"x", rng.randrange(100_000))


def directory(rng: Random, path: bytes) -> None:
    os.mkdir(path)


def nest(rng: Random, path: bytes) -> None:
    """A deep directory, often beyond PATH_MAX, with a file at its end."""
    os.mkdir(path)
    at = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        part = b"d" * rng.choice([1, NAME_MAX])
        for _ in range(rng.randint(3, LEVELS)):
            os.mkdir(part, dir_fd=at)
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = inner
        file = os.open(b"end", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=at)
        os.write(file, rng.randbytes(20))
        os.close(file)
    finally:
        os.close(at)


def symlink(rng: Random, path: bytes) -> None:
    target = rng.choice(
        [b"nowhere", b"../../..", b".", b"/etc/passwd", b"\xff\n", b"n1", b"x" * 1000]
    )
    os.symlink(target, path)


def fifo(rng: Random, path: bytes) -> None:
    os.mkfifo(path)


def socket(rng: Random, path: bytes) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o755)


def device(rng: Random, path: bytes) -> None:
    """With numbers that XFS takes, too: it has 9 bits for the major and 18 for the minor one."""
    numbers = rng.choice([(1, 3), (7, 0), (0, 0), (300, 70_000), (511, (1 << 18) - 1)])
    os.mknod(path, rng.choice([stat.S_IFCHR, stat.S_IFBLK]) | 0o660, os.makedev(*numbers))


def _written(path: bytes, content: bytes) -> None:
    with open(path, "xb") as file:  # noqa: PTH123
        file.write(content)


# how often each is made, in proportion
WEIGHTS: dict[Make, int] = {
    empty: 3, small: 8, large: 2, zeros: 1, sparse: 2, extents: 1, preallocated: 1,
    directory: 6, nest: 1, symlink: 3, fifo: 1, socket: 1,
}  # fmt: skip
OF_ROOT: dict[Make, int] = {device: 2}
