"""Writing dirty pages back before a file is read, so that its status proves something afterwards.

It makes nothing durable. What a status proves is decided by `change_detection`.
"""

from __future__ import annotations

from dvol.fs.clock import now
from dvol.fs.syscalls import sync_filesystem, write_back

_FEW = 64  # files; from there on one write-back of everything is quicker


class WriteBack:
    """Write-backs: of single files while they are few, then one of the whole file system."""

    def __init__(self, tree: int, useful: bool) -> None:
        self.tree = tree  # open since before any of it was read
        self.useful = useful  # False where a status proves nothing
        self._began = 0
        self._files = 0

    def of(self, file: int) -> int:
        """Write back the open `file`, unless the whole file system was written back already.
        Returns the time at which the write-back began, in ns by the file system's clock, or 0 where
        it would prove nothing; at return it has ended."""
        if self._began or not self.useful:
            return self._began
        self._files += 1
        began = now()
        if self._files > _FEW:
            sync_filesystem(self.tree)
            self._began = began
        else:
            write_back(file)
        return began
