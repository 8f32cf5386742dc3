"""Files that hold a record for each entry of a frozen tree; `summary` and `digests` are such files.

On disk, where all records of a file have the same size:

    dvol summary 1 5d41402a         what it is, its format, the CRC-32 of all that follows the line
    {"whole": true}                 facts, as a line of JSON
    a block for each directory:
        3 x u32, little-endian      lengths in bytes of the path, the names and the records
        path                        relative to the tree; the root's is empty
        record                      of the directory itself
        names                       of its entries that are no directories, joined by "/"
        records                     of these entries, in the same order
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dvol.errors import BadDocument
from dvol.fs.create import create
from dvol.fs.documents import read_file
from dvol.fs.syscalls import named

_HEAD = struct.Struct("<III")


class Block(NamedTuple):
    """The records of a directory: its `own`, and those of its entries that are no directories."""

    own: bytes
    names: bytes
    records: bytes

    def files(self) -> dict[str, bytes]:
        """The records of its entries, by name."""
        if not self.records:
            return {}
        size = len(self.own)
        pieces = (self.records[at : at + size] for at in range(0, len(self.records), size))
        return dict(zip(os.fsdecode(self.names).split("/"), pieces, strict=True))


class Listing(NamedTuple):
    """The facts and the blocks of a file, these by the path of their directory."""

    facts: dict[str, Any]
    blocks: dict[str, Block]


def block_of(own: bytes, files: dict[str, bytes]) -> Block:
    return Block(own, os.fsencode("/".join(files)), b"".join(files.values()))


def save(path: Path, title: str, found: Any, blocks: Iterable[tuple[str, Block]]) -> bytes:
    """Write a new file whose first words are `title`, with the facts `found`; returns what it
    holds. It need not be durable: the caller syncs."""
    pieces = [json.dumps(found).encode("ascii"), b"\n"]
    for folder, block in blocks:
        name = os.fsencode(folder)
        head = _HEAD.pack(len(name), len(block.names), len(block.records))
        pieces += (head, name, block.own, block.names, block.records)
    body = b"".join(pieces)
    data = f"{title} {zlib.crc32(body):08x}\n".encode() + body
    with named(path), os.fdopen(create(path), "wb") as file:
        file.write(data)
    return data


def load(path: Path, title: str, size: int) -> Listing:
    """The file at `path`, whose records have `size` bytes. Raises BadDocument if it is torn, or is
    of another kind or format; FileNotFoundError."""
    body = _body(path, title)
    try:
        found, end = _facts(body)
        return Listing(found, _blocks(body, end, size))
    except (ValueError, struct.error, RecursionError) as error:
        raise BadDocument(str(path), str(error)) from error


def facts(path: Path, title: str) -> dict[str, Any]:
    """Only the facts of the file at `path`, which is quicker; raises as `load` does."""
    try:
        return _facts(_body(path, title))[0]
    except (ValueError, RecursionError) as error:
        raise BadDocument(str(path), str(error)) from error


def _body(path: Path, title: str) -> bytes:
    try:
        data = read_file(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadDocument(str(path), error.strerror or str(error)) from error
    line, _, body = data.partition(b"\n")
    if line != f"{title} {zlib.crc32(body):08x}".encode():
        raise BadDocument(str(path), "its checksum is wrong, or a later dvol wrote it")
    return body


def _facts(body: bytes) -> tuple[dict[str, Any], int]:
    """The facts, and where the blocks begin."""
    end = body.index(b"\n") + 1
    found = json.loads(body[:end])
    if not isinstance(found, dict):
        raise ValueError("no facts")
    return found, end


def _blocks(body: bytes, at: int, size: int) -> dict[str, Block]:
    found: dict[str, Block] = {}
    while at < len(body):
        path, names, records = _HEAD.unpack_from(body, at)
        own = at + _HEAD.size + path
        folder = os.fsdecode(body[at + _HEAD.size : own])
        names_at, records_at = own + size, own + size + names
        at = records_at + records
        if at > len(body) or records % size:
            raise ValueError("a block is cut off")
        block = Block(body[own:names_at], body[names_at:records_at], body[records_at:at])
        if records and block.names.count(b"/") + 1 != records // size:
            raise ValueError("a block has more names than records, or fewer")
        found[folder] = block
    return found
