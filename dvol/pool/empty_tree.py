"""Making a new, empty tree: the one tree whose owner dvol chooses.

A tree that is made from another one keeps the owners of that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dvol.backends import Backend
from dvol.fs.mountinfo import Mount, mounts
from dvol.fs.propagated import propagated


def make_empty_tree(backend: Backend, tree: Path, pool: Path) -> None:
    """Make an empty directory with mode 0755, for a live tree of the pool with that root.

    It belongs to root, or, if Docker runs the containers with --userns-remap, to the user who is
    root in them: Docker sees to that for its own volumes only, and root in a container could not
    write into the volume.
    """
    backend.create(tree)
    owner = remapped_root(mounts(), pool)
    if owner is not None:
        os.chown(tree, *owner)


def remapped_root(seen: Iterable[Mount], pool: Path) -> tuple[int, int] | None:
    """The uid and gid of root in the containers of the Docker that mounts this pool; None if they
    are as on the host, or if no plugin has mounted the pool.

    Inside the plugin the pool lies below what Docker has mounted there from its own directory; on
    the host the pool is bound over that directory.
    """
    for mount in seen:
        inside = propagated(mount.root) if mount.point in pool.parents else None
        found = inside or propagated(mount.point)
        if found and (inside or _is_same(mount.point / pool.name, pool)):
            return found.remapped_root
    return None


def _is_same(path: Path, pool: Path) -> bool:
    try:
        return os.path.samefile(path, pool)
    except OSError:
        return False
