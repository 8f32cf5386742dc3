"""Whose a container's volume is: this pool's, or that of another pool which has a volume of the
same name.

Docker tells the name of a volume and of its driver, and no pool. A managed plugin knows its own id,
and Docker says which driver has it. Without a server, a volume is where it is mounted from: the
plugin's propagated mount, or a mount of the container's own process, lies in the pool or does not.
No call to Docker here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from dvol.fs.mountinfo import Mount, mounts, place_of
from dvol.fs.propagated import propagated

_PROC = Path("/proc")


class Ownership(Protocol):
    """Which volumes are this pool's. None where that can't be said."""

    def of_plugin(self, id: str) -> bool | None:
        """Whether the plugin with that id serves this pool; "" is a driver that is no plugin which
        Docker manages."""

    def of_process(self, container: str, pid: int, volume: str) -> bool | None:
        """Whether the process of a container, by its number on this host, has this pool's volume
        of that name mounted."""


class ByPlugin:
    """The volumes of the managed plugin with that id, in whose server this runs."""

    def __init__(self, id: str) -> None:
        self._id = id

    def of_plugin(self, id: str) -> bool | None:
        """A driver that is no plugin may be this one under an earlier name: containers that were
        started then still have the pool's volumes."""
        return id == self._id if id else None

    def of_process(self, container: str, pid: int, volume: str) -> bool | None:
        return None  # the plugin does not see the host's processes


class ByMounts:
    """The volumes that are mounted from the pool in the directory `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def of_plugin(self, id: str) -> bool | None:
        """By the plugin's propagated mount, which shows its pool; that is not there while the
        plugin is disabled, nor where this process does not see the host's mounts."""
        seen = mounts()
        shown = [mount for mount in seen if _plugin_of(mount.point) == id != ""]
        pool = place_of(self._root, seen)
        if not shown or pool is None:
            return None
        return shown[-1].device == pool.device and shown[-1].root / "volumes" == pool.root

    def of_process(self, container: str, pid: int, volume: str) -> bool | None:
        """None if it can't be shown that the process is the container's: its number counts in
        Docker's own pid namespace only."""
        pool = place_of(self._root, mounts())
        try:
            cgroups = (_PROC / str(pid) / "cgroup").read_text(errors="replace")
            seen = mounts(pid)
        except OSError:
            return None
        if pool is None or container not in cgroups:
            return None
        return any(_lies_in(mount, pool, volume) for mount in seen)


def plugin_id(point: Path) -> str:
    """The id of the managed plugin that this process is, whose propagated mount is at that point:
    Docker mounts its own directory for the plugin there. "" if this is no such plugin."""
    ids = (_plugin_of(mount.root) for mount in mounts() if mount.point == point)
    return next(filter(None, ids), "")


def _plugin_of(path: Path) -> str:
    found = propagated(path)
    return found.plugin if found else ""


def _lies_in(mount: Mount, pool: Mount, volume: str) -> bool:
    return mount.device == pool.device and mount.root.is_relative_to(pool.root / volume)
