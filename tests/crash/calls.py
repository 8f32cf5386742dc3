"""The system calls that change a disk, on x86-64, and which of them concern a pool."""

import os
from dataclasses import dataclass
from pathlib import Path

# By path: there is nothing else in what a verb does, so all of them count.
BY_PATH = {
    **{"open": 2, "truncate": 76, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85},
    **{"link": 86, "unlink": 87, "symlink": 88, "chmod": 90, "chown": 92, "lchown": 94},
    **{"utime": 132, "mknod": 133, "sync": 162, "setxattr": 188, "lsetxattr": 189},
    **{"removexattr": 197, "lremovexattr": 198, "utimes": 235, "openat": 257, "mkdirat": 258},
    **{"mknodat": 259, "fchownat": 260, "futimesat": 261, "unlinkat": 263, "renameat": 264},
    **{"linkat": 265, "symlinkat": 266, "fchmodat": 268, "utimensat": 280, "renameat2": 316},
    **{"openat2": 437, "fchmodat2": 452},
}
# By descriptor: the first argument, unless said otherwise. A pipe or the terminal is no disk.
BY_DESCRIPTOR = {
    **{"write": 1, "ioctl": 16, "pwrite64": 18, "writev": 20, "sendfile": 40, "fsync": 74},
    **{"fdatasync": 75, "ftruncate": 77, "fchmod": 91, "fchown": 93, "fsetxattr": 190},
    **{"fremovexattr": 199, "splice": 275, "sync_file_range": 277, "fallocate": 285},
    **{"pwritev": 296, "syncfs": 306, "copy_file_range": 326, "pwritev2": 328},
}
WRITTEN_TO = {"copy_file_range": 2, "splice": 2}
NUMBERS = BY_PATH | BY_DESCRIPTOR
NAMES = {number: name for name, number in NUMBERS.items()}
SYNCS = frozenset({"fsync", "fdatasync", "syncfs", "sync", "sync_file_range"})

FLAGS = {"open": 1, "openat": 2}  # which argument says how
NEW_NAME = {"rename": 1, "renameat": 3, "renameat2": 3}
MAKING = os.O_CREAT | os.O_TRUNC | (os.O_TMPFILE & ~os.O_DIRECTORY)
# FICLONE, the ioctls of btrfs, and those that set a file's flags or project
IOCTLS = {0x94, ord("f"), ord("X")}
READ_ONLY = 2  # _IOC_READ without _IOC_WRITE: it only asks


@dataclass(frozen=True)
class Call:
    """A call that is about to change a disk: the `number`-th such call of the verb."""

    number: int
    name: str
    target: str

    @property
    def places_document(self) -> bool:
        """Whether it gives a document its final name: a journal, a list, an index, a pointer."""
        return self.name in NEW_NAME and self.target.endswith(".json")

    @property
    def writes_journal(self) -> bool:
        return self.places_document and self.target.endswith("journal.json")


def changes(name: str, arguments: tuple[int, ...], pid: int, place: str) -> bool:
    """Whether this call, made by `pid`, changes the disk below `place`."""
    if name in FLAGS:
        return bool(arguments[FLAGS[name]] & MAKING)
    if name in BY_PATH:
        return True
    if name == "ioctl" and not _changing_ioctl(arguments[1]):
        return False
    return descriptor(pid, arguments[WRITTEN_TO.get(name, 0)]).startswith(place)


def target(name: str, arguments: tuple[int, ...], pid: int) -> str:
    """The path that the call changes: the new name of a rename, or the file of a descriptor."""
    if name in NEW_NAME:
        return _text(pid, arguments[NEW_NAME[name]])
    if name in BY_DESCRIPTOR:
        return descriptor(pid, arguments[WRITTEN_TO.get(name, 0)])
    return ""


def descriptor(pid: int, number: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{number & 0xFFFFFFFF}")
    except OSError:
        return ""


def _changing_ioctl(request: int) -> bool:
    return (request >> 8) & 0xFF in IOCTLS and (request >> 30) & 3 != READ_ONLY


def _text(pid: int, address: int) -> str:
    """The text at an address of another process, up to the end of its page."""
    memory = os.open(Path(f"/proc/{pid}/mem"), os.O_RDONLY)
    try:
        found = os.pread(memory, 4096 - address % 4096, address)
        if b"\0" not in found:
            found += os.pread(memory, 4096, address + len(found))
    finally:
        os.close(memory)
    return os.fsdecode(found.split(b"\0", 1)[0])
