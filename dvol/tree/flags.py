"""The inode flags of a tree: recorded beside it while it is frozen, set when it is thawed.

The files of frozen trees have none of them: these trees share files with each other, and must be
deletable. So a state's flags are a record, by path; paths without flags are not in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dvol.fs import flags
from dvol.fs.beneath import Beneath, is_beneath
from dvol.fs.documents import is_number, is_word
from dvol.tree.walk import directories

Flags = Mapping[str, int]  # by path relative to the tree, "" being its root; see `fs.flags`
NO_FLAGS: Flags = {}


def parsed(document: Any) -> Flags | None:
    """The flags in a document; None if it has none that could be a record: an earlier build kept
    no flags."""
    if isinstance(document, dict) and all(map(_fits, document.items())):
        return document
    return None


def _fits(item: tuple[Any, Any]) -> bool:
    path, value = item
    return is_word(path) and is_beneath(path) and is_number(value) and not value & ~flags.KEPT


def folders_of(found: Flags) -> set[str]:
    """The directories that hold entries with flags, at any depth: only for these `below` has to
    look through all of a record."""
    folders: set[str] = set()
    for path in found:
        while path and (path := os.path.dirname(path)) not in folders:
            folders.add(path)
    return folders


def below(found: Flags, path: str, folders: Collection[str]) -> Flags:
    """The flags of the entry at `path`, "", and of what is in it, by paths relative to it.
    `folders` are those of the record, or of one with more entries."""
    own = {"": found[path]} if path in found else {}
    if path not in folders:
        return own
    start = f"{path}/" if path else ""
    return own | {
        at.removeprefix(start): value
        for at, value in found.items()
        if at != path and at.startswith(start)
    }


def give(found: Flags, tree: Beneath, path: str = "") -> None:
    """Set the flags of an entry of the `tree`, and of what is in it. Last of all, because an
    immutable file takes nothing more. Locks only with the right to set them."""
    settable = flags.settable()
    for at, own in found.items():
        _give(tree, f"{path}/{at}".strip("/"), own & settable)


def give_all(found: Flags, tree: Path) -> None:
    """As `give`, to a whole tree."""
    if found:
        with Beneath(tree) as opened:
            give(found, opened)


def _give(tree: Beneath, path: str, own: int) -> None:
    if not path:
        put(tree.directory(""), own)
        return
    directory, name = tree.parent(path)
    with flags.opened(name, directory) as fd:
        if fd is not None:
            put(fd, own)


def put(fd: int, own: int) -> None:
    """As `fs.flags.put`, but without what this file system has no flag for: the pool may be a copy
    from another."""
    try:
        flags.put(fd, own)
    except OSError as error:
        if error.errno not in flags.UNKNOWN or not own & ~flags.LOCKS:
            raise
        flags.put(fd, own & flags.LOCKS)


def read(tree: Beneath, path: str) -> dict[str, int]:
    """The flags of the entry of `tree` at `path`, "", and of what is in it."""
    found = {"": _own(*tree.parent(path))}
    directory, name = tree.parent(path)
    if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        for folder, inner, others in directories(tree.directory(path)):
            holding = tree.directory(f"{path}/{folder}".rstrip("/"))
            for entry in (*inner, *others):
                found[f"{folder}/{entry.name}".lstrip("/")] = _own(holding, entry.name)
    return {at: own for at, own in found.items() if own}


def _own(directory: int, name: str) -> int:
    with flags.opened(name, directory) as fd:
        return 0 if fd is None else flags.get(fd)
