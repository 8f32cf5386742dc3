"""A process that swaps what is in a live tree for what leads out of it, and back, all the time.

    python -m tests.contract.racer some|everything TREE COUNTER

In the tree, and in each of its directories, `NAME` is exchanged with `NAME.out`, whatever both are:
`some` in bursts, and directories stay open, so that it goes on in those that were moved away;
`everything` that is in the tree itself, as fast as can be. How many swaps it made stands in the
file COUNTER.
"""

import ctypes
import mmap
import os
import random
import sys
import time

EXCHANGE = 2
FILES = [b"x%d" % number for number in range(30)]
NAMES = [b"d", b"e", b"sub", b"f", b"g", b"h", *FILES]
PLACES = ("", "d", "e", "d/sub", "e/sub")
KEPT = 12  # open directories
LIBC = ctypes.CDLL(None)


def opened(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None


def swap(directory: int, name: bytes, counter: ctypes.c_uint64) -> bool:
    swapped = LIBC.renameat2(directory, name, directory, name + b".out", EXCHANGE) == 0
    counter.value += swapped
    return swapped


def burst(directory: int, counter: ctypes.c_uint64) -> None:
    """One name many times, or all names in turn."""
    if random.random() < 0.5:
        name = random.choice(NAMES[: -len(FILES)])
        for _ in range(random.choice((1, 2, 20, 200))):
            if not swap(directory, name, counter):
                return
    for _ in range(random.choice((1, 2, 6))):
        for name in FILES:
            swap(directory, name, counter)


def everything(tree: str, swaps: ctypes.c_uint64) -> None:
    """All directories of a tree, which stays open, in turn, until it has none any more."""
    fd = os.open(tree, os.O_RDONLY)
    names = [name.removesuffix(".out").encode() for name in os.listdir(fd) if ".out" in name]
    while sum(swap(fd, name, swaps) for name in names):
        continue


def some(tree: str, swaps: ctypes.c_uint64) -> None:
    directories: list[int] = []
    while True:
        new = opened(os.path.join(tree, random.choice(PLACES)))
        if new is not None:
            directories.append(new)
        if len(directories) > KEPT:
            os.close(directories.pop(random.randrange(KEPT)))
        for directory in random.sample(directories, min(4, len(directories))):
            burst(directory, swaps)
        time.sleep(random.choice((0, 0, 0.001, 0.01, 0.05, 0.2)))


if __name__ == "__main__":
    number = os.open(sys.argv[3], os.O_RDWR)
    counter = ctypes.c_uint64.from_buffer(mmap.mmap(number, 4096))
    print("ready", flush=True)
    {"some": some, "everything": everything}[sys.argv[1]](sys.argv[2], counter)
