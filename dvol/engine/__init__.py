"""Every verb: what it promises, the engine on a local pool and the one behind a socket, gates and
containers around it, recovery after a crash; not how a tree is copied, nor Docker's API.

This page is the promise: each verb, its meaning, and the errors it raises. Read it first.
`local.LocalEngine` carries the verbs out on a disk, `remote.RemoteEngine` asks a server to. Every
verb is a plain method, the volume is its first argument, arguments are strings, booleans or lists
of strings and results are those of `model`: all of it is JSON as it stands.

    Kill dvol or cut the power at any moment: afterwards every volume is as it was before the
    command or as it is after it, and nothing that was committed is lost.

A verb that changes anything holds the volume's lock; another verb that needs the lock waits for it,
and raises VolumeBusy after a timeout. Reading takes no lock. Every verb may raise PoolNotFound,
BadDocument (a file of the pool is corrupt) and DiskFailed; every verb with a volume VolumeNotFound.

A verb that needs a tree to be quiet stops, kills or pauses the containers that use it, and then
starts exactly those again, also if it fails; `ContainerOptions` say how. It may raise
DockerUnusable, ContainerStarting, WouldBeRemoved and PreCommitFailed, before it changes anything,
and NotRestarted and PostCommitFailed, after the verb is done.
"""

from __future__ import annotations

from typing import Protocol

from dvol.model import (
    Branch,
    Commit,
    Discarded,
    Finding,
    Freed,
    Pruned,
    ReflogEntry,
    Restored,
    Tag,
    Version,
    Volume,
)

PROTOCOL = 3  # of the control API; raised when a verb's arguments or results change


class Engine(Protocol):
    """The verbs. A volume, a branch or a revision is always given as a user types it."""

    def version(self) -> Version:
        """The version of the engine, and the pool it works on."""

    def volumes(self) -> list[Volume]:
        """All volumes by name; the `problem` of a corrupt one says what is wrong."""

    def get(self, volume: str) -> Volume:
        """One volume."""

    def active(self) -> str:
        """The active volume: used by commands that name no volume.

        Raises NoActiveVolume, or ActiveVolumeGone if that volume was removed.
        """

    def init(self, volume: str) -> Volume:
        """Make a volume with one empty branch `master`, and make it the active one.

        Raises InvalidName, ReservedName, VolumeExists, NameUsedByDocker. The first volume makes the
        pool; NotAPool if the directory holds other files.
        """

    def switch(self, volume: str) -> Volume:
        """Make a volume the active one."""

    def rm(self, volume: str) -> None:
        """Move a volume with all its history to the trash, from which `restore` restores it.

        Raises VolumeInUse if a container refers to it, running or not.
        """

    def commit(
        self, volume: str, message: str, author: str, date: str = "", full: bool = False
    ) -> Commit:
        """Keep the state of the current branch's tree, as its newest commit.

        A commit is made also if nothing changed. `date` is RFC 3339 with an offset; empty means
        now. With `full` every file is compared with the last commit, without the index. Containers
        that write to the tree are stopped, paused, or left alone (LiveNotSupported if the backend
        can't freeze a tree at one instant). They are suspended for the copy, and run again before
        it is durable; when this returns the commit is durable. Raises NoMessage, InvalidMessage,
        InvalidAuthor, InvalidDate; NoSpace before anything is copied.
        """

    def commit_group(
        self,
        volumes: list[str],
        project: str,
        message: str,
        author: str,
        date: str = "",
        full: bool = False,
    ) -> dict[str, Commit]:
        """Commit several volumes at one instant, all or none: `volumes`, and those of the Compose
        project `project`, if it is not "". Returns the commits by volume; they share a `group`.
        Raises as `commit` does; ProjectNotFound, LiveNeedsOneVolume.
        """

    def log(self, volume: str, revision: str = "HEAD") -> list[Commit]:
        """The history that ends with `revision`, newest first; empty before the first commit.

        What revisions there are is in `history.revisions`. Raises InvalidRevision,
        RevisionNotFound, NotInReflog, AmbiguousRevision.
        """

    def reflog(self, volume: str, branch: str = "") -> list[ReflogEntry]:
        """Where a branch pointed, or HEAD if `branch` is "": newest first.

        The first entry is the present commit. A deleted branch keeps its entries. A line that a
        power cut or a full disk has cost is an entry without a verb. Raises BranchNotFound.
        """

    def reset(self, volume: str, revision: str = "HEAD", discard: bool = False) -> Commit:
        """Reset the current branch to a commit: its tree, and its list of commits.

        The commit may be another branch's; the list then becomes that commit's own history. The
        state before becomes an undo entry, for `undo` and `restore`: the tree as it was, and the
        list. Commits that no branch has any more stay, and are found by their ids, until gc deletes
        them. Of each branch the last ten entries are kept, or fewer if the disk is nearly full.
        Containers whose writable data is all reset are killed at once, others stopped. Raises as
        `log` does; NoSpaceToReset before anything is changed.

        With `discard` the state before is deleted, no undo entry is made, and none is pushed out.
        Where there is no room for a copy, what differs is deleted first and then copied. If that is
        interrupted, or fails (NoSpaceToFinish, DiscardStopped), the volume is half reset, and no
        container can mount it (UnfinishedDiscard), until the next verb that changes the volume has
        completed the reset.
        """

    def reset_group(
        self, volumes: list[str], project: str, revision: str = "HEAD", discard: bool = False
    ) -> dict[str, Commit]:
        """Reset several volumes, all or none, to the commits of one group. HEAD means the head of
        each volume. A commit of one volume means, in the others, the commit of its group, and so
        does the beginning of the group's id. Raises as `reset` does; ProjectNotFound, NotOneGroup.
        """

    def undo(self, volume: str, count: int = 1) -> Commit:
        """Reset the current branch to its state before the last `reset` or `undo`, or before the
        `count`th last: tree, list, and commits. The state before the undo becomes an undo entry in
        turn, so undo twice is redo.

        Returns the branch's newest commit, or one with an empty id if it has none. Raises
        NothingToUndo, NotSoManyToUndo; NoSpace before anything is changed; CommitsGone.
        """

    def undo_group(self, volumes: list[str], project: str) -> dict[str, Commit]:
        """Undo the last reset or undo of several volumes as one, all or none. A volume in which it
        had changed nothing is left as it is. Raises as `undo` does; ProjectNotFound; NoGroupToUndo
        if the last reset or undo of any of them was of that volume alone.
        """

    def config(self, volume: str, key: str, value: str = "", unset: bool = False) -> str:
        """The effective value of a setting for a volume; the volume "" stands for all volumes that
        have no value of their own. A `value` is set first; with `unset` the setting is removed.

        `commit.mode` is "stop", "pause" or "live", `gc.keep` a duration or "forever", `gc.auto`
        "on" or "off", `ready.exec` a command and `ready.port` a port, both "" if they are not set.
        Raises InvalidRequest.
        """

    def branches(self, volume: str) -> list[Branch]:
        """The branches of a volume by name, at least one; one of them is current."""

    def branch(self, volume: str, name: str, revision: str = "HEAD") -> Branch:
        """Make a branch from a commit, and switch to it.

        Uncommitted changes stay with the old branch. Raises as `log` does; InvalidName,
        BranchExists, NothingCommitted; NoSpace before anything is changed.
        """

    def checkout(self, volume: str, name: str) -> Branch:
        """Switch to a branch: containers then mount its tree, as it was left.

        Nothing is changed if it is the current branch. Raises CannotSwitchToMissing.
        """

    def delete_branch(self, volume: str, name: str) -> None:
        """Move a branch to the trash. Commits that only it has stay, until gc deletes them.

        Raises BranchNotFound, BranchActive.
        """

    def stash(
        self, volumes: list[str], branch: str, message: str, author: str
    ) -> dict[str, Commit]:
        """Commit the state of each volume on a new branch, and reset its current branch to its last
        commit: `branch` gets the tree as it is, and the list of the current branch with the new
        commit. All volumes or none; their containers are ended once. Returns the commits by volume.

        A current branch without a commit stays as it is. No undo entry is made, since the state is
        in the commit. Raises as `commit` and `branch` do.
        """

    def tag(self, volume: str, name: str, revision: str = "HEAD") -> Tag:
        """Give a commit a name: it and its history are then kept from `gc` and `prune`, also when
        no branch has them. Raises as `log` does; InvalidName, TagExists, TagIsBranch.
        """

    def tags(self, volume: str) -> list[Tag]:
        """The tags of a volume by name."""

    def delete_tag(self, volume: str, name: str) -> Tag:
        """Delete a tag. Its commit stays, until gc deletes it if no branch has it. Raises
        TagNotFound."""

    def drop(self, volume: str, revision: str) -> Commit:
        """Take one commit out of every branch of the volume that has it. It stays, until gc deletes
        it, and is found by its id. Raises as `log` does; CommitIsHead, CommitIsTagged,
        NotInAnyBranch.
        """

    def prune(
        self,
        volume: str,
        last: int = 0,
        hourly: int = 0,
        daily: int = 0,
        weekly: int = 0,
        tags: str = "",
        groups: bool = False,
        dry_run: bool = False,
    ) -> list[Pruned]:
        """Take commits out of each branch, except those that a rule keeps: the `last` ones, the
        newest of each of so many hours, days or weeks, and those with a tag that the pattern `tags`
        matches; -1 means all. The head of a branch and every tagged commit stay, and so does a
        commit that was made with other volumes as one, unless `groups` says otherwise.

        Returns what becomes of each commit. What leaves its last branch stays, until gc deletes it.
        With `dry_run` nothing is changed. Raises InvalidRequest if there is no rule.
        """

    def discarded(self, sizes: bool = False) -> list[Discarded]:
        """The entries that `restore` can restore, newest first. With `sizes` the files of each are
        walked, and its size is told."""

    def restore(self, entry: str, name: str = "") -> Restored:
        """Undelete a volume, a branch, or the state of a branch; `entry` is the id of its entry, or
        the first four digits or more, or the name of a volume, or VOLUME/BRANCH, which mean the
        newest entry of such a removed volume or branch. The active volume and the current branch
        stay as they are.

        A volume or a branch is restored under its own name, or under `name`. A state of a branch
        becomes a new branch of that `name`, and its undo entry stays. The commits of a list are
        restored with it. Raises EntryNotFound, AmbiguousEntry, NameRequired, InvalidName,
        NameInUse, BranchNameInUse, VolumeGone, CommitsGone, UnfinishedRemoval; NoSpace before
        anything is changed.
        """

    def gc(
        self,
        now: bool = False,
        dry_run: bool = False,
        entry: str = "",
        volume: str = "",
        older_than: str = "",
    ) -> list[Freed]:
        """Delete entries and dropped commits that are past their time: by the setting `gc.keep`, or
        that were removed or dropped longer than `older_than` ago ("12h", "30d"); with `now` all of
        them; or only the one whose id begins with `entry`. With `volume` only those of one volume.

        A commit that a branch, a tag or a remaining entry needs remains; the result says so of what
        was named or is past its time. Things of a busy volume are left for the next gc. With
        `dry_run` nothing is deleted, and what would be is returned. Raises EntryNotFound,
        AmbiguousEntry, InvalidRequest.
        """

    def fsck(self, volume: str = "", repair: bool = False, data: bool = False) -> list[Finding]:
        """Find what is wrong in a volume, or in the whole pool.

        Lists are compared with trees, each commit with its summary, and the index of each live tree
        with its content. With `data` the content of each commit is read, too, and compared with its
        digests; a commit without digests gets them. With `repair` everything is repaired that can
        be without losing data: a commit that nothing tells of is recorded as dropped. A damaged
        commit is marked: `reset`, `undo`, `branch` and `restore` to it raise DamagedCommit until
        another `fsck` with `repair` finds it sound. A busy volume is reported as busy; a busy
        `volume` that was named is waited for.
        """


def silent(text: str) -> None:
    """An `on_progress` that does nothing."""
