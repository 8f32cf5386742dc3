"""btrfs subvolumes, by the few ioctls that dvol needs (include/uapi/linux/btrfs.h, Linux 4.18).

The ioctls are called directly, because the official binding needs a C library that is not installed
everywhere. The root directory of every subvolume has inode 256, and its `st_dev` changes with each
mount; only its tree id identifies a subvolume for its lifetime. Every call needs root, with
CAP_SYS_ADMIN, and raises the kernel's error as OSError.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from dvol.fs.beneath import DIRECTORY
from dvol.fs.directories import opened_directory

ROOT = 256  # BTRFS_FIRST_FREE_OBJECTID, the inode of a subvolume's root directory
PLACEHOLDER = 2  # BTRFS_EMPTY_SUBVOL_DIR_OBJECTID: what a snapshot shows for a subvolume

_NOT_BTRFS = {errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}
_CANNOT_OPEN = {errno.EACCES, errno.ENOTDIR}
_READ_ONLY = 1 << 1  # BTRFS_SUBVOL_RDONLY
_ROOT_TREE, _ROOT_REF, _INODE_REF = 1, 156, 12
_ANY = (1 << 64) - 1


def _request(direction: int, number: int, size: int) -> int:
    """_IOC of asm-generic/ioctl.h; 0x94 is btrfs."""
    return direction << 30 | size << 16 | 0x94 << 8 | number


_DESTROY = _request(1, 15, 4096)
_TREE_SEARCH = _request(3, 17, 4096)
_SNAPSHOT = _request(1, 23, 4096)
_CREATE = _request(1, 24, 4096)
_GET_FLAGS = _request(2, 25, 8)
_SET_FLAGS = _request(1, 26, 8)
_GET_INFO = _request(2, 60, 504)


class Info(NamedTuple):
    """What the kernel knows of a subvolume (struct btrfs_ioctl_get_subvol_info_args)."""

    id: int
    committed: int  # generation: the last transaction that wrote anything of its tree
    uuid: bytes
    source: bytes  # parent_uuid: the uuid of the subvolume that it is a snapshot of
    changed: int  # ctransid: the transaction of its last change
    made: int  # otransid: the transaction in which it was made


class Child(NamedTuple):
    """A subvolume directly in another one: its tree id, and the directory and name where it is
    linked."""

    id: int
    directory: int  # its inode in the other subvolume
    name: str


def usable(path: Path) -> bool:
    """Whether subvolumes can be made and listed at `path`, or, if it does not exist yet, at its
    nearest parent that does."""
    while not os.path.exists(path) and path != path.parent:
        path = path.parent
    if os.major(os.stat(path).st_dev) != 0:  # btrfs has no device number of its own
        return False
    try:
        with opened_directory(path, follow=True) as fd:
            children(fd)
    except OSError as error:
        if error.errno in _NOT_BTRFS | _CANNOT_OPEN:
            return False
        raise
    return True


def is_subvolume(fd: int) -> bool:
    """Whether the open directory is the root of a subvolume."""
    if os.fstat(fd).st_ino != ROOT:
        return False
    try:
        _flags(fd)
    except OSError as error:
        if error.errno in _NOT_BTRFS:
            return False
        raise
    return True


def tree_id(fd: int) -> int:
    """Tree id of the subvolume that the open file is in: no other has it while this one exists."""
    return _info(fd).id


def last_change(fd: int) -> tuple[bytes, int]:
    """The uuid of the open subvolume, and the transaction of its last change (ctransid): it stays
    when the subvolume is renamed, or a snapshot of it is made."""
    info = _info(fd)
    return info.uuid, info.changed


def unchanged(fd: int, frozen: int) -> bool:
    """Whether the open subvolume has not changed since it was made from the read-only `frozen`, or
    `frozen` from it; False proves nothing.

    A snapshot is made when no more changes can join its transaction (create_pending_snapshot in
    fs/btrfs/transaction.c), so a later transaction commits all later changes: True proves something
    only after a sync. Most changes are visible before that, in the transaction of the last change,
    which a snapshot inherits from its source. Not all are: what a mount replays from the log after
    a power cut does not count as a change (btrfs_update_inode in fs/btrfs/inode.c).
    """
    live, past = _info(fd), _info(frozen)
    if bytes(16) in (live.uuid, past.uuid):  # made by a kernel before 3.7
        return False
    if past.uuid == live.source:
        made = live.made
    elif live.uuid == past.source:
        made = past.made
    else:
        return False
    return (live.changed, live.committed) == (past.changed, made) and not is_readonly(fd)


def create(path: Path) -> None:
    """Make an empty subvolume; its mode is cut by the umask, as mkdir's is."""
    with opened_directory(path.parent, follow=True) as parent:
        fcntl.ioctl(parent, _CREATE, _arguments(0, 0, path.name))


def snapshot(source: int, into: Path, *, readonly: bool) -> None:
    """Make a new subvolume equal to the open one, in constant time, and both durable.

    Everything that was written to the source before the call is in it, and durable: the kernel
    writes the source back and commits the transaction (create_snapshot in fs/btrfs/ioctl.c). Of
    writes during the call it holds what a power cut at that instant would leave. Subvolumes inside
    the source are empty directories in it. FileExistsError if `into` exists.
    """
    flags = _READ_ONLY if readonly else 0
    with opened_directory(into.parent, follow=True) as parent:
        fcntl.ioctl(parent, _SNAPSHOT, _arguments(source, flags, into.name))


def destroy(parent: int, name: str) -> None:
    """Delete a subvolume, read-only or not, in constant time; its space is freed later.

    OSError: ENOTEMPTY while it holds other subvolumes, EINVAL if it is no subvolume, EROFS if it
    lies in a read-only one, EPERM if it is the default one. The kernel *detaches* what is mounted
    on it or in it (d_invalidate): look for mounts before.
    """
    fcntl.ioctl(parent, _DESTROY, bytearray(struct.pack("=q4088s", 0, os.fsencode(name))))


def is_readonly(fd: int) -> bool:
    """Whether the open subvolume can't be written to."""
    return bool(_flags(fd) & _READ_ONLY)


def set_readonly(fd: int, readonly: bool) -> None:
    """Make the open subvolume read-only or writable; costs a transaction if that changes."""
    if is_readonly(fd) != readonly:
        fcntl.ioctl(fd, _SET_FLAGS, struct.pack("=Q", _flags(fd) ^ _READ_ONLY))


def children(fd: int, of: int | None = None) -> list[Child]:
    """The subvolumes directly in the open one, or in the one with the tree id `of`.

    Read from the references in the root tree, so the time does not depend on the number of files.
    """
    found = []
    for id, data in _search(fd, _ROOT_TREE, tree_id(fd) if of is None else of, _ROOT_REF):
        directory, _, length = struct.unpack_from("=QQH", data)
        found.append(Child(id, directory, os.fsdecode(data[18 : 18 + length])))
    return found


def nested(fd: int) -> Iterator[str]:
    """The paths of all subvolumes in the open one, each after the subvolume that it lies in."""
    waiting = [("", tree_id(fd))]
    while waiting:
        path, id = waiting.pop()
        for child in children(fd, id):
            names = [*_components(fd, id, child.directory), child.name]
            waiting.append(("/".join([path, *names]), child.id))
            yield waiting[-1][0].removeprefix("/")


@contextmanager
def home_of(child: Child, subvolume: int) -> Iterator[int]:
    """The directory of the open subvolume that `child` is linked in.

    Opened one component at a time, since a path may be longer than the kernel accepts, and never
    through a symlink. OSError ESTALE if another directory took its place meanwhile, or something is
    mounted there.
    """
    fd = os.dup(subvolume)
    try:
        for name in _components(subvolume, tree_id(subvolume), child.directory):
            outer, fd = fd, os.open(name, DIRECTORY, dir_fd=fd)
            os.close(outer)
        here, there = os.fstat(fd), os.fstat(subvolume)
        if (here.st_ino, here.st_dev) != (child.directory, there.st_dev):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), child.name)
        yield fd
    finally:
        os.close(fd)


def _components(fd: int, id: int, inode: int) -> list[str]:
    """Path of a directory within the subvolume `id`, found by asking for each directory's parent.

    BTRFS_IOC_INO_LOOKUP does that in one call, but refuses more than 4080 bytes.
    """
    names: list[str] = []
    while inode != ROOT:
        references = _search(fd, id, inode, _INODE_REF)
        inode, data = next(references, (0, b""))
        if not inode:
            raise FileNotFoundError(errno.ENOENT, "a directory is gone", *names[-1:])
        length: int = struct.unpack_from("=H", data, 8)[0]
        names.append(os.fsdecode(data[10 : 10 + length]))
    return names[::-1]


def _search(fd: int, tree: int, object: int, kind: int) -> Iterator[tuple[int, bytes]]:
    """Offset and data of every item (object, kind, *) of a tree, by BTRFS_IOC_TREE_SEARCH."""
    offset = 0
    while offset <= _ANY:
        key = (tree, object, object, offset, _ANY, 0, _ANY, kind, kind, _ANY & 0xFFFFFFFF)
        buffer = bytearray(struct.pack("=7Q3I", *key).ljust(4096, b"\0"))
        fcntl.ioctl(fd, _TREE_SEARCH, buffer)
        count: int = struct.unpack_from("=I", buffer, 64)[0]
        if not count:
            return
        at = 104
        for _ in range(count):
            offset, length = struct.unpack_from("=16xQ4xI", buffer, at)
            yield offset, bytes(buffer[at + 32 : at + 32 + length])
            at += 32 + length
        offset += 1


def _info(fd: int) -> Info:
    answer = fcntl.ioctl(fd, _GET_INFO, bytes(504))
    return Info(*struct.unpack_from("=Q272xQ8x16s16s16xQQ", answer))


def _flags(fd: int) -> int:
    answer: tuple[int] = struct.unpack("=Q", fcntl.ioctl(fd, _GET_FLAGS, bytes(8)))
    return answer[0]


def _arguments(fd: int, flags: int, name: str) -> bytearray:
    """struct btrfs_ioctl_vol_args_v2; mutable, since Python copies only 1 KiB of immutable ones."""
    return bytearray(struct.pack("=qQQ32x4040s", fd, 0, flags, os.fsencode(name)))
