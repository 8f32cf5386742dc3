"""The summary of a frozen tree: the status of each entry, so that damage is found without reading
content.

It is made while the tree is frozen, from the status that the freeze reads anyway. Of each entry it
records type and mode, owner, size, mtime, and which names are names of one file. Extended
attributes are recorded where the freeze read them. No inode number is recorded, and no ctime: a
commit links files of the one before, which changes their ctime.

A file in the format of `listing`, with records of 36 bytes, little-endian:

    u32 mode, u32 uid, u32 gid
    u64 size        of a file, the length of a symlink's target, a device's number; of others 0
    u64 mtime       ns, modulo 2**64
    u32 group       the entries with the same number are names of one file; 0: it has one name
    u32 xattrs      CRC-32 of the extended attributes; 0: not known, 1: there are none

Facts: `whole` says whether all entries are recorded, or only the root. `flags` has the inode flags
of the tree that was frozen, by path, for entries that had any; an earlier build recorded none, and
then they are not known. `snapshot` describes a btrfs
snapshot: its uuid, the transaction of its last change, the time in ns when that was looked up, and
the size of its root. Any change of the snapshot would raise the transaction, so nothing else needs
to be read to see that it was not changed.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dvol.errors import BadDocument
from dvol.fs import btrfs
from dvol.fs.beneath import Beneath
from dvol.fs.flags import KEPT
from dvol.tree import listing
from dvol.tree.flags import Flags, parsed
from dvol.tree.hardlinks import count_names
from dvol.tree.listing import Block, block_of
from dvol.tree.metadata import NOT_KNOWN, xattrs_checksum
from dvol.tree.walk import DirPair, directories

_TITLE = "dvol summary 1"
_TIME = (1 << 64) - 1  # users set times before 1970 and after 2262, too
_STATUS = struct.Struct("<IIIQQ")
_REST = struct.Struct("<II")
_SIZE = _STATUS.size + _REST.size
_KIND_AT = 1  # of the bytes of a record, the one that holds the type
_NO_LINKS = bytes(kind for kind in range(256) if kind << 8 & 0o170000 != stat.S_IFLNK)
_SIZES = {stat.S_IFREG: "size", stat.S_IFLNK: "target"}


class Snapshot(NamedTuple):
    """What identifies the content of a read-only btrfs snapshot, as of `time` in ns. `size` is that
    of its root, which depends on the names in it."""

    uuid: str
    changed: int
    time: int
    size: int


class Summary(NamedTuple):
    """A summary as it was read. If it is not `whole`, its only block is the root's."""

    blocks: dict[str, Block]
    whole: bool = True
    snapshot: Snapshot | None = None
    flags: Flags | None = None  # None if they are not known

    def save(self, path: Path) -> None:
        """Write it to a new file; the caller makes that durable."""
        facts: dict[str, Any] = {"whole": self.whole}
        if self.flags is not None:
            facts["flags"] = self.flags
        if self.snapshot:
            facts["snapshot"] = self.snapshot
        listing.save(path, _TITLE, facts, self.blocks.items())

    def symlinks(self) -> Iterator[str] | None:
        """The paths of the symbolic links in the tree; None if they are not recorded."""
        return _symlinks(self.blocks.items()) if self.whole else None


NONE = Summary({})


def load(path: Path) -> Summary:
    """The summary at `path`. Raises BadDocument, FileNotFoundError."""
    facts, blocks = listing.load(path, _TITLE, _SIZE)
    snapshot = facts.get("snapshot")
    try:
        found = Snapshot(*snapshot) if snapshot else None
    except TypeError as error:
        raise BadDocument(str(path), "it names no snapshot") from error
    return Summary(blocks, facts.get("whole") is True, found, parsed(facts.get("flags")))


def flags_at(path: Path) -> Flags | None:
    """The flags in the summary at `path`; None also if it is missing or damaged."""
    try:
        return parsed(listing.facts(path, _TITLE).get("flags"))
    except (OSError, BadDocument):
        return None


def flags_of(frozen: Path, summaries: Path) -> Flags | None:
    """The recorded flags of a frozen tree: those of a commit are in its summary, those of another
    tree are beside it. None if they are not known."""
    found = flags_at(summaries / frozen.name)
    return flags_at(_beside(frozen)) if found is None else found


def save_flags(path: Path, found: Flags) -> None:
    """Write a new summary that holds only the flags; the caller makes it durable."""
    Summary({}, whole=False, flags=found).save(path)


def save_flags_of(frozen: Path, found: Flags) -> Path:
    """Record the flags of a frozen tree that is no commit; the path of the record, which the caller
    makes durable."""
    save_flags(_beside(frozen), found)
    return _beside(frozen)


def _beside(frozen: Path) -> Path:
    return frozen.with_name(f"{frozen.name}.flags")


def known_of(frozen: Path, summaries: Path) -> Summary:
    """The summary of a frozen tree; an empty one if it is missing or damaged."""
    try:
        return load(summaries / frozen.name)
    except (OSError, BadDocument):
        return NONE._replace(flags=flags_at(_beside(frozen)))


# -- making --------------------------------------------------------------------------------------


def record(status: os.stat_result, xattrs: int = NOT_KNOWN, group: int = 0) -> bytes:
    return status_part(status) + _REST.pack(group, xattrs)


def status_part(status: os.stat_result) -> bytes:
    """The beginning of a record: what the status of the entry says."""
    mode = status.st_mode
    if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
        size = status.st_size
    else:
        size = 0 if stat.S_ISDIR(mode) else status.st_rdev
    return _STATUS.pack(mode, status.st_uid, status.st_gid, size, status.st_mtime_ns & _TIME)


def in_group(record: bytes, group: int) -> bytes:
    """The record of a file with several names, all of which get the same number."""
    return record[: _STATUS.size] + _REST.pack(group, xattrs_in(record))


def group_in(record: bytes) -> int:
    group, _ = _REST.unpack_from(record, _STATUS.size)
    return int(group)


def xattrs_in(record: bytes) -> int:
    _, xattrs = _REST.unpack_from(record, _STATUS.size)
    return int(xattrs)


def mtime_in(record: bytes) -> int:
    """In ns, as the kernel takes it."""
    mtime = int(_STATUS.unpack_from(record)[-1])
    return mtime - (mtime >> 63 << 64)


def differences(before: bytes, now: bytes) -> list[str]:
    """The fields of the status that differ in two records; `kind` alone, if the type does."""
    old, new = _STATUS.unpack_from(before), _STATUS.unpack_from(now)
    if stat.S_IFMT(old[0]) != stat.S_IFMT(new[0]):
        return ["kind"]
    names = ("mode", "owner", "group", _SIZES.get(stat.S_IFMT(old[0]), "device number"), "mtime")
    return [name for name, one, other in zip(names, old, new, strict=True) if one != other]


def of_snapshot(tree: int) -> Summary:
    """The summary of an open btrfs snapshot that was just made: nothing in it is read."""
    root = Block(record(os.fstat(tree)), b"", b"")
    return Summary({"": root}, whole=False, snapshot=snapshot_at(tree))


def snapshot_at(tree: int) -> Snapshot | None:
    """What identifies the content of the open tree; None if it is no subvolume, or has no uuid."""
    if not btrfs.is_subvolume(tree):
        return None
    uuid, changed = btrfs.last_change(tree)
    # not the coarse clock: since Linux 6.13 a ctime may be ahead of that by a tick
    size = os.fstat(tree).st_size
    return Snapshot(uuid.hex(), changed, time.time_ns(), size) if any(uuid) else None


class SummaryWriter:
    """Collects the summary of a tree while it is frozen. `base` is the summary of the tree whose
    files are linked where they are unchanged: their records are taken from it. The `flags` of files
    that are opened are entered by the caller."""

    def __init__(self, base: Summary) -> None:
        self._base = base.blocks if base.whole else {}
        self.base_flags = base.flags
        self._made: list[tuple[DirPair, Block]] = []
        self.flags: dict[str, int] = {}

    def knows(self, directory: str) -> bool:
        """Whether the base has records of the files of a directory."""
        return directory in self._base

    def add(self, pair: DirPair, linked: list[str], placed: dict[str, bytes]) -> None:
        """Enter a directory: the names that were linked from the base, and the records of the other
        entries. Most directories are unchanged, and keep the block that they have in the base."""
        block = self._base.get(pair.path)
        if block is None or not linked:
            block = block_of(b"", placed)
        elif placed or len(linked) * _SIZE != len(block.records):
            old = block.files()
            placed.update((name, old.get(name) or _record_of_frozen(name, pair)) for name in linked)
            block = block_of(b"", placed)
        self._made.append((pair, block))
        if own := pair.flags & KEPT:
            self.flags[pair.path] = own
        if self.base_flags:
            paths = map(pair.at, linked)
            self.flags.update({at: self.base_flags[at] for at in paths if at in self.base_flags})

    def save(self, path: Path) -> None:
        """See `Summary.save`; to be called once every directory of the tree is finished."""
        blocks = {
            pair.path: block._replace(own=record(pair.status, pair.xattrs))
            for pair, block in self._made
        }
        Summary(blocks, flags=self.flags).save(path)

    def symlinks(self) -> Iterator[str] | None:
        """As `Summary.symlinks`."""
        return _symlinks((pair.path, block) for pair, block in self._made)


def _symlinks(blocks: Iterable[tuple[str, Block]]) -> Iterator[str]:
    for path, block in blocks:
        kinds = block.records[_KIND_AT::_SIZE]
        if kinds.translate(None, _NO_LINKS):  # most directories have none
            for name, kind in zip(os.fsdecode(block.names).split("/"), kinds, strict=True):
                if kind not in _NO_LINKS:
                    yield f"{path}/{name}" if path else name


def _record_of_frozen(name: str, pair: DirPair) -> bytes:
    return record(os.stat(name, dir_fd=pair.target, follow_symlinks=False))


def summarized(tree: Path) -> Summary:
    """The summary of a frozen tree as it is now. Raises OSError."""
    blocks: dict[str, Block] = {}
    groups: dict[int, int] = {}
    with Beneath(tree) as frozen:
        root = frozen.directory("")
        names = count_names(root)
        for path, _, entries in directories(root):
            directory = frozen.directory(path)
            files = {}
            for entry in entries:
                group = 0
                if entry.inode() in names:
                    group = groups.setdefault(entry.inode(), len(groups) + 1)
                xattrs = xattrs_checksum(entry.name, directory)
                files[entry.name] = record(entry.stat(follow_symlinks=False), xattrs, group)
            own = record(os.fstat(directory), xattrs_checksum("", directory))
            blocks[path] = block_of(own, files)
        return Summary(blocks, snapshot=snapshot_at(frozen.directory("")))
