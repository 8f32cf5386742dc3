"""Calls that fail: one at a time, or all that need space. These functions run in the worker."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from tests.crash.check import Expected, check
from tests.crash.history import wiped
from tests.crash.killing import at
from tests.crash.tracer import Suspension
from tests.crash.verbs import ALL

ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO}
# by which a kernel refuses a call though the disk is sound and has room
REFUSALS = ("EACCES", "EPERM", "EXDEV", "EDQUOT", "EMFILE", "ENOTEMPTY", "ETXTBSY")


def failed(root: Path, name: str, number: int, error: int) -> Suspension:
    """Build a pool anew and run the verb, whose call of that number fails with `error`."""
    wiped(root)
    ALL[name].build(root)
    return ALL[name].perform(root, at(number, -error))


def check_answer(root: Path, name: str, expected: Expected, ended: Suspension) -> list[str]:
    """What is wrong with the answer of the verb, and with the pool."""
    done = ended.code == 0
    wrong = [] if done else refusal(name, ended)
    return wrong + check(root, name, expected, done)


def refusal(name: str, ended: Suspension) -> list[str]:
    """What is wrong with a verb's refusal: it has its exit code and is one line."""
    lines = ended.said.splitlines()
    if ended.code in ALL[name].refused and len(lines) == 1 and lines[0].startswith("dvol: "):
        return []
    return [f"exit code {ended.code}, and said: {ended.said!r}"]


def performed(root: Path, name: str) -> Suspension:
    """Run the verb undisturbed."""
    return ALL[name].perform(root)


def filled(place: Path) -> Path:
    """Fill the file system of `place` to the last byte; returns the file that does."""
    filler = place / "filler"
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    os.write(fd, b"\1" * size)
            os.fsync(fd)
    os.close(fd)
    return filler
