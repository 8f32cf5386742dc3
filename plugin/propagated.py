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
from dvol.atomic import read_json, replace_json
from dvol.errors import Corrupt, DvolError
from dvol.layout import PoolLayout

_NOTE = ".dvol-pool.json"
_MS_BIND = 4096


class WrongData(DvolError):
    """{0}; set the plugin's 'data.source' to the directory it had, and enable it again"""


def attach(data: Path, propagated: Path) -> None:
    """Bind `data` over `propagated`, once, if it holds the pool this plugin has kept."""
    data.mkdir(mode=0o700, exist_ok=True)
    if os.path.samefile(data, propagated):
        return  # a crash leaves the bind in place, and the next process sees it
    _check_note(propagated / _NOTE, PoolLayout(data / "volumes"), data)
    _bind(data, propagated)
    if not os.path.samefile(data, propagated):
        raise WrongData(f"{propagated} is not {data} although it was bound there")


def _check_note(note: Path, pool: PoolLayout, data: Path) -> None:
    try:
        noted = read_json(note)
    except FileNotFoundError:
        mark.ensure(pool)
        source = _source(data)
        replace_json(note, {"pool": mark.pool_id(pool), "source": source}, note.parent / ".staging")
        return
    if not isinstance(noted, dict):
        raise Corrupt(f"{note} is corrupt")
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


def _bind(source: Path, target: Path) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(source), os.fsencode(target), None, _MS_BIND, None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(target))
