"""Project ids: by these XFS and ext4 count whose space a file takes (quotas of a directory).

A directory may hand its project id down to what is made in it, and then takes in no file of another
project: rename(2) and link(2) fail with EXDEV, though it is one file system (xfs_rename and
xfs_link in fs/xfs/xfs_inode.c, ext4_rename and ext4_link in fs/ext4/namei.c). A project id belongs
to a place and not to a state, so it is never recorded: what is moved gets that of its new place.

`rename`, `link` and `exchange` ask only once the kernel has refused. The kernel lets no ioctl
change a symlink or a device node, so what is staged for a live directory is made in one that hands
down the same project id: `take`, `taken`, `StagedFor`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from dvol.fs import flags, syscalls
from dvol.fs.directories import opened_directory

_GET, _SET = 0x801C581F, 0x401C5820  # FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR, linux/fs.h
_FSXATTR = struct.Struct("=5I8x")  # xflags, extsize, nextents, projid, cowextsize
_FLAGS, _ID = 0, 3  # fields of it
_HANDS_DOWN = 0x200  # FS_XFLAG_PROJINHERIT


class Project(NamedTuple):
    """The project id of a directory, and whether what is made in it gets the same."""

    id: int
    hands_down: bool


NO_PROJECT = Project(0, False)


def project_of(directory: int) -> Project:
    """That of an open directory; NO_PROJECT where the file system knows none."""
    with suppress(OSError):
        fields = _get(directory)
        return Project(fields[_ID], bool(fields[_FLAGS] & _HANDS_DOWN))
    return NO_PROJECT


def take(directory: int, project: Project) -> None:
    """Give the open directory that project, if it has another one. An error is ignored: where the
    project was needed, a rename will say so."""
    with suppress(OSError):
        if project_of(directory) != project:
            _set(directory, project)


def hand_nothing_down(directory: int) -> None:
    """Let the open directory take in files of any project, as one without a project does."""
    with suppress(OSError):
        own = project_of(directory)
        if own.hands_down:
            _set(directory, own._replace(hands_down=False))


@contextmanager
def taken(directory: Path, model: Path, above: Path) -> Iterator[None]:
    """What the block makes in `directory` gets the project of the directory `above`, if that one
    hands it down, else that of `model`, if that is there."""
    with opened_directory(directory) as fd:
        own, wanted = project_of(fd), _at(above)
        take(fd, wanted if wanted.hands_down else _at(model))
        try:
            yield
        finally:
            take(fd, own)


class StagedFor:
    """The open directory `staging` while files are staged in it: each gets the project of the live
    directory that it goes to. Each of these is asked once."""

    def __init__(self, staging: int) -> None:
        self._staging = staging
        self._known: dict[str, Project] = {}
        self._now = project_of(staging)

    def knows(self, path: str) -> bool:
        """Whether the live directory at `path` was asked before."""
        return path in self._known

    def ask(self, path: str, live: int) -> None:
        """Ask the live directory at `path`, which is open."""
        found = project_of(live)
        self._known[path] = found if found.hands_down else NO_PROJECT

    def become(self, path: str) -> None:
        """What is made from now on goes to the live directory at `path`."""
        wanted = self._known[path]
        if wanted != self._now:
            take(self._staging, wanted)
            self._now = wanted

    def end(self) -> None:
        """The directory must take in what the steps of a reset set aside, whatever its project."""
        hand_nothing_down(self._staging)


def rename(
    source: str | Path,
    target: str | Path,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
) -> None:
    """As os.rename; a file or directory of another project gets that of its new directory."""
    try:
        os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
    except OSError as error:
        if error.errno != errno.EXDEV or not _fit(source, src_dir_fd, target, dst_dir_fd):
            raise
        os.rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)


def link(
    source: str | Path,
    target: str | Path,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
) -> None:
    """As os.link, and never through a symlink; a file of another project gets that of the new
    name's directory."""
    fds = {"src_dir_fd": src_dir_fd, "dst_dir_fd": dst_dir_fd}
    try:
        os.link(source, target, follow_symlinks=False, **fds)
    except OSError as error:
        link_after(error, source, target, **fds)


def link_after(
    error: OSError,
    source: str | Path,
    target: str | Path,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
) -> None:
    """As `link`, where `os.link` has failed with that error: for a loop over many files, in which
    one call more would be seen. Raises the error if it means something else."""
    if error.errno != errno.EXDEV or not _fit(source, src_dir_fd, target, dst_dir_fd):
        raise error
    os.link(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=False)


def exchange(one: Path, other: Path) -> None:
    """As `syscalls.exchange`; each gets the project of the other's directory, if need be."""
    try:
        syscalls.exchange(one, other)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        fitted = [_fit(one, None, other, None), _fit(other, None, one, None)]
        if not any(fitted):
            raise
        syscalls.exchange(one, other)


def _fit(
    source: str | Path, source_dir: int | None, target: str | Path, target_dir: int | None
) -> bool:
    """Give `source` the project that the directory of `target` hands down; False if it hands down
    none, or `source` has it already or can't get it."""
    with (
        suppress(OSError),
        opened_directory(os.path.dirname(target) or ".", target_dir, follow=True) as directory,
    ):
        wanted = project_of(directory)
        return wanted.hands_down and _give(source, source_dir, wanted)
    return False


def _give(name: str | Path, directory: int | None, wanted: Project) -> bool:
    with flags.opened(name, directory) as fd:
        if fd is None or project_of(fd).id == wanted.id:
            return False
        _set(fd, wanted._replace(hands_down=stat.S_ISDIR(os.fstat(fd).st_mode)))
        return True


def _at(path: Path) -> Project:
    with suppress(OSError), opened_directory(path) as fd:
        found = project_of(fd)
        return found if found.hands_down else NO_PROJECT
    return NO_PROJECT


def _get(fd: int) -> tuple[int, ...]:
    fields: tuple[int, ...] = _FSXATTR.unpack(fcntl.ioctl(fd, _GET, bytes(_FSXATTR.size)))
    return fields


def _set(fd: int, project: Project) -> None:
    fields = list(_get(fd))
    fields[_ID] = project.id
    fields[_FLAGS] = fields[_FLAGS] & ~_HANDS_DOWN | (_HANDS_DOWN if project.hands_down else 0)
    fcntl.ioctl(fd, _SET, _FSXATTR.pack(*fields))
