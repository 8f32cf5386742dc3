"""A process that writes to one file while the tests commit it, told what to do line by line.

    python -m tests.contract.writer mmap|direct|flight|pairs FILE

`mmap` holds a shared mapping: `one` makes a store, `run SECONDS` stores at random moments.
`direct` writes its one block by O_DIRECT from several threads until it is ended. `flight`
makes one such write, which it answers when it has landed. `pairs` writes to both ends of the
file, first the one and then the other, until it is ended. Each store is a number larger than the
one before, and the last one made stands in the file beside it, FILE.last, mapped too.
"""

import ctypes
import itertools
import mmap
import os
import random
import sys
import threading
import time

BLOCK = 4096


def mapped(path: str) -> ctypes.c_uint64:
    """The first eight bytes of a file, as a number that one instruction stores."""
    fd = os.open(path, os.O_RDWR)
    number = ctypes.c_uint64.from_buffer(mmap.mmap(fd, BLOCK))
    os.close(fd)
    return number


def store_when_told(path: str) -> None:
    number, last = mapped(path), mapped(path + ".last")
    print("ready", flush=True)
    for line in sys.stdin:
        verb, _, argument = line.partition(" ")
        deadline = time.monotonic() + (float(argument) if verb == "run" else 0)
        while True:
            last.value += 1  # first: what the file holds is never later
            number.value = last.value
            if time.monotonic() >= deadline:
                break
            if random.random() < 0.3:
                time.sleep(random.random() / 500)
        print(last.value, flush=True)


def block(value: int) -> mmap.mmap:
    """Aligned, and the number all over."""
    buffer = mmap.mmap(-1, BLOCK)
    buffer.write(value.to_bytes(8, "little") * (BLOCK // 8))
    return buffer


def write_directly(path: str, threads: int = 4) -> None:
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    last, numbers = mapped(path + ".last"), threading.Lock()

    def work() -> None:
        while True:
            with numbers:
                last.value += 1
                value = last.value
            os.pwrite(fd, block(value), 0)

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


def write_once(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_DIRECT)
    print("ready", flush=True)
    for line in sys.stdin:
        os.pwrite(fd, block(int(line)), 0)
        print("landed", flush=True)


def write_pairs(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    end = os.fstat(fd).st_size - BLOCK
    print("ready", flush=True)
    for value in itertools.count(1):
        os.pwrite(fd, block(value), 0)
        os.pwrite(fd, block(value), end)


if __name__ == "__main__":
    KINDS = {
        "mmap": store_when_told,
        "direct": write_directly,
        "flight": write_once,
        "pairs": write_pairs,
    }
    KINDS[sys.argv[1]](sys.argv[2])
