"""The host's data directory, made visible where Docker looks for it.

Docker deletes the propagated mount's own directory with the plugin, so the volumes live in a
directory of the host's, bound over it. What is noted *beneath* the bind survives an upgrade:
which pool this plugin kept. If another pool, or none, is in its place now, the server must not
start: it would answer "no such volume", and Docker would forget the volumes for good.
"""

from __future__ import annotations

import os
from pathlib import Path

from dvol import mark
from dvol.atomic import libc_call, read_json, replace_json
from dvol.errors import BadDocument, WrongData
from dvol.layout import PoolLayout

_NOTE = ".dvol-pool.json"
_MS_BIND = 4096


def attach(data: Path, propagated: Path) -> None:
    """Bind `data` over `propagated`, once, if it holds the pool this plugin has kept."""
    data.mkdir(mode=0o700, exist_ok=True)
    if not os.path.samefile(data, propagated):  # a crash leaves the bind for its successor
        _check_note(propagated / _NOTE, PoolLayout(data / "volumes"), data)
        bind = (os.fsencode(data), os.fsencode(propagated), None, _MS_BIND, None)
        libc_call("mount", *bind, named=str(propagated))
    for name in ("", "volumes"):
        if not os.path.samefile(data / name, propagated / name):
            raise WrongData(f"something else is mounted at {_source(data)}/{name}".rstrip("/"))


def _check_note(note: Path, pool: PoolLayout, data: Path) -> None:
    try:
        noted = read_json(note)
    except FileNotFoundError:
        mark.ensure(pool)
        source = _source(data)
        replace_json(note, {"pool": mark.pool_id(pool), "source": source}, note.parent / ".staging")
        return
    if not isinstance(noted, dict):
        raise BadDocument(str(note), "it names no pool")
    found = mark.pool_id(pool)
    if found != noted.get("pool"):
        raise WrongData(
            f"this plugin kept the pool {noted.get('pool')} in {noted.get('source')}, "
            f"but {_source(data)} holds {'pool ' + found if found else 'none'}"
        )


def _source(data: Path) -> str:
    """Where `data` lies on the host, as far as the kernel tells: the path within its device."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    fields = [line.split() for line in mounts if line.split()[4] == str(data.parent)]
    if not fields:
        return str(data)
    last = fields[-1]
    return f"{last[3].rstrip('/')}/{data.name} on device {last[2]}"
