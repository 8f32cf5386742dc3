"""The host's data directory, bound over the plugin's propagated mount, where Docker sees it.

Docker deletes the propagated mount's own directory with the plugin, so the volumes live in a
directory of the host, bound over it. A note *beneath* the bind says which pool this plugin kept,
and survives an upgrade. If another pool, or none, is in its place now, the server must not start:
it would answer "no such volume", and Docker would forget the volumes for good.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol.errors import BadDocument, WrongData
from dvol.fs.documents import read_json, replace_json
from dvol.fs.mountinfo import Mount, mounts
from dvol.fs.syscalls import libc_call
from dvol.layout import PoolLayout
from dvol.pool import format

_NOTE = ".dvol-pool.json"
_MS_BIND = 4096


def attach(data: Path, propagated: Path) -> None:
    """Bind `data` over `propagated`, unless it is bound already. Raises WrongData if `data` does
    not hold the pool that this plugin has kept."""
    data.mkdir(mode=0o700, exist_ok=True)
    if not os.path.samefile(data, propagated):  # after a crash the bind is still there
        _check_note(propagated / _NOTE, PoolLayout(data / "volumes"), data)
        bind = (os.fsencode(data), os.fsencode(propagated), None, _MS_BIND, None)
        libc_call("mount", *bind, named=str(propagated))


def check(data: Path, propagated: Path) -> None:
    """Raise WrongData if something is mounted at `data` or its `volumes` that the bind does not
    show."""
    for name in ("", "volumes"):
        if not os.path.samefile(data / name, propagated / name):
            raise WrongData(f"something else is mounted at {_source(data)}/{name}".rstrip("/"))


def hidden(data: Path, propagated: Path) -> bool:
    """Whether Docker sees an empty directory where `attach` has bound `data`.

    A daemon that stops a plugin and starts it at once may unmount the propagated mount of the old
    process only after it has mounted that of the new one: its HandleExitEvent races with its enable
    (seen in 20.10). No container then gets its volume until Docker starts the plugin again. False
    if the host's side can't be seen, since Docker's own directory is not below `data.parent`.
    """
    try:
        if not os.path.samefile(data, propagated):
            return True
        sides = [side for side in host_sides(mounts(), data.parent, propagated) if side.exists()]
        return bool(sides) and not any(os.path.samefile(data, side) for side in sides)
    except OSError:
        return False


def host_sides(seen: list[Mount], shown: Path, propagated: Path) -> list[Path]:
    """The directory of the host that Docker mounts at `propagated`, as seen below `shown`."""
    targets = [mount for mount in seen if mount.point == propagated][:1]  # the first is Docker's
    return [
        mount.point / target.root.relative_to(mount.root)
        for target in targets
        for mount in seen
        if mount.device == target.device
        and mount.point.is_relative_to(shown)
        and mount.root in target.root.parents  # not the propagated mount itself, in our own root
    ]


def _check_note(note: Path, pool: PoolLayout, data: Path) -> None:
    try:
        noted = read_json(note)
    except FileNotFoundError:
        format.ensure(pool)
        source = _source(data)
        replace_json(
            note, {"pool": format.pool_id(pool), "source": source}, note.parent / ".staging"
        )
        return
    if not isinstance(noted, dict):
        raise BadDocument(str(note), "it names no pool")
    found = format.pool_id(pool)
    if found != noted.get("pool"):
        raise WrongData(
            f"this plugin kept the pool {noted.get('pool')} in {noted.get('source')}, "
            f"but {_source(data)} holds {'pool ' + found if found else 'no pool'}"
        )


def _source(data: Path) -> str:
    """Where `data` lies on the host, as far as /proc/self/mountinfo says: its path within its
    device."""
    found = [mount for mount in mounts() if mount.point == data.parent]
    if not found:
        return str(data)
    return f"{found[-1].root / data.name} on device {found[-1].device}"
