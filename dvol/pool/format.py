"""The pool's format and id, in `pool.json`: what makes a directory a pool.

Formats: 0 is the original dvol's, which has no `pool.json`. 1 called `garbage` `doomed` and
`suspended.json` `ended.json`, had other names for steps of a journal, and recorded no parents. 2
moved the commits that a verb dropped to its entry, where they lived as long as that. Each is read
as it is; the first verb that writes raises the format to the newest. The number rises with each
change that an older dvol would get wrong, so that it refuses the pool.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvol import names
from dvol.errors import BadDocument, NewerFormat, NoSpace, NotAPool, PoolBusy, PoolNotFound
from dvol.fs.create import make_directory
from dvol.fs.documents import read_json, replace_json
from dvol.fs.durable import sync_directory
from dvol.fs.locks import exclusive, holder
from dvol.layout import DEFAULT_BRANCH, OWN, PoolLayout

FORMAT = 3
_NEEDED = 8192  # bytes: a directory, and a document
_TIMEOUT = 30.0  # seconds to wait for the pool's lock


def check(layout: PoolLayout) -> None:
    """Raise PoolNotFound if the directory is no pool, NewerFormat if its format is newer than this
    dvol, BadDocument if one of its directories is a symbolic link."""
    _refuse_links(layout)
    if _format(layout) is None and not _may_become_pool(layout.root):
        raise PoolNotFound(str(layout.root))


def ensure(layout: PoolLayout, upgrade: bool = True) -> None:
    """Make the pool, or raise its format to the newest. The caller does not hold the pool's lock.

    A new pool's directory gets mode 0700: other users of the host must neither run a container's
    setuid file nor read its data. Without `upgrade` a pool of format 1 keeps it: a verb that
    only deletes must work on a full disk. Raises NotAPool, PoolBusy, and as `check` does.
    """
    _refuse_links(layout)
    found = _format(layout)
    if found == FORMAT or (found is not None and not upgrade):
        return
    if found is None and layout.root.exists() and not _may_become_pool(layout.root):
        if _format(layout) is not None:  # another process has just made it
            return
        raise NotAPool(str(layout.root))
    layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(layout.lock, "init", _TIMEOUT) as had:
        if not had:
            raise PoolBusy(holder(layout.lock))
        if _format(layout) != FORMAT:  # else another process has just written it
            with _enough_space(layout):
                _write(layout)


@contextmanager
def _enough_space(layout: PoolLayout) -> Iterator[None]:
    """A full disk becomes NoSpace, whose message says how to free some of it."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise NoSpace(str(layout.root), str(_NEEDED), "0") from error


def _write(layout: PoolLayout) -> None:
    """The id of a pool never changes, and its mode is set once."""
    id = pool_id(layout) or os.urandom(16).hex()
    if _format(layout) is None:
        layout.root.chmod(0o700)
    for directory in (layout.trash, layout.garbage):
        make_directory(directory)
    replace_json(layout.format, {"format": FORMAT, "id": id}, layout.staging)
    for directory in (layout.root, layout.root.parent):
        sync_directory(directory)


def pool_id(layout: PoolLayout) -> str:
    """The id of a pool, "" if it has format 0."""
    document = _read(layout)
    id = "" if document is None else document.get("id")
    return id if isinstance(id, str) else ""


def _format(layout: PoolLayout) -> int | None:
    document = _read(layout)
    if document is None:
        return None
    found = document.get("format")
    if type(found) is not int or found < 0:
        raise BadDocument(str(layout.format), "it names no format")
    if found > FORMAT:
        raise NewerFormat(str(layout.root), str(found), str(FORMAT))
    return found


def _read(layout: PoolLayout) -> dict[str, object] | None:
    try:
        document = read_json(layout.format)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not isinstance(document, dict):
        raise BadDocument(str(layout.format), "it holds no format of a pool")
    return document


def _may_become_pool(root: Path) -> bool:
    """Whether the directory is empty, or a pool of the original dvol: so that a mistyped `--pool`
    does not make a pool of other files."""
    try:
        found = set(os.listdir(root)) - {"lost+found"}
        left = set(os.listdir(root / OWN)) if OWN in found else set()
    except (FileNotFoundError, NotADirectoryError):
        return False
    known = {OWN, *names.POOL_FILES}
    return left <= {"locks", "staging", "trash", "garbage", "doomed"} and all(
        name in known or _looks_like_volume(root / name) for name in found
    )


def _looks_like_volume(path: Path) -> bool:
    """Whether it is a volume as the original dvol made them: with a branch `master`, or a list of
    commits."""
    try:
        branches = os.listdir(path / "branches")
    except (FileNotFoundError, NotADirectoryError):
        return False
    listed = any(name == DEFAULT_BRANCH or name.endswith(".json") for name in branches)
    return names.is_component(path.name) and listed


def _refuse_links(layout: PoolLayout) -> None:
    """Raise BadDocument if a directory that dvol deletes from or moves to is a symbolic link."""
    garbage = (layout.garbage, layout.format1_garbage)
    own = (layout.own, layout.lock.parent, layout.staging, layout.trash, *garbage)
    for path in own:
        if path.is_symlink():
            raise BadDocument(str(path), "it is a symbolic link, which may lead out of the pool")
