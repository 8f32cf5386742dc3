"""Symbolic links that lead out of a tree: a program that follows one reads and writes files that no
commit of the tree has.

PostgreSQL's tablespaces are such links. Targets are looked at as text, since they mean something
only where the container sees them.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dvol.fs.beneath import Beneath
from dvol.tree.data_version import places_of_data

# what lies there belongs to the image or to the kernel, and is no data
_OF_THE_IMAGE = ("bin", "dev", "etc", "lib", "lib32", "lib64", "proc", "run", "sbin", "sys", "usr")
_TABLESPACES = "pg_tblspc"


def leading_out(
    tree: Path, links: Iterable[str], mounted: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Those of the links at these paths that lead out of the tree, each with its target. `mounted`
    are the paths at which containers have the tree, as far as they are known."""
    with suppress(OSError), Beneath(tree) as beneath:
        for path in links:
            with suppress(OSError):
                directory, name = beneath.parent(path)
                target = os.readlink(name, dir_fd=directory)
                if _is_out(path, target, mounted):
                    yield path, target


def in_known_places(tree: Path) -> Iterator[str]:
    """The links in the root of a tree, and the tablespaces of a PostgreSQL: for a tree that was not
    walked."""
    with suppress(OSError), Beneath(tree) as beneath:
        for place in places_of_data(beneath):
            for path in (place, f"{place}/{_TABLESPACES}".lstrip("/")):
                with suppress(OSError), os.scandir(beneath.directory(path)) as entries:
                    names = [entry.name for entry in entries if entry.is_symlink()]
                    yield from (f"{path}/{name}".lstrip("/") for name in names)


def _is_out(path: str, target: str, mounted: Sequence[str]) -> bool:
    if not target.startswith("/"):
        within = posixpath.normpath(f"{posixpath.dirname(path) or '.'}/{target}")
        if within.split("/")[0] != "..":
            return False
        return not any(_is_known(f"{place}/{within}", mounted) for place in mounted)
    return not _is_known(target, mounted)


def _is_known(target: str, mounted: Sequence[str]) -> bool:
    """Whether an absolute path in a container leads into the tree, or to the image's own files."""
    parts = posixpath.normpath(target).lstrip("/").split("/")
    roots = [place.strip("/").split("/") for place in mounted]
    return parts[0] in _OF_THE_IMAGE or any(parts[: len(root)] == root for root in roots)
