"""The paths of everything in a pool. Nothing here touches the disk.

    <pool>/
      .dvol/pool.json                 format of the pool, and its id
      .dvol/locks/pool, garbage       flock files, never deleted
      .dvol/locks/volumes/<volume>    held by the one verb that changes the volume
      .dvol/locks/gates/<volume>      mounts share it, a verb that needs quiet trees holds it alone
      .dvol/locks/waiting/<volume>/   a slot for each mount that waits at a closed gate
      .dvol/locks/containers/<xx>     of the containers whose ids begin with these two digits
      .dvol/config.json               settings of all volumes
      .dvol/expired.json              what gc.auto has found to be past its time, and when
      .dvol/journal.json              steps of a verb on the pool, or on several volumes
      .dvol/staging/<operation>/      files that such a verb prepares
      .dvol/trash/<entry>/            a removed volume or branch, described by its entry.json
      .dvol/garbage/<entry>/          files that are being deleted
      current_volume.json             {"current_volume": "frob_mysql"}
      <volume>/
        current_branch.json           {"current_branch": "master"}; missing means master
        branches/<branch>/            the live tree: what Docker mounts
        branches/<branch>.json        its commits, oldest first
        commits/<id>/                 a frozen tree
        .dvol/volume.json             when the volume was made
        .dvol/config.json             its own settings
        .dvol/journal.json            steps of a verb on the volume
        .dvol/suspended.json          the containers that such a verb has stopped or paused, and
                                      those to which a commit owes a hook
        .dvol/staging/<operation>/    files that such a verb prepares
        .dvol/index/<branch>          the files of its tree that are known to equal a commit's
        .dvol/summaries/<id>          the status of each file of a frozen tree
        .dvol/digests/<id>            the digests of its contents
        .dvol/damaged.json            the commits that fsck found damaged, with the reasons
        .dvol/undo/<branch>/<n>/      a state before a reset or undo, described by its entry.json
        .dvol/dropped/<n>.json        commits that a verb took from the last list that had them
        .dvol/tags.json               {"name": "id of a commit"}
        .dvol/expired.json            what gc.auto has found to be past its time, and when
        .dvol/reflog                  where HEAD and each branch pointed: a line for each change

Outside of `.dvol` it is the layout of the original dvol, whose pools open unchanged. Format 1
called `.dvol/garbage` `.dvol/doomed`, and `suspended.json` `ended.json`: these are still read.
"""

from __future__ import annotations

from pathlib import Path

OWN = ".dvol"
DEFAULT_BRANCH = "master"


class PoolLayout:
    """The paths of one pool."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.own = root / OWN

    @property
    def format(self) -> Path:
        return self.own / "pool.json"

    @property
    def lock(self) -> Path:
        return self.own / "locks" / "pool"

    @property
    def garbage_lock(self) -> Path:
        return self.own / "locks" / "garbage"

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
    def garbage(self) -> Path:
        return self.own / "garbage"

    @property
    def format1_garbage_lock(self) -> Path:
        """A dvol of format 1 holds it while it deletes the garbage."""
        return self.own / "locks" / "sweep"

    @property
    def format1_garbage(self) -> Path:
        """The garbage of format 1; steps of its journals may still move files there."""
        return self.own / "doomed"

    @property
    def config(self) -> Path:
        return self.own / "config.json"

    @property
    def expired(self) -> Path:
        return self.own / "expired.json"

    def container_lock(self, id: str) -> Path:
        """One lock for all containers whose ids begin with the same two digits: lock files are
        never deleted, and one for each container would become too many."""
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
        self.root = pool.root / name
        self.own = self.root / OWN

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
    def suspended(self) -> Path:
        return self.own / "suspended.json"

    @property
    def suspended_files(self) -> tuple[Path, Path]:
        """Today's, and that of format 1."""
        return self.suspended, self.own / "ended.json"

    @property
    def config(self) -> Path:
        return self.own / "config.json"

    @property
    def directories(self) -> tuple[Path, ...]:
        """The directories in which dvol alone creates files: none may be a symbolic link."""
        own = (self.own, self.own / "index", self.undos, self.dropped, self.staging)
        return (*own, self.summaries, self.all_digests, self.branches, self.commits)

    @property
    def about(self) -> Path:
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
    def dropped(self) -> Path:
        return self.own / "dropped"

    @property
    def tags(self) -> Path:
        return self.own / "tags.json"

    @property
    def expired(self) -> Path:
        return self.own / "expired.json"

    @property
    def reflog(self) -> Path:
        return self.own / "reflog"

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

    def commit_list(self, branch: str) -> Path:
        return self.branches / f"{branch}.json"

    def commit(self, commit_id: str) -> Path:
        return self.commits / commit_id

    @property
    def summaries(self) -> Path:
        return self.own / "summaries"

    def summary(self, commit_id: str) -> Path:
        return self.summaries / commit_id

    @property
    def all_digests(self) -> Path:
        return self.own / "digests"

    def digests(self, commit_id: str) -> Path:
        return self.all_digests / commit_id

    def documents_of(self, commit_id: str) -> tuple[Path, ...]:
        """The files about a frozen tree, to be deleted with it; each may be missing."""
        return self.summary(commit_id), self.digests(commit_id)

    @property
    def damaged(self) -> Path:
        return self.own / "damaged.json"
