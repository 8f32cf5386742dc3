"""Paths below a directory, resolved one component at a time and never through a symlink.

Containers decide what is inside a tree, at any moment: a path that was walked a moment ago may
lead out of the pool now. So a path inside a tree is never given to the kernel whole.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Beneath:
    """Directories below `root`, by relative path; the last one stays open for its neighbours."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, DIRECTORY)
        self._path: str | None = ""
        self._fd = self._root

    def directory(self, path: str) -> int:
        """The open directory at `path`, "" being the root; valid until the next call.

        Raises OSError ELOOP or ENOTDIR where a component is a symlink or no directory, EINVAL
        where it leads upwards: dvol makes no such path, whoever wrote that note.
        """
        if path == self._path:
            return self._fd
        self._forget()
        _require_beneath(path)
        for component in path.split("/") if path else ():
            inner = os.open(component, DIRECTORY, dir_fd=self._fd)
            self._forget()
            self._path, self._fd = None, inner  # on the way, and nowhere yet
        self._path = path
        return self._fd

    def parent(self, path: str) -> tuple[int, str]:
        """The open directory that holds the last component of `path`, and that component."""
        directory, _, name = path.rpartition("/")
        if not name:
            raise OSError(errno.EINVAL, "it names nothing", path)
        _require_beneath(name)
        return self.directory(directory), name

    def close(self) -> None:
        self._forget()
        os.close(self._root)

    def __enter__(self) -> Beneath:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _forget(self) -> None:
        if self._fd != self._root:
            os.close(self._fd)
        self._path, self._fd = "", self._root


def is_beneath(path: str) -> bool:
    """Whether a path leads nowhere but downwards; "" is the root itself."""
    return not path or all(component not in ("", ".", "..") for component in path.split("/"))


def _require_beneath(path: str) -> None:
    if not is_beneath(path):
        raise OSError(errno.EINVAL, "it leads elsewhere", path)
