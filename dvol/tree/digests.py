"""The digests of a frozen tree: of the content of each file, of each symlink's target, and of
extended attributes. They are made after the commit, by reading its files.

A file in the format of `listing`, with records of 65 bytes:

    u8 kind             0: it has no content; 1: a file; 2: a sparse file; 3: a symlink
    32 bytes content    SHA-256 of the content or of the target
    32 bytes xattrs     SHA-256 of the extended attributes, zeros if there are none

The content of a sparse file, which has more than 1 GiB of holes, is digested as its blocks of 4 KiB
that are not all zero, each after its offset (u64, little-endian): so a file of a few bytes at the
end of an exabyte is read in no time. Extended attributes are digested in the order of their names,
each as name, "=", length in decimal, ":", value. Facts: none.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dvol.fs.beneath import Beneath
from dvol.fs.syscalls import named, open_unnoticed
from dvol.tree import listing
from dvol.tree.content import extents
from dvol.tree.damage import Difference, way_to
from dvol.tree.hardlinks import Inode
from dvol.tree.listing import Block, block_of
from dvol.tree.metadata import entry_xattrs
from dvol.tree.walk import directories

_TITLE = "dvol digests 1"
_RECORD = struct.Struct("<B32s32s")
_NO_CONTENT, _FILE, _SPARSE, _SYMLINK = range(4)
_NOTHING = bytes(32)
_MANY_HOLES = 1 << 30  # bytes
_BLOCK = 4096
_CHUNK = 1 << 20  # bytes to read at a time
_ZEROS = bytes(_CHUNK)

OnRead = Callable[[int], None]  # called with each number of bytes that were read


class Digests(NamedTuple):
    """The digests of a tree, by its directories."""

    blocks: dict[str, Block]

    def save(self, path: Path) -> None:
        """Write them to a new file; the caller makes that durable."""
        listing.save(path, _TITLE, {}, self.blocks.items())


def load(path: Path) -> Digests:
    """The digests at `path`. Raises BadDocument, FileNotFoundError."""
    return Digests(listing.load(path, _TITLE, _RECORD.size).blocks)


class ContentChecks:
    """Makes digests and checks frozen trees against them. Each file is read once, whatever names it
    has in all trees. `on_read` is called while a file is read, and may sleep."""

    def __init__(self, on_read: OnRead) -> None:
        self.damaged: set[Inode] = set()  # files that differ from the digests of some tree
        self._on_read = on_read
        self._recorded: dict[Inode, bytes] = {}  # by the digests of a tree that has the file
        self._read: dict[Inode, bytes] = {}

    def learn(self, tree: Path, digests: Digests) -> None:
        """Take the digests of a tree for those of its files in other trees: a frozen file never
        changes, so that it need not be read again."""
        with Beneath(tree) as frozen:
            root = frozen.directory("")
            device = os.fstat(root).st_dev
            for path, _, files in directories(root):
                block = digests.blocks.get(path)
                records = block.files() if block else {}
                for entry in files:
                    if entry.name in records:
                        inode = (device, entry.inode())
                        self._recorded.setdefault(inode, records[entry.name])

    def make(self, tree: Path) -> Digests:
        """The digests of a tree: what is recorded of its files, else what is read. Raises
        OSError."""
        blocks: dict[str, Block] = {}
        with Beneath(tree) as frozen:
            root = frozen.directory("")
            device = os.fstat(root).st_dev
            for path, _, files in directories(root):
                directory = frozen.directory(path)
                records = {}
                for entry in files:
                    inode = (device, entry.inode())
                    found = self._recorded.get(inode)
                    with named(_join(path, entry.name)):
                        records[entry.name] = found or self._of_file(inode, entry.name, directory)
                blocks[path] = block_of(_of_directory(directory), records)
        return Digests(blocks)

    def run(self, tree: Path, digests: Digests) -> list[Difference]:
        """The files whose content or extended attributes differ from the digests."""
        found: dict[str, str] = {}
        with Beneath(tree) as frozen:
            device = os.fstat(frozen.directory("")).st_dev
            for path, block in digests.blocks.items():
                if any(map(found.__contains__, way_to(path))):
                    continue
                try:
                    self._check_directory(path, block, frozen, device, found)
                except OSError as error:
                    found[path] = _unreadable(error)
        return [Difference(*one) for one in found.items()]

    def _check_directory(
        self, path: str, block: Block, frozen: Beneath, device: int, found: dict[str, str]
    ) -> None:
        directory = frozen.directory(path)
        if _of_directory(directory) != block.own:
            found[path] = "was changed (extended attributes)"
        left = block.files()
        with os.scandir(directory) as entries:
            for entry in entries:
                before = left.pop(entry.name, None)
                if before is None or entry.is_dir(follow_symlinks=False):
                    continue  # the check of the status reports it
                where = _join(path, entry.name)
                try:
                    now = self._of_file((device, entry.inode()), entry.name, directory)
                except OSError as error:
                    found[where] = _unreadable(error)
                    continue
                if now != before:
                    self.damaged.add((device, entry.inode()))
                    found[where] = f"was changed ({_difference(before, now)})"

    def _of_file(self, inode: Inode, name: str, directory: int) -> bytes:
        found = self._read.get(inode)
        if found is None:
            found = self._read[inode] = self._digest(name, directory)
        return found

    def _digest(self, name: str, directory: int) -> bytes:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        xattrs = _of_xattrs(entry_xattrs(name, directory))
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode(os.readlink(name, dir_fd=directory))
            return _RECORD.pack(_SYMLINK, hashlib.sha256(target).digest(), xattrs)
        if not stat.S_ISREG(status.st_mode):
            return _RECORD.pack(_NO_CONTENT, _NOTHING, xattrs)
        file = open_unnoticed(name, directory)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)  # the disk counts, not the cache
            sparse = status.st_size - status.st_blocks * 512 > _MANY_HOLES
            content = self._of_sparse(file, status) if sparse else self._of_content(file, status)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)
        return _RECORD.pack(_SPARSE if sparse else _FILE, content, xattrs)

    def _of_content(self, file: int, status: os.stat_result) -> bytes:
        digest, at = hashlib.sha256(), 0
        for start, end in extents(file, status.st_size):
            _add_zeros(digest, start - at)
            for at in range(start, end, _CHUNK):
                digest.update(os.pread(file, min(_CHUNK, end - at), at))
                self._on_read(min(_CHUNK, end - at))
            at = end
        _add_zeros(digest, status.st_size - at)
        return digest.digest()

    def _of_sparse(self, file: int, status: os.stat_result) -> bytes:
        digest, zeros = hashlib.sha256(), bytes(_BLOCK)
        for start, end in extents(file, status.st_size):
            for at in range(start // _BLOCK * _BLOCK, end, _BLOCK):
                block = os.pread(file, _BLOCK, at)
                if block != zeros[: len(block)]:
                    digest.update(struct.pack("<Q", at) + block)
            self._on_read(end - start)
        return digest.digest()


def _add_zeros(digest: hashlib._Hash, count: int) -> None:
    while count > 0:
        digest.update(_ZEROS[:count])
        count -= _CHUNK


def _of_directory(directory: int) -> bytes:
    return _RECORD.pack(_NO_CONTENT, _NOTHING, _of_xattrs(entry_xattrs("", directory)))


def _of_xattrs(values: dict[str, bytes]) -> bytes:
    if not values:
        return _NOTHING
    digest = hashlib.sha256()
    for name, value in sorted(values.items()):
        digest.update(b"%s=%d:%s" % (os.fsencode(name), len(value), value))
    return digest.digest()


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _difference(before: bytes, now: bytes) -> str:
    old, new = _RECORD.unpack(before), _RECORD.unpack(now)
    wrong = ["content"] if old[:2] != new[:2] else []
    return ", ".join(wrong + ["extended attributes"] * (old[2] != new[2]))


def _unreadable(error: OSError) -> str:
    return f"can't be read: {error.strerror}"
