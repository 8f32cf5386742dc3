"""The promise: every verb of dvol, its meaning, and what it refuses. Read this page first.

Two keepers keep it: `pool.Pool` on a disk, and `client.Client`, which asks a server for the
same. Verbs are flat, the volume comes first, strings and booleans go in and frozen facts come
out, so that arguments and results are JSON as they stand.

    Kill dvol or cut the power at any moment: afterwards every volume is as it was before the
    command or as it is after it, and nothing that was committed is lost.

A verb that changes anything holds the volume's lock; others wait a while for it, then get
VolumeBusy. Reading takes no lock. Every verb may raise PoolNotFound, BadDocument (a file of
the pool is corrupt) and DiskFailed; every verb with a volume VolumeNotFound.

A verb that needs a tree to be quiet ends the containers that use it, and then starts exactly
those again, whatever happened; how, a keeper is told by its `Wishes`. It may raise DockerUnusable,
ContainerStarting, WouldVanish (nothing has happened then) and NotBroughtBack (the verb has).
"""

from __future__ import annotations

from typing import Protocol

from dvol.model import Branch, Commit, Discarded, Finding, Freed, Restored, Version, Volume

PROTOCOL = 1  # of the control API; raised when a verb's arguments or results change


class Engine(Protocol):
    """The verbs. A volume, a branch or a revision is always given by what a user types."""

    def version(self) -> Version:
        """Who answers."""

    def volumes(self) -> list[Volume]:
        """All volumes by name; one that is corrupt says so in its `problem`."""

    def get(self, volume: str) -> Volume:
        """One volume."""

    def active(self) -> str:
        """The volume that commands mean which name none.

        Raises NoActiveVolume, or ActiveVolumeGone where it was removed.
        """

    def init(self, volume: str) -> Volume:
        """Make a volume with one empty branch `master`, and make it the active one.

        Raises InvalidName, VolumeExists. The first volume makes the pool (NotAPool where the
        directory holds something else).
        """

    def switch(self, volume: str) -> Volume:
        """Make a volume the active one."""

    def rm(self, volume: str) -> None:
        """Move a volume with all its history to the trash, from which `restore` brings it back.

        Raises VolumeInUse where a container refers to it, running or not.
        """

    def commit(
        self, volume: str, message: str, author: str, date: str = "", full: bool = False
    ) -> Commit:
        """Keep the state of the current branch's tree for ever, as its newest commit.

        A commit is made also where nothing changed. `date` is RFC 3339 with a zone; empty means
        now. With `full` every file is compared with the last commit, whatever is known of it.
        Containers that write to the tree are stopped, paused, or left alone (NotAtOnce where that
        gives no state of one instant); they wait for the copy, and not for it to be durable.
        When this returns the commit is durable. Raises NoMessage, InvalidAuthor, InvalidDate;
        NoSpace before anything is copied.
        """

    def commit_together(
        self,
        volumes: list[str],
        project: str,
        message: str,
        author: str,
        date: str = "",
        full: bool = False,
    ) -> dict[str, Commit]:
        """Commit several volumes at one instant, all or none: those that are named, and those of
        a project of Compose. Their commits, by volume, share a `group`. Raises as `commit`;
        ProjectNotFound, NoInstantForSeveral.
        """

    def log(self, volume: str, revision: str = "HEAD") -> list[Commit]:
        """The history that ends with `revision`, newest first; empty before any commit.

        Raises InvalidRevision, RevisionNotFound, AmbiguousRevision.
        """

    def reset(self, volume: str, revision: str = "HEAD") -> Commit:
        """Put the current branch back to a commit: its tree, and its list of commits.

        The commit may be another branch's; the list then becomes that commit's own history.
        What is discarded is set aside for `undo` and `restore`: the tree as it was, and the
        commits that no branch has any more; of each branch the last ten times, or fewer on a full
        disk. Containers whose data is all thrown away are killed at once, others stopped. Raises as
        `log` does; NoSpace before anything is changed.
        """

    def reset_together(
        self, volumes: list[str], project: str, revision: str = "HEAD"
    ) -> dict[str, Commit]:
        """Put several volumes back, all or none, to commits that were made together. HEAD is each
        one's own; a commit that one of them has means, in the others, the one that was made with
        it, and so does the beginning of their group. Raises as `reset`; NotTogether."""

    def undo(self, volume: str) -> Commit:
        """Put the current branch back to what the last `reset` or `undo` discarded: tree, list,
        and commits. What that discards is set aside in its turn, so undo twice is redo.

        The branch's newest commit is returned, one with an empty id where it has none. Raises
        NothingToUndo; NoSpace before anything is changed; CommitsGone.
        """

    def config(self, volume: str, key: str, value: str = "", unset: bool = False) -> str:
        """The value of a setting that is in force for a volume; "" stands for all that have none
        of their own. With `value` it is set first, with `unset` forgotten.

        `commit.mode` is "stop", "pause" or "live". Raises InvalidRequest.
        """

    def branches(self, volume: str) -> list[Branch]:
        """The branches of a volume by name, at least one; one of them is current."""

    def branch(self, volume: str, name: str) -> Branch:
        """Make a branch from the newest commit of the current one, and switch to it.

        Uncommitted changes stay with the old branch. Raises InvalidName, BranchExists,
        NothingCommitted; NoSpace before anything is changed.
        """

    def checkout(self, volume: str, name: str) -> Branch:
        """Switch to a branch: its tree, as it was left, is what containers then mount.

        On the branch one is on, nothing is touched. Raises CannotSwitchToMissing.
        """

    def delete_branch(self, volume: str, name: str) -> None:
        """Move a branch, and the commits only it has, to the trash.

        Raises BranchNotFound, BranchActive.
        """

    def discarded(self) -> list[Discarded]:
        """What `restore` can bring back, the newest first."""

    def restore(self, entry: str, name: str = "") -> Restored:
        """Bring back what was discarded; `entry` is its id, or how that begins (four digits or
        more). It becomes the active volume, or the current branch, of nobody.

        A volume or a branch returns under its own name, or under `name`. A state of a branch
        becomes a new branch of that `name`, and can still be undone. The commits of a list come
        back with it. Raises EntryNotFound, AmbiguousEntry, NameRequired, InvalidName,
        VolumeExists, BranchExists, VolumeGone, CommitsGone, HalfwayDiscarded; NoSpace before
        anything is changed.
        """

    def gc(self, now: bool = False, dry_run: bool = False) -> list[Freed]:
        """Delete for good what was discarded more than a week ago; `now`: all of it.

        Whatever something that stays still needs stays, too. A volume that is busy is left for
        the next time. With `dry_run` nothing is deleted, and what would be is returned.
        """

    def fsck(self, volume: str = "", repair: bool = False) -> list[Finding]:
        """What is not as it should be in a volume, or in the whole pool.

        Lists are held against trees, and what is known of live trees against their content.
        With `repair` what can be mended without losing anything is: what nobody misses goes to
        the trash. Of all volumes those that are busy are found to be so; a volume that was
        named is waited for.
        """


def silent(text: str) -> None:
    """For keepers whose words nobody wants to hear."""
