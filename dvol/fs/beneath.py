"""Paths below a directory, resolved one component at a time and never through a symlink.

The name is from openat2(2) and its RESOLVE_BENEATH; this also works on kernels without that call.
Programs in containers change a tree at any moment: a path that was walked a moment ago may lead out
of the pool now. So a path inside a tree is never given to the kernel whole.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Beneath:
    """Opens directories below `root` by relative path; keeps the last one open for more paths."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, DIRECTORY)
        self._path: str | None = ""
        self._fd = self._root

    @property
    def path(self) -> str | None:
        """Path of the open directory; None after a call that failed on the way to another."""
        return self._path

    def directory(self, path: str) -> int:
        """The open directory at `path`, "" being the root; valid until the next call.

        Raises OSError: ELOOP or ENOTDIR where a component is a symlink or no directory, EINVAL
        where the path leads upwards. dvol writes no such path, so a document that holds one was not
        written by dvol.
        """
        if path == self._path:
            return self._fd
        self._return_to_root()
        _require_beneath(path)
        for component in path.split("/") if path else ():
            inner = os.open(component, DIRECTORY, dir_fd=self._fd)
            self._return_to_root()
            self._path, self._fd = None, inner  # a directory on the way to `path`
        self._path = path
        return self._fd

    def parent(self, path: str) -> tuple[int, str]:
        """The open directory that holds the last component of `path`, and that component."""
        directory, name = split(path)
        return self.directory(directory), name

    def close(self) -> None:
        self._return_to_root()
        os.close(self._root)

    def __enter__(self) -> Beneath:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _return_to_root(self) -> None:
        fd, self._path, self._fd = self._fd, "", self._root
        if fd != self._root:
            os.close(fd)  # last: an interrupt before it leaks a descriptor, and closes none twice


def split(path: str) -> tuple[str, str]:
    """Directory and last component of a path; OSError EINVAL if that is empty, "." or ".."."""
    directory, _, name = path.rpartition("/")
    if not name:
        raise OSError(errno.EINVAL, "it names nothing", path)
    _require_beneath(name)
    return directory, name


def is_beneath(path: str) -> bool:
    """Whether a path only leads downwards: no component is empty, "." or ".."; "" is the root."""
    return not path or all(component not in ("", ".", "..") for component in path.split("/"))


def _require_beneath(path: str) -> None:
    if not is_beneath(path):
        raise OSError(errno.EINVAL, "it leads elsewhere", path)
