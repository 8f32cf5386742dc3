"""Comparing trees by everything that a program could see of them.

Walks by directory descriptor, so that depth and the length of paths have no limit.
"""

import hashlib
import os
import resource
import stat
from dataclasses import dataclass
from pathlib import Path

from tests.contract.inode_flags import flags_of

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
BLOCK = 4096


@dataclass(frozen=True)
class Entry:
    """One entry, without the number of its inode; `twins` are the other names of that inode."""

    kind: str
    mode: str
    owner: tuple[int, int]
    modified: int
    accessed: int
    attributes: tuple[tuple[str, bytes], ...]
    size: int
    content: str
    device: int
    twins: tuple[bytes, ...]
    flags: str = ""  # as chattr(1) calls them


@dataclass(frozen=True)
class Seen:
    """An entry as it was walked over."""

    status: os.stat_result
    content: str
    attributes: tuple[tuple[str, bytes], ...]
    flags: str = ""


def described(tree: Path, accessed: bool = False) -> dict[bytes, Entry]:
    """Every entry of `tree` by its path, the root under the empty path.

    Times of last access are looked at only if asked for, since reading changes them.
    """
    seen = _walk(tree)
    names: dict[tuple[int, int], list[bytes]] = {}
    for path, one in seen.items():
        names.setdefault((one.status.st_dev, one.status.st_ino), []).append(path)
    return {path: _entry(path, one, names, accessed) for path, one in sorted(seen.items())}


def inodes(tree: Path) -> set[tuple[int, int]]:
    """The inodes of a tree."""
    return {(one.status.st_dev, one.status.st_ino) for one in _walk(tree).values()}


def space(tree: Path) -> int:
    """Bytes that a tree takes on disk."""
    return sum(512 * one.status.st_blocks for one in _walk(tree).values())


def _entry(
    path: bytes, one: Seen, names: dict[tuple[int, int], list[bytes]], accessed: bool
) -> Entry:
    status = one.status
    twins = sorted(names[status.st_dev, status.st_ino])
    twins.remove(path)
    directory = stat.S_ISDIR(status.st_mode)
    return Entry(
        kind=stat.filemode(status.st_mode)[0],
        mode=oct(stat.S_IMODE(status.st_mode)),
        owner=(status.st_uid, status.st_gid),
        modified=status.st_mtime_ns,
        accessed=status.st_atime_ns if accessed else 0,
        attributes=one.attributes,
        size=0 if directory else status.st_size,
        content=one.content,
        device=status.st_rdev,
        twins=tuple(twins),
        flags=one.flags,
    )


def _walk(tree: Path) -> dict[bytes, Seen]:
    """Depth first, each directory's descriptor kept open while its entries are looked at."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    seen: dict[bytes, Seen] = {}
    levels: list[tuple[int, bytes, list[bytes]]] = []
    try:
        _enter(os.fsencode(tree), None, b"", levels, seen)
        while levels:
            fd, path, names = levels[-1]
            if not names:
                os.close(fd)
                levels.pop()
                continue
            name = names.pop()
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                _enter(name, fd, path + b"/" + name, levels, seen)
            else:
                seen[path + b"/" + name] = _seen(name, fd, status)
    finally:
        for fd, _, _ in levels:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return seen


def _enter(name: bytes, parent: int | None, path: bytes, levels: list, seen: dict) -> None:
    fd = os.open(name, DIRECTORY | _unnoticed(), dir_fd=parent)
    seen[path] = Seen(os.fstat(fd), "", _attributes(fd), flags_of(fd))
    levels.append((fd, path, [os.fsencode(one) for one in os.listdir(fd)]))


def _seen(name: bytes, fd: int, status: os.stat_result) -> Seen:
    attributes = _attributes(os.path.join(f"/proc/self/fd/{fd}".encode(), name))
    if stat.S_ISLNK(status.st_mode):
        return Seen(status, os.fsdecode(os.readlink(name, dir_fd=fd)), attributes)
    if stat.S_ISREG(status.st_mode):
        return Seen(status, _digest(name, fd), attributes, _flags(name, fd))
    return Seen(status, "", attributes)


def _flags(name: bytes, parent: int) -> str:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | _unnoticed(), dir_fd=parent)
    try:
        return flags_of(fd)
    finally:
        os.close(fd)


def _digest(name: bytes, parent: int) -> str:
    """Of all that is not zero, so that a hole equals the zeros it reads as."""
    digest = hashlib.sha256()
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | _unnoticed(), dir_fd=parent)
    try:
        end = 0
        while (start := _next_data(fd, end)) is not None:
            end = os.lseek(fd, start, os.SEEK_HOLE)
            for at in range(start - start % BLOCK, end, BLOCK):
                block = os.pread(fd, BLOCK, at)
                if block.strip(b"\0"):
                    digest.update(b"%d:" % at + block)
    finally:
        os.close(fd)
    return digest.hexdigest()


def _next_data(fd: int, start: int) -> int | None:
    try:
        return os.lseek(fd, start, os.SEEK_DATA)
    except OSError:
        return None


def _attributes(where: int | bytes) -> tuple[tuple[str, bytes], ...]:
    follow = isinstance(where, int)
    try:
        names = os.listxattr(where, follow_symlinks=follow)
    except OSError:
        return ()
    return tuple((name, os.getxattr(where, name, follow_symlinks=follow)) for name in sorted(names))


def _unnoticed() -> int:
    """Looking must not change when a file was last looked at; only root may ask for that."""
    return os.O_NOATIME if os.geteuid() == 0 else 0
