"""What makes a directory a pool: its mark, which holds the format and the pool's id.

The original dvol left no mark; its pools are format 0 and are read as they are, and marked by
the first verb that changes something.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol import names
from dvol.errors import BadDocument, NewerFormat, NotAPool, PoolBusy, PoolNotFound
from dvol.fs.durable import read_json, replace_json, sync_directory
from dvol.fs.locks import held, holder
from dvol.layout import DEFAULT_BRANCH, OWN, PoolLayout

FORMAT = 1
_PATIENCE = 30.0  # seconds


def check(layout: PoolLayout) -> None:
    """Refuse a directory that is no pool, or a pool of a format that came after this dvol."""
    _refuse_links(layout)
    if _format(layout) is None and not _may_become_pool(layout.root):
        raise PoolNotFound(str(layout.root))


def ensure(layout: PoolLayout) -> None:
    """Make the pool, or mark one that has no mark yet; the pool's lock must be free.

    Its directory is closed to others: a container's setuid file or a colleague's rows must not
    lie open on the host.
    """
    _refuse_links(layout)
    if _format(layout) is not None:
        return
    if layout.root.exists() and not _may_become_pool(layout.root):
        if _format(layout) is not None:  # somebody was quicker
            return
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
        found = set(os.listdir(root)) - {"lost+found"}
        left = set(os.listdir(root / OWN)) if OWN in found else set()
    except (FileNotFoundError, NotADirectoryError):
        return False
    known = {OWN, *names.POOL_FILES}
    return left <= {"locks", "staging", "trash", "doomed"} and all(
        name in known or _looks_like_volume(root / name) for name in found
    )


def _looks_like_volume(path: Path) -> bool:
    """As the original made them: with a branch `master`, or a list of commits."""
    try:
        branches = os.listdir(path / "branches")
    except (FileNotFoundError, NotADirectoryError):
        return False
    listed = any(name == DEFAULT_BRANCH or name.endswith(".json") for name in branches)
    return names.is_component(path.name) and listed


def _refuse_links(layout: PoolLayout) -> None:
    """What dvol deletes from and moves to must be the pool's own, and not lie behind a link."""
    own = (layout.own, layout.lock.parent, layout.staging, layout.trash, layout.doomed)
    for path in own:
        if path.is_symlink():
            raise BadDocument(str(path), "it is a symbolic link, which may lead out of the pool")
