"""Comparing frozen trees with their summaries and digests: what is damaged in them.

A frozen tree never changes, so whatever differs is damage. Frozen trees share files: what is read
of a file is read once, and counts for all its names in all trees.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dvol.fs.beneath import Beneath
from dvol.fs.directories import opened_directory
from dvol.tree.hardlinks import Inode
from dvol.tree.listing import Block
from dvol.tree.metadata import NOT_KNOWN, xattrs_checksum
from dvol.tree.summary import (
    Summary,
    differences,
    group_in,
    mtime_in,
    snapshot_at,
    status_part,
    xattrs_in,
)
from dvol.tree.walk import directories


class Difference(NamedTuple):
    """An entry of a frozen tree that is not as it was committed. `mtime` is the one that a
    directory had, if nothing else of it differs: so it is where a file was put in its place
    again."""

    path: str
    what: str
    mtime: int | None = None

    def __str__(self) -> str:
        return f"{self.path or 'the tree itself'} {self.what}"


def restore_mtimes(tree: Path, found: Iterable[Difference]) -> None:
    """Give directories the mtime again that they had when they were committed."""
    with Beneath(tree) as frozen:
        for one in found:
            directory = frozen.directory(one.path)
            atime = os.fstat(directory).st_atime_ns
            os.utime(directory, ns=(atime, one.mtime or 0))


class StatusChecks:
    """Checks of frozen trees against their summaries; no content is read."""

    def __init__(self) -> None:
        self.damaged: set[Inode] = set()  # files that differ from the summary of some tree
        self._status: dict[Inode, bytes] = {}
        self._xattrs: dict[Inode, int] = {}

    def run(self, tree: Path, summary: Summary) -> list[Difference]:
        """What differs from the summary. If that is a snapshot's and not whole, what was changed
        since then."""
        if summary.snapshot and _is_as_it_was(tree, summary):
            return []
        if not summary.whole:
            return _changed_since(tree, summary)
        with Beneath(tree) as frozen:
            return _TreeCheck(self, frozen, summary.blocks).run()

    def shared(self, tree: Path) -> list[Difference]:
        """The files of a tree without a summary that are damaged in another tree."""
        return shared(tree, self.damaged)

    def status(self, inode: Inode, entry: os.DirEntry[str]) -> bytes:
        """The status of a file, as the beginning of a record."""
        found = self._status.get(inode)
        if found is None:
            found = self._status[inode] = status_part(entry.stat(follow_symlinks=False))
        return found

    def xattrs(self, inode: Inode, name: str, directory: int) -> int:
        found = self._xattrs.get(inode)
        if found is None:
            found = self._xattrs[inode] = xattrs_checksum(name, directory)
        return found


class _TreeCheck:
    """The check of one tree, by the directories in its summary."""

    def __init__(self, checks: StatusChecks, frozen: Beneath, blocks: dict[str, Block]) -> None:
        self.checks = checks
        self.frozen = frozen
        self.blocks = blocks
        self.folders = _folders(blocks)
        self.device = os.fstat(frozen.directory("")).st_dev
        self.found: dict[str, Difference] = {}
        self.names: dict[Inode, tuple[str, int]] = {}  # the first name of a file, and its group
        self.groups: dict[int, Inode] = {}

    def run(self) -> list[Difference]:
        for path, block in self.blocks.items():
            if not any(map(self.found.__contains__, way_to(path))):
                try:
                    self._check_directory(path, block)
                except OSError as error:
                    self._report("", path, f"can't be read: {error.strerror}")
        return [*self.found.values()]

    def _check_directory(self, path: str, block: Block) -> None:
        directory = self.frozen.directory(path)
        before = len(self.found)
        files, folders = block.files(), set(self.folders.get(path, ()))
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name in folders:
                    folders.remove(entry.name)
                    if not entry.is_dir(follow_symlinks=False):
                        self._report(path, entry.name, "is no directory any more")
                else:
                    self._check_entry(path, entry, files.pop(entry.name, None), directory)
        for name in (*files, *sorted(folders)):
            self._report(path, name, "is missing")
        self._check_own(path, block.own, directory, ignore_mtime=len(self.found) > before)

    def _check_own(self, path: str, own: bytes, directory: int, ignore_mtime: bool) -> None:
        wrong = differences(own, status_part(os.fstat(directory)))
        if ignore_mtime and "mtime" in wrong:  # what changed it is reported
            wrong.remove("mtime")
        if xattrs_in(own) not in (NOT_KNOWN, xattrs_checksum("", directory)):
            wrong.append("extended attributes")
        if wrong:
            mtime = mtime_in(own) if wrong == ["mtime"] else None
            self.found[path] = Difference(path, _changed(wrong), mtime)

    def _check_entry(
        self, path: str, entry: os.DirEntry[str], record: bytes | None, directory: int
    ) -> None:
        if record is None:
            self._report(path, entry.name, "was added")
            return
        inode = (self.device, entry.inode())
        try:
            wrong = self._wrong(inode, entry, record, directory)
        except OSError as error:
            self._report(path, entry.name, f"can't be read: {error.strerror}")
            return
        if wrong:
            self.checks.damaged.add(inode)
            self._report(path, entry.name, _changed(wrong))
        self._check_names(path, entry.name, inode, group_in(record))

    def _wrong(
        self, inode: Inode, entry: os.DirEntry[str], record: bytes, directory: int
    ) -> list[str]:
        """The fields in which a file differs from its record."""
        status = self.checks.status(inode, entry)
        if not record.startswith(status):
            return differences(record, status)
        before = xattrs_in(record)
        if before in (NOT_KNOWN, self.checks.xattrs(inode, entry.name, directory)):
            return []
        return ["extended attributes"]

    def _check_names(self, path: str, name: str, inode: Inode, group: int) -> None:
        """The names of one file must be those that were names of one file."""
        first, its_group = self.names.setdefault(inode, (_join(path, name), group))
        if first != _join(path, name) and (its_group != group or not group):
            self._report(path, name, f"is the same file as {first} now")
        elif group and self.groups.setdefault(group, inode) != inode:
            self._report(path, name, "is not the same file as its other names any more")

    def _report(self, path: str, name: str, what: str) -> None:
        where = _join(path, name)
        self.found.setdefault(where, Difference(where, what))


def shared(tree: Path, damaged: Container[Inode]) -> list[Difference]:
    """The files of a frozen tree that are damaged, as is known from another tree."""
    with opened_directory(tree) as root:
        device = os.fstat(root).st_dev
        return [
            Difference(_join(path, entry.name), "is damaged, as it is in another commit")
            for path, _, files in directories(root)
            for entry in files
            if (device, entry.inode()) in damaged
        ]


def _is_as_it_was(tree: Path, summary: Summary) -> bool:
    """Whether a btrfs snapshot was not changed since its summary was made."""
    with opened_directory(tree) as fd:
        now, then = snapshot_at(fd), summary.snapshot
        return bool(now and then and (now.uuid, now.changed) == (then.uuid, then.changed))


def _changed_since(tree: Path, summary: Summary) -> list[Difference]:
    """The entries of a btrfs snapshot that were changed since it was made: those with a later
    ctime. Of the root, whose ctime a move changes, status and size count.

    None if it was only read: where a crash left it writable, that changes times of last access.
    None if it is another subvolume by now, such as a copy, of which nothing is known.
    """
    then = summary.snapshot
    with Beneath(tree) as frozen:
        root = frozen.directory("")
        now = snapshot_at(root)
        if not (now and then and now.uuid == then.uuid):
            return []
        status, own = os.fstat(root), summary.blocks[""].own
        wrong = differences(own, status_part(status)) + ["entries"] * (status.st_size != then.size)
        found = [Difference("", _changed(wrong))] if wrong else []
        for path, folders, files in directories(root):
            for entry in (*folders, *files):
                if entry.stat(follow_symlinks=False).st_ctime_ns > then.time:
                    found.append(Difference(_join(path, entry.name), "was changed"))
    return found


def _folders(blocks: Iterable[str]) -> dict[str, list[str]]:
    """The names of the directories in each directory."""
    found: dict[str, list[str]] = {}
    for path in blocks:
        if path:
            folder, _, name = path.rpartition("/")
            found.setdefault(folder, []).append(name)
    return found


def way_to(path: str) -> Iterator[str]:
    """A path, and the paths of the directories that it lies in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _changed(wrong: list[str]) -> str:
    return f"was changed ({', '.join(wrong)})"


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
