"""Copying one entry of a tree with everything that belongs to it.

Data (cloned where the file system can, sparse files kept sparse), hard links, owner, mode,
times in nanoseconds, extended attributes (ACLs and file capabilities are such), symlinks,
FIFOs, sockets and device nodes. Directories and the walk over them are in `copy`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dvol.errors import TreeChanged

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409  # ioctl_ficlone(2)
_CLONE_FROM = 16 * 1024  # bytes; below that a plain copy is quicker than sharing extents
_AT_ONCE = 1 << 30  # bytes for one copy_file_range
_CANNOT_CLONE = {
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EINVAL,
    errno.EXDEV,
    errno.ENOSYS,
    errno.EPERM,
}


@dataclass
class Copier:
    """Copies entries of one tree. Hard links among them stay hard links.

    `links` is an empty directory beside the target: it keeps one name for each file with
    several, so that the next name can be linked from there, whatever path the first is at.
    """

    links: Path
    clones: bool = True
    _seen: dict[tuple[int, int], int] = field(default_factory=dict)

    def copy(self, name: str, status: os.stat_result, source: int, target: int) -> None:
        """Copy the entry `name`, which has `status`, from one directory to another."""
        several = status.st_nlink > 1
        if several and self._link(name, status, target):
            return
        if stat.S_ISREG(status.st_mode):
            self._copy_file(name, status, source, target)
        else:
            _copy_special(name, status, source, target)
        if several:
            self._remember(name, status, target)

    def _copy_file(self, name: str, status: os.stat_result, source: int, target: int) -> None:
        one = os.open(name, _READ, dir_fd=source)
        try:
            before = os.fstat(one)
            if not stat.S_ISREG(before.st_mode):
                raise TreeChanged(name)
            other = os.open(name, _WRITE, 0o600, dir_fd=target)
            try:
                self._copy_data(one, other, before)
                copy_attributes(one, other)
            finally:
                os.close(other)
            if _signature(before) != _signature(os.fstat(one)):
                raise TreeChanged(name)
        finally:
            os.close(one)

    def _copy_data(self, source: int, target: int, status: os.stat_result) -> None:
        size = status.st_size
        if size >= _CLONE_FROM and self._clone(source, target):
            return
        for start, end in _extents(source, status):
            _copy_range(source, target, start, end)
        if _is_sparse(status):
            os.ftruncate(target, size)

    def _clone(self, source: int, target: int) -> bool:
        """Share the extents, where the file system can; asked once per tree where it can't."""
        if self.clones:
            try:
                fcntl.ioctl(target, _FICLONE, source)
                return True
            except OSError as error:
                if error.errno not in _CANNOT_CLONE:
                    raise
                self.clones = False
        return False

    def _link(self, name: str, status: os.stat_result, target: int) -> bool:
        """Link a further name to a file that was copied; the last one takes the kept name
        itself, so that a group as large as the link limit fits."""
        key = (status.st_dev, status.st_ino)
        left = self._seen.get(key)
        if left is None:
            return False
        kept = self._kept(status)
        self._seen[key] = left - 1
        if left == 1:
            os.rename(kept, name, dst_dir_fd=target)
        else:
            os.link(kept, name, dst_dir_fd=target, follow_symlinks=False)
        return True

    def _remember(self, name: str, status: os.stat_result, target: int) -> None:
        os.link(name, self._kept(status), src_dir_fd=target, follow_symlinks=False)
        self._seen[status.st_dev, status.st_ino] = status.st_nlink - 1

    def _kept(self, status: os.stat_result) -> Path:
        return self.links / f"{status.st_dev}-{status.st_ino}"


def copy_attributes(source: int, target: int) -> None:
    """Give the open `target` owner, mode, extended attributes and times of the open `source`.

    In this order: chown clears setuid bits and capabilities, chmod rewrites an ACL's mask,
    and all of them touch the times.
    """
    status, new = os.fstat(source), os.fstat(target)
    if (status.st_uid, status.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    _copy_xattrs(source, target)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_special(name: str, status: os.stat_result, source: int, target: int) -> None:
    """Symlinks, FIFOs, sockets, devices: made, never opened."""
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
    new = os.stat(name, dir_fd=target, follow_symlinks=False)
    if (status.st_uid, status.st_gid) != (new.st_uid, new.st_gid):
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    # no *at() calls for extended attributes before Linux 6.13: go through the descriptor
    _copy_xattrs(f"/proc/self/fd/{source}/{name}", f"/proc/self/fd/{target}/{name}")
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)


def _copy_xattrs(source: int | str, target: int | str) -> None:
    """Also remove what only the target has: ACLs that it inherited from where it was made."""
    follow = isinstance(source, int)  # a descriptor allows no other value
    names = _xattrs(source, follow)
    for name in set(_xattrs(target, follow)) - set(names):
        if not name.startswith("security."):  # the kernel's own labels
            _remove_xattr(target, name, follow)
    for name in names:
        value = os.getxattr(source, name, follow_symlinks=follow)
        os.setxattr(target, name, value, follow_symlinks=follow)


def _remove_xattr(target: int | str, name: str, follow: bool) -> None:
    """XFS lists an ACL that says no more than the mode, and then has none to remove."""
    try:
        os.removexattr(target, name, follow_symlinks=follow)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise


def _xattrs(path: int | str, follow: bool) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            return []
        raise


def _extents(source: int, status: os.stat_result) -> Iterator[tuple[int, int]]:
    """The ranges that hold data; the holes between them stay holes."""
    size = status.st_size
    if not _is_sparse(status):
        yield 0, size
        return
    start = end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data beyond
                return
            raise
        end = os.lseek(source, start, os.SEEK_HOLE)
        yield start, end


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    """In the kernel where it can; a file that ends early is found out by its signature."""
    while start < end:
        count = min(end - start, _AT_ONCE)
        try:
            done = os.copy_file_range(source, target, count, start, start)
        except OSError as error:
            if error.errno not in _CANNOT_CLONE:
                raise
            done = os.pwrite(target, os.pread(source, min(count, 1 << 20), start), start)
        if done == 0:
            return
        start += done


def _is_sparse(status: os.stat_result) -> bool:
    return status.st_blocks * 512 < status.st_size


def _signature(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
