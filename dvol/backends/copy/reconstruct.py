"""Reconstructing the tree that a reset in place has replaced: from the frozen tree that it was
reset to, and the files that the reset set aside.

`require_changes` checks the list of changes that a reset wrote into the note of its entry.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from dvol.backends.copy.thaw import Linker, Thawer
from dvol.errors import BadDocument
from dvol.fs import projects
from dvol.fs.beneath import DIRECTORY, Beneath, is_beneath
from dvol.fs.create import make_new_directory
from dvol.fs.documents import is_number, is_word
from dvol.tree.delete import delete_tree
from dvol.tree.flags import NO_FLAGS, Flags, below, folders_of, read
from dvol.tree.hardlinks import HardLinks, count_names
from dvol.tree.index import Index
from dvol.tree.metadata import copy_attributes, writable
from dvol.tree.walk import fill


def reconstruct(
    entry: Path, changes: Any, frozen: Path, into: Path, flags: Flags | None = None
) -> Flags | None:
    """See `Backend.reconstruct`."""
    require_changes(changes, entry)
    make_new_directory(into, 0o700)
    links, aside = (into.with_name(into.name + end) for end in (".links", ".aside"))
    with Beneath(frozen) as source, Beneath(into) as target, Beneath(entry / "files") as files:
        tree = source.directory("")
        projects.hand_nothing_down(target.directory(""))  # links keep the project of the commit
        linker = Linker(count_names(tree), HardLinks(links))
        fill(tree, target.directory(""), None, str(into), linker, watched=False)
        # copied: a process that had a live file open may write to it at any later time
        copier = Thawer(count_names(files.directory("")), HardLinks(aside), Index())
        for change in changes:
            _revert(change, target, files, copier, entry / "files")
        found = None if flags is None else _flags_before(changes, files, flags)
    delete_tree(links)
    delete_tree(aside)
    return found


def _flags_before(changes: list[Any], files: Beneath, flags: Flags) -> Flags:
    """The inode flags of the tree before the changes, after which it had `flags`. What was set
    aside still has its own, and so have the templates of directories."""
    found, folders = dict(flags), folders_of(flags)
    for kind, path, *rest in changes:
        if kind in ("attributes", "dressed"):
            own = read(files, rest[0]).get("", 0)
            found.pop(path, None)
            found |= {path: own} if own else {}
        elif kind != "times":
            for at in below(found, path, folders):
                del found[f"{path}/{at}".rstrip("/")]
            inner = read(files, rest[0]) if rest else NO_FLAGS
            found |= {f"{path}/{at}".rstrip("/"): value for at, value in inner.items()}
    return found


_SHAPES = {  # of a change: what follows its kind and its path
    "added": (),
    "removed": (str,),
    "replaced": (str,),
    "attributes": (str,),
    "dressed": (str,),  # format 1 called "attributes" so
    "times": (int, int),
}


def require_changes(changes: Any, entry: Path) -> None:
    """Raise BadDocument unless these are changes as a staged reset notes them."""
    if not isinstance(changes, list) or not all(map(_is_change, changes)):
        raise BadDocument(str(entry), "its list of changes is malformed")


def _is_change(change: Any) -> bool:
    if not isinstance(change, list) or len(change) < 2 or not all(map(is_word, change[:2])):
        return False
    kind, path, *rest = change
    shape = _SHAPES.get(kind)
    fits = shape is not None and len(rest) == len(shape) and all(map(_fits, rest, shape))
    return fits and is_beneath(path)


def _fits(argument: Any, kind: type) -> bool:
    if kind is str:
        return is_word(argument) and argument.isdecimal()
    return is_number(argument)


def _revert(
    change: list[Any], target: Beneath, files: Beneath, copier: Thawer, aside: Path
) -> None:
    kind, path, *rest = change
    if kind in ("attributes", "dressed", "times"):
        directory = target.directory(path)
        if kind == "times":
            os.utime(directory, ns=(rest[0], rest[1]))
            return
        template = files.directory(rest[0])
        copy_attributes(template, directory)
        return
    directory, name = target.parent(path)
    with writable(directory):
        if kind in ("added", "replaced"):
            delete_tree(Path(f"/proc/self/fd/{directory}/{name}"))  # `into` may exceed PATH_MAX
        if kind in ("removed", "replaced"):
            _put_back(rest[0], files.directory(""), name, directory, copier, str(aside / rest[0]))


def _put_back(
    number: str, files: int, name: str, directory: int, copier: Thawer, label: str
) -> None:
    """Copy a file or a directory that was set aside into a frozen tree."""
    status = os.stat(number, dir_fd=files, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        copier.place_one(number, files, name, directory)
        return
    os.mkdir(name, 0o700, dir_fd=directory)
    source = os.open(number, DIRECTORY, dir_fd=files)
    target = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        fill(source, target, None, label, copier)
    finally:
        os.close(source)
        os.close(target)
