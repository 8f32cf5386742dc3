"""Where everything in a pool lies. Paths only; nothing here touches the disk.

    <pool>/
      .dvol/pool.json                 format of the pool, and its id
      .dvol/locks/pool, sweep         flock files, never deleted
      .dvol/locks/volumes/<volume>    one changing verb at a time
      .dvol/locks/gates/<volume>      closed while its trees must be quiet
      .dvol/locks/waiting/<volume>/   a slot for each who waits at a closed gate
      .dvol/locks/containers/<xx>     of the containers whose id begins so
      .dvol/config.json               settings of all volumes
      .dvol/journal.json              steps of a verb of the pool under way (init)
      .dvol/staging/<operation>/      what such a verb prepares
      .dvol/trash/<entry>/            what was discarded, described by its entry.json
      .dvol/doomed/<entry>/           what is being deleted
      current_volume.json             {"current_volume": "frob_mysql"}
      <volume>/
        current_branch.json           {"current_branch": "master"}; missing means master
        branches/<branch>/            the live tree: what Docker mounts
        branches/<branch>.json        its commits, oldest first
        commits/<id>/                 a frozen tree
        .dvol/volume.json             when the volume was made
        .dvol/config.json             its own settings
        .dvol/journal.json            steps of a verb of the volume under way
        .dvol/ended.json              the containers that such a verb has ended
        .dvol/staging/<operation>/    what such a verb prepares
        .dvol/index/<branch>          by which its tree is known to be unchanged
        .dvol/undo/<branch>/<n>/      what reset and undo discarded, described by its entry.json

The visible part is the layout of the original dvol, whose pools open as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

OWN = ".dvol"
DEFAULT_BRANCH = "master"


class PoolLayout(NamedTuple):
    """The paths of one pool."""

    root: Path

    @property
    def own(self) -> Path:
        return self.root / OWN

    @property
    def mark(self) -> Path:
        return self.own / "pool.json"

    @property
    def lock(self) -> Path:
        return self.own / "locks" / "pool"

    @property
    def sweep_lock(self) -> Path:
        return self.own / "locks" / "sweep"

    @property
    def journal(self) -> Path:
        return self.own / "journal.json"

    @property
    def staging(self) -> Path:
        return self.own / "staging"

    @property
    def trash(self) -> Path:
        return self.own / "trash"

    @property
    def doomed(self) -> Path:
        return self.own / "doomed"

    @property
    def config(self) -> Path:
        return self.own / "config.json"

    def container_lock(self, id: str) -> Path:
        """Of all whose id begins alike: lock files are never deleted, and containers are many."""
        return self.own / "locks" / "containers" / id[:2]

    @property
    def active(self) -> Path:
        return self.root / "current_volume.json"

    def volume(self, name: str) -> VolumeLayout:
        return VolumeLayout(self, name)


class VolumeLayout:
    """The paths of one volume."""

    def __init__(self, pool: PoolLayout, name: str) -> None:
        self.pool = pool
        self.name = name

    @property
    def root(self) -> Path:
        return self.pool.root / self.name

    @property
    def lock(self) -> Path:
        return self.pool.own / "locks" / "volumes" / self.name

    @property
    def gate(self) -> Path:
        return self.pool.own / "locks" / "gates" / self.name

    @property
    def waiting(self) -> Path:
        return self.pool.own / "locks" / "waiting" / self.name

    @property
    def own(self) -> Path:
        return self.root / OWN

    @property
    def ended(self) -> Path:
        return self.own / "ended.json"

    @property
    def config(self) -> Path:
        return self.own / "config.json"

    @property
    def directories(self) -> tuple[Path, ...]:
        """Those that are dvol's alone, and so must be none of somebody else's."""
        own = (self.own, self.own / "index", self.undos, self.staging)
        return (*own, self.branches, self.commits)

    @property
    def facts(self) -> Path:
        return self.own / "volume.json"

    @property
    def journal(self) -> Path:
        return self.own / "journal.json"

    @property
    def staging(self) -> Path:
        return self.own / "staging"

    def index(self, branch: str) -> Path:
        return self.own / "index" / branch

    @property
    def undos(self) -> Path:
        return self.own / "undo"

    def undo(self, branch: str) -> Path:
        return self.undos / branch

    @property
    def current(self) -> Path:
        return self.root / "current_branch.json"

    @property
    def branches(self) -> Path:
        return self.root / "branches"

    @property
    def commits(self) -> Path:
        return self.root / "commits"

    def tree(self, branch: str) -> Path:
        return self.branches / branch

    def line(self, branch: str) -> Path:
        return self.branches / f"{branch}.json"

    def commit(self, commit_id: str) -> Path:
        return self.commits / commit_id
