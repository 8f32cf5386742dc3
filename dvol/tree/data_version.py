"""Whose data a tree holds, and of which version: read from small files that database servers write.

Which tree it is, and what follows from its version, is not decided here (`containers.provenance`).

    PG_VERSION               PostgreSQL: the major version that initdb or pg_upgrade wrote
    mariadb_upgrade_info     MariaDB 11 and newer: of the last mariadb-upgrade, or the first start
    mysql_upgrade_history    MySQL 8.4 and newer: JSON, the server's own
    mysql_upgrade_info       the same of older MariaDB and MySQL
    dump.rdb                 Redis and Valkey: the server that saved it, in its first 64 bytes

MongoDB is missing: its files name the version of WiredTiger, of which several releases of MongoDB
have the same.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dvol.fs.beneath import Beneath
from dvol.fs.syscalls import open_unnoticed

POSTGRESQL, MARIADB, MYSQL, REDIS, VALKEY = "PostgreSQL", "MariaDB", "MySQL", "Redis", "Valkey"
_LONGEST = 4096  # bytes of a file that are read
_DIRECTORIES = ("data", "pgdata")  # besides the root: where images put data beneath a mount
# PostgreSQL's images since 18, and Debian's packages, have a directory for each major version
_MAJORS = tuple(map(str, range(10, 41)))
_IN_MAJOR = ("docker", "main", "data")
# texts, which `re` compiles where they are used: most trees hold none of the files
_VERSION = r"\d{1,3}(\.\d{1,3}){0,2}"
_POSTGRESQL = rb"(\d{1,2}(?:\.\d{1,2})?)\n?"
_UPGRADED = rb"(\d{1,2}\.\d{1,2}\.\d{1,3})(-MariaDB)?[\w.+:~-]{0,64}\s?"
_HISTORY = rb'"version"\s*:\s*"(\d{1,2}\.\d{1,2}\.\d{1,3})[\w.+-]{0,64}"'
# the opcode 0xfa, then key and value, each with its length in one byte before it; Valkey has a
# magic of its own since version 9
_SAVED = (
    rb"(?:REDIS\d{4}|VALKEY\d{3})\xfa(?:\x09redis|\x0a(valkey))-ver[\x05-\x0c]"
    rb"(\d{1,3}\.\d{1,3}\.\d{1,3})"
)


class DataVersion(NamedTuple):
    """A database engine and a version of it, as `17` or `10.11.6`."""

    engine: str
    version: str

    def __str__(self) -> str:
        return " ".join(self)


def data_versions(tree: Path) -> tuple[DataVersion, ...]:
    """Whose data is in a tree; () if none is known. Never raises: what can't be read is not known.

    Data is looked for in the root and in a few known directories, and no directory is listed.
    """
    try:
        with Beneath(tree) as beneath:
            return tuple(dict.fromkeys(_found(beneath)))
    except OSError:
        return ()


def versions_in(listed: object) -> list[DataVersion]:
    """The versions in a document; what is none is left out."""
    pairs = listed if isinstance(listed, list) else []
    good = [each for each in pairs if isinstance(each, list) and len(each) == 2]
    return [
        DataVersion(engine, version)
        for engine, version in good
        if isinstance(engine, str) and re.fullmatch(_VERSION, str(version))
    ]


def places_of_data(beneath: Beneath) -> tuple[str, ...]:
    """The directories of a tree in which a database server may have its data, the root first."""
    root = beneath.directory("")
    majors = [name for name in _MAJORS if _exists(name, root)]
    paths = [name for name in _DIRECTORIES if _exists(name, root)]
    return "", *paths, *(f"{major}/{inner}" for major in majors for inner in _IN_MAJOR)


def _found(beneath: Beneath) -> Iterator[DataVersion]:
    for path in places_of_data(beneath):
        with suppress(OSError):
            directory = beneath.directory(path)
            here = [name for name in _FILES if _exists(name, directory)]
            versions = (_read(directory, name, _FILES[name]) for name in here)
            # one directory is one server's, and the first of its files is the one it writes now
            yield from [version for version in versions if version][:1]


def _exists(name: str, directory: int) -> bool:
    """Cheaper than an open that fails."""
    return os.access(name, os.F_OK, dir_fd=directory, follow_symlinks=False)


def _read(
    directory: int, name: str, rule: Callable[[bytes], DataVersion | None]
) -> DataVersion | None:
    """What a regular file says; a symlink, a FIFO or a device in its place is not opened."""
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            return None
        fd = open_unnoticed(name, directory)
    except OSError:
        return None
    try:
        return rule(os.read(fd, _LONGEST)) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(fd)


def _postgresql(content: bytes) -> DataVersion | None:
    found = re.fullmatch(_POSTGRESQL, content)
    return DataVersion(POSTGRESQL, found[1].decode()) if found else None


def _upgraded(content: bytes) -> DataVersion | None:
    found = re.fullmatch(_UPGRADED, content)
    return DataVersion(MARIADB if found[2] else MYSQL, found[1].decode()) if found else None


def _history(content: bytes) -> DataVersion | None:
    """The last one counts. Of a longer file the end, and so the last one, was not read."""
    found = re.findall(_HISTORY, content) if len(content) < _LONGEST else []
    return DataVersion(MYSQL, found[-1].decode()) if found else None


def _saved(content: bytes) -> DataVersion | None:
    found = re.match(_SAVED, content)
    return DataVersion(VALKEY if found[1] else REDIS, found[2].decode()) if found else None


_FILES = {
    "PG_VERSION": _postgresql,
    "mariadb_upgrade_info": _upgraded,
    "mysql_upgrade_history": _history,
    "mysql_upgrade_info": _upgraded,
    "dump.rdb": _saved,
}
