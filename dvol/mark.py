"""What makes a directory a pool: its mark, which holds the format and the pool's id.

The original dvol left no mark; its pools are format 0 and are read as they are, and marked by
the first verb that changes something.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol import names
from dvol.atomic import read_json, replace_json, sync_directory
from dvol.errors import BadDocument, NewerFormat, NotAPool, PoolBusy, PoolNotFound
from dvol.layout import DEFAULT_BRANCH, OWN, PoolLayout
from dvol.locks import held, holder

FORMAT = 1
_PATIENCE = 30.0  # seconds


def check(layout: PoolLayout) -> None:
    """Refuse a directory that is no pool, or a pool of a format that came after this dvol."""
    if _format(layout) is None and not _may_become_pool(layout.root):
        raise PoolNotFound(str(layout.root))


def ensure(layout: PoolLayout) -> None:
    """Make the pool, or mark one that has no mark yet; the pool's lock must be free.

    Its directory is closed to others: a container's setuid file or a colleague's rows must not
    lie open on the host.
    """
    if _format(layout) is not None:
        return
    if layout.root.exists() and not _may_become_pool(layout.root):
        raise NotAPool(str(layout.root))
    layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with held(layout.lock, "init", _PATIENCE) as had:
        if not had:
            raise PoolBusy(holder(layout.lock))
        if _format(layout) is None:  # nobody was quicker
            _mark(layout)


def _mark(layout: PoolLayout) -> None:
    layout.root.chmod(0o700)
    for directory in (layout.trash, layout.doomed):
        directory.mkdir(parents=True, exist_ok=True)
    document = {"format": FORMAT, "id": os.urandom(16).hex()}
    replace_json(layout.mark, document, layout.staging)
    for directory in (layout.root, layout.root.parent):
        sync_directory(directory)


def pool_id(layout: PoolLayout) -> str:
    """The id of a marked pool, "" of an unmarked one."""
    document = _read(layout)
    return "" if document is None else str(document.get("id", ""))


def _format(layout: PoolLayout) -> int | None:
    document = _read(layout)
    if document is None:
        return None
    found = document.get("format")
    if not isinstance(found, int):
        raise BadDocument(str(layout.mark), "it names no format")
    if found > FORMAT:
        raise NewerFormat(str(layout.root), str(found), str(FORMAT))
    return found


def _read(layout: PoolLayout) -> dict[str, object] | None:
    try:
        document = read_json(layout.mark)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(document, dict):
        raise BadDocument(str(layout.mark), "it is no mark of a pool")
    return document


def _may_become_pool(root: Path) -> bool:
    """Empty, or a pool of the original: so that a mistyped `--pool` takes over nobody's files."""
    try:
        found = set(os.listdir(root)) - {"lost+found", OWN}
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (
        not found
        or "current_volume.json" in found
        or any(
            names.is_component(name) and (root / name / "branches" / DEFAULT_BRANCH).is_dir()
            for name in found
        )
    )
