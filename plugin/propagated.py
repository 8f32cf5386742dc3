"""The host's data directory, made visible where Docker looks for it.

Docker deletes the propagated mount's own directory with the plugin, so the volumes live in a
directory of the host's, bound over it. What is noted *beneath* the bind survives an upgrade:
which pool this plugin kept. If another pool, or none, is in its place now, the server must not
start: it would answer "no such volume", and Docker would forget the volumes for good.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from dvol.errors import BadDocument, WrongData
from dvol.fs.durable import libc_call, read_json, replace_json
from dvol.layout import PoolLayout
from dvol.pool import format

_NOTE = ".dvol-pool.json"
_MS_BIND = 4096


def attach(data: Path, propagated: Path) -> None:
    """Bind `data` over `propagated`, once, if it holds the pool this plugin has kept."""
    data.mkdir(mode=0o700, exist_ok=True)
    if not os.path.samefile(data, propagated):  # a crash leaves the bind for its successor
        _check_note(propagated / _NOTE, PoolLayout(data / "volumes"), data)
        bind = (os.fsencode(data), os.fsencode(propagated), None, _MS_BIND, None)
        libc_call("mount", *bind, named=str(propagated))


def check(data: Path, propagated: Path) -> None:
    """Raise WrongData where not all of `data` is to be seen."""
    for name in ("", "volumes"):
        if not os.path.samefile(data / name, propagated / name):
            raise WrongData(f"something else is mounted at {_source(data)}/{name}".rstrip("/"))


def hidden(data: Path, propagated: Path) -> bool:
    """Does Docker look at an empty directory where `attach` has bound `data`?

    A daemon that stops a plugin and starts it at once unmounts what the one had when it gets to it,
    at times after it has mounted for the other: its HandleExitEvent races with its enable (seen in
    20.10). No container then gets its volume until Docker starts the plugin again. False where the
    host's side cannot be seen: where Docker's own directory is not under what is mounted here.
    """
    try:
        if not os.path.samefile(data, propagated):
            return True
        sides = [side for side in host_sides(_mounts(), data.parent, propagated) if side.exists()]
        return bool(sides) and not any(os.path.samefile(data, side) for side in sides)
    except OSError:
        return False


class Mount(NamedTuple):
    """A line of proc_pid_mountinfo(5): what of which device is where."""

    device: str
    root: Path
    point: Path


def host_sides(mounts: list[Mount], shown: Path, propagated: Path) -> list[Path]:
    """The directory of the host's that Docker mounts at `propagated`, as seen beneath `shown`."""
    targets = [mount for mount in mounts if mount.point == propagated][:1]  # Docker's own is first
    return [
        mount.point / target.root.relative_to(mount.root)
        for target in targets
        for mount in mounts
        if mount.device == target.device
        and mount.point.is_relative_to(shown)
        and mount.root in target.root.parents  # not the mount itself, seen in our own root
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
            f"but {_source(data)} holds {'pool ' + found if found else 'none'}"
        )


def _source(data: Path) -> str:
    """Where `data` lies on the host, as far as the kernel tells: the path within its device."""
    mounts = [mount for mount in _mounts() if mount.point == data.parent]
    if not mounts:
        return str(data)
    return f"{mounts[-1].root / data.name} on device {mounts[-1].device}"


def _mounts() -> list[Mount]:
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return [Mount(line.split()[2], *map(Path, line.split()[3:5])) for line in lines]
