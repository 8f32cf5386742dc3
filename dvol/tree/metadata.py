"""One entry of a tree, with everything that belongs to it but its content.

Owner, mode, times in nanoseconds and extended attributes (ACLs and file capabilities among them)
are copied and compared; so are symlinks, FIFOs, sockets and device nodes, which have nothing else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

NOT_KNOWN, _NONE = 0, 1  # instead of a checksum of extended attributes
_PLAIN_ACL = 4 + 3 * 8  # bytes of an ACL that says no more than the mode
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def opened(name: str, directory: int) -> Iterator[int]:
    """A file of the open `directory`, open for reading; see `open_file`."""
    fd = open_file(name, directory)
    try:
        yield fd
    finally:
        os.close(fd)


def open_file(name: str, directory: int) -> int:
    """Open a regular file for reading, and nothing else: OSError ESTALE if another kind of entry
    has taken its place. The kind is looked at first, because opening a device may do something."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), name)
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(handle)


@contextmanager
def writable(directory: int) -> Iterator[None]:
    """While names in the open `directory`, or attributes of a file, are changed: a user other than
    root who owns it may need its write bit, and gives it back."""
    mode = stat.S_IMODE(os.fstat(directory).st_mode)
    lacking = os.geteuid() != 0 and not mode & stat.S_IWUSR
    if lacking:
        os.fchmod(directory, mode | stat.S_IWUSR)
    try:
        yield
    finally:
        if lacking:
            os.fchmod(directory, mode)


def copy_attributes(source: int, target: int) -> int:
    """Give the open `target` owner, mode, extended attributes and times of the open `source`;
    returns the checksum of the extended attributes.

    In this order: chown clears setuid bits and capabilities, chmod rewrites an ACL's mask,
    and all of them touch the times. A user.* attribute needs write permission (xattr_permission in
    fs/xattr.c).
    """
    status, new = os.fstat(source), os.fstat(target)
    if (status.st_uid, status.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    with writable(target):
        values = _copy_xattrs(source, target)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    return _checksum(values)


def copy_special(
    name: str, status: os.stat_result, source: int, new_name: str, target: int
) -> None:
    """Make a symlink, FIFO, socket or device node equal to another one; neither is ever opened."""
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), new_name, dir_fd=target)
    else:
        os.mknod(new_name, status.st_mode, status.st_rdev, dir_fd=target)
    new = os.stat(new_name, dir_fd=target, follow_symlinks=False)
    if (status.st_uid, status.st_gid) != (new.st_uid, new.st_gid):
        os.chown(new_name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        _set_mode_of_special(new_name, status, target)
    _copy_xattrs(_by_descriptor(source, name), _by_descriptor(target, new_name))
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(new_name, ns=times, dir_fd=target, follow_symlinks=False)


def _set_mode_of_special(name: str, status: os.stat_result, directory: int) -> None:
    """Never through a symlink: the directory may be another user's, who could put one there."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if stat.S_IFMT(os.fstat(fd).st_mode) != stat.S_IFMT(status.st_mode):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), name)
        os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(status.st_mode))
    finally:
        os.close(fd)


def same_status(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two entries may be equal, by mode, owner, mtime, device number and (no directory's)
    size."""
    size = not stat.S_ISDIR(one.st_mode) and one.st_size != other.st_size
    return not size and _visible(one) == _visible(other)


def same_special(name: str, one: int, other: int) -> bool:
    """Whether two entries with the same status, neither files nor directories, are equal."""
    return _target(name, one) == _target(name, other) and same_xattrs(
        _by_descriptor(one, name), _by_descriptor(other, name)
    )


def same_xattrs(one: int | str, other: int | str) -> bool:
    """Whether two entries have the same extended attributes."""
    return _values(one) == _values(other)


def shared_xattrs(one: int, other: int) -> int:
    """The checksum of the extended attributes of two open files; NOT_KNOWN if these differ."""
    values = _values(one)
    return _checksum(values) if values == _values(other) else NOT_KNOWN


def xattrs_checksum(name: str, directory: int) -> int:
    """A checksum of the extended attributes of an entry of the open `directory`; of the directory
    itself if `name` is "". See `_checksum`."""
    return _checksum(entry_xattrs(name, directory))


def entry_xattrs(name: str, directory: int) -> dict[str, bytes]:
    """The extended attributes that belong to an entry of the open `directory`, or to itself if
    `name` is "": without the labels that the kernel sets by itself, and without an ACL that says no
    more than the mode, which XFS may list or not."""
    where = _by_descriptor(directory, name) if name else directory
    found: dict[str, bytes] = {}
    for name in sorted(filter(_is_own, _xattrs(where))):
        try:
            value = os.getxattr(where, name, follow_symlinks=isinstance(where, int))
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
            continue
        if not _is_plain_acl(name, value):
            found[name] = value
    return found


def _is_own(name: str) -> bool:
    return name == "security.capability" or not name.startswith("security.")


def _is_plain_acl(name: str, value: bytes) -> bool:
    return name == "system.posix_acl_access" and len(value) <= _PLAIN_ACL


def _is_acl(item: tuple[str, bytes]) -> bool:
    return item[0].startswith("system.posix_acl_")


def _checksum(values: dict[str, bytes]) -> int:
    """A CRC-32 of those extended attributes that belong to a file: 1 if there are none, else more
    than 1."""
    own = b"".join(
        b"%s=%d:%s" % (os.fsencode(name), len(value), value)
        for name, value in sorted(values.items())
        if _is_own(name) and not _is_plain_acl(name, value)
    )
    if not own:
        return _NONE
    import zlib  # late: few files have any

    return max(zlib.crc32(own), _NONE + 1)


def _visible(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        status.st_rdev,
    )


def _target(name: str, directory: int) -> str:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.EINVAL:  # no symlink
            return ""
        raise


def _by_descriptor(directory: int, name: str) -> str:
    """A path, since extended attributes have no *at() calls before Linux 6.13."""
    return f"/proc/self/fd/{directory}/{name}"


def _copy_xattrs(source: int | str, target: int | str) -> dict[str, bytes]:
    """Also remove what only the target has: ACLs inherited from the directory it was made in. An
    ACL is set last, since it may take the permission to set others. Returns the attributes of the
    source.

    Else in the order in which the kernel lists them: ext4 has little room for them, in the inode
    and in one block, and what is set first goes to the inode (ext4_xattr_set_handle). In another
    order they may not fit.
    """
    values = _values(source)
    for name in set(_xattrs(target)) - set(values):
        if not name.startswith("security."):  # the kernel's own labels
            _remove_xattr(target, name)
    for name, value in sorted(values.items(), key=_is_acl):
        os.setxattr(target, name, value, follow_symlinks=isinstance(target, int))
    return values


def _remove_xattr(target: int | str, name: str) -> None:
    """ENODATA is no error: XFS lists an ACL that says no more than the mode, but has none to
    remove."""
    try:
        os.removexattr(target, name, follow_symlinks=isinstance(target, int))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise


def _values(path: int | str) -> dict[str, bytes]:
    """Names and values. Python does not allow `follow_symlinks=False` for a descriptor."""
    follow = isinstance(path, int)
    return {name: os.getxattr(path, name, follow_symlinks=follow) for name in _xattrs(path)}


def _xattrs(path: int | str) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=isinstance(path, int))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            return []
        raise
