"""The redo journal: several durable steps that happen all or not at all.

A verb first stages everything it needs and makes that durable, then writes its steps to the
journal, and only then applies them. From the moment the journal is durable the verb *will* happen:
by its own process or by the next process that opens the volume. So the steps need no space, and
each can be applied again without harm; see `steps`.

If a step can't be applied, the steps before it are reverted, and nothing has happened. (If that
fails too, some process writes to the tree: then the staged files are kept, as `lost-...`.) The last
step is a `Move` or a `Delete`, whose source no longer exists once it was applied. A journal that
exists is a closed gate: no container mounts the volume and no verb changes it before the journal is
completed.

A journal with a `Refill` is another matter: it copies, and what it has deleted can't be restored.
If that fails the journal stays, until a later try completes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvol.errors import (
    BadDocument,
    Corrupt,
    DiscardStopped,
    DiskFailed,
    DvolError,
    NoSpace,
    NoSpaceToFinish,
    TreeChanged,
    disk_failed,
)
from dvol.fs import projects
from dvol.fs.create import make_directory
from dvol.fs.directories import is_directory, names_in
from dvol.fs.documents import read_json, write_json
from dvol.fs.durable import sync_directory
from dvol.journal.permissions import with_permissions
from dvol.journal.steps import Delete, Mover, Refill, Replayer, Step, decode, encode
from dvol.layout import OWN

FORMAT = 2
_NEEDS_RIGHT = (
    "an unfinished command changes append-only or immutable files: as root, "
    "with CAP_LINUX_IMMUTABLE, any command on the volume completes it"
)
_READ = (1, FORMAT)  # format 1 had other names for two kinds of steps


class Journal:
    """The journal of one volume or pool. `stage`, `run`, `complete` and `recover` are for the
    holder of its lock.

    `mover` finds out how trees are moved; it is called when steps are staged or applied.
    """

    def __init__(self, path: Path, root: Path, staging: Path, mover: Callable[[], Mover]) -> None:
        self.path = path
        self.root = root
        self.staging = staging
        self._mover = mover

    def pending(self) -> bool:
        """Whether a verb is under way, or was when its process died."""
        return os.path.lexists(self.path)

    def refilling(self) -> bool:
        """Whether a `Refill` is left: to complete the journal takes long, and needs room. False
        also if the journal can't be read, which `complete` will report."""
        try:
            return any(isinstance(step, Refill) for step in self._read())
        except (OSError, Corrupt):
            return False

    def stage(self, verb: str, steps: list[Step], directory: Path | None = None) -> list[Step]:
        """Write the steps to the staging directory, or to another `directory`; returns those to be
        given to `run`, with the permissions that they need. They become durable with the other
        staged files, or at once where the backend makes its files durable."""
        make_directory(self.staging)
        steps = with_permissions(steps, self.root, self._mover())
        document = {"format": FORMAT, "verb": verb, "steps": list(map(encode, steps))}
        staged = (directory or self.staging) / self.path.name
        write_json(staged, document, durable=self._mover().durable)
        return steps

    def run(self, steps: list[Step]) -> None:
        """Apply the steps that `stage` has returned, all or none. They, and the files that they
        move, must be durable.

        Raises OSError, or TreeChanged where another process writes to the tree.
        """
        projects.rename(self.staging / self.path.name, self.path)
        sync_directory(self.path.parent)
        # from here on the verb happens, whichever process completes it
        try:
            self._apply(steps)
        except BadDocument as error:
            raise TreeChanged(error.subject[0]) from error
        except KeyboardInterrupt:
            self.complete()  # before the verb opens its gates: no container could mount yet
            raise

    def complete(self) -> None:
        """Apply the steps of a journal that a dead process left, if there is one. Raises
        NoSpaceToFinish and DiscardStopped if there is a `Refill`, and the journal stays then."""
        if self.pending():
            self._apply(self._read())

    def staged(self) -> list[str]:
        """The names in the staging directory: without a journal, what a dead process had staged."""
        return names_in(self.staging)

    def recover(self, delete: Callable[[Path], None] | None = None) -> None:
        """Complete what a dead process began, then delete the files that it had only staged, with
        `delete` or as the mover does."""
        self.complete()
        for name in self.staged():
            (delete or self._mover().delete)(self.staging / name)

    def components(self) -> set[str]:
        """Every component of the paths in the steps of a pending journal; raises Corrupt."""
        try:
            steps = self._read()
        except FileNotFoundError:  # also if the process that holds the lock has just completed it
            return set()
        return {part for step in steps for path in step.paths for part in path.split("/")}

    def _apply(self, steps: list[Step]) -> None:
        """All steps are durable before the journal is unlinked. The unlinking need not be: a
        journal that a power cut restores is known by its last step, and then no step is applied
        again, though the volume may have changed since."""
        with Replayer(self.root, self._mover()) as replayer:
            if not replayer.may_apply(steps):
                raise DiskFailed(str(self.path), _NEEDS_RIGHT)
            if left := _left(steps, replayer):
                changing = _without_deletions(steps)
                self._apply_each(_without_deletions(left), changing, replayer)
                replayer.sync(changing)
                for step in steps:  # deletions last, for they can't be reverted
                    if isinstance(step, Delete):
                        replayer.apply(step)
        os.unlink(self.path)

    def _apply_each(self, left: list[Step], all_: list[Step], replayer: Replayer) -> None:
        try:
            replayer.unlock(left)
            for step in left:
                replayer.apply(step)
        except (OSError, DvolError) as error:
            if refills := [step for step in all_ if isinstance(step, Refill)]:
                raise _unfinished(refills[0].live.split("/")[0], error) from error
            if not replayer.revert(all_):  # a staged file may be the only copy
                for staging in self._stagings(all_):
                    os.rename(staging, staging.with_name(f"lost-{os.urandom(6).hex()}"))
            os.unlink(self.path)
            sync_directory(self.path.parent)  # else the verb would happen after all
            raise

    def _stagings(self, steps: list[Step]) -> set[Path]:
        """The staging directories that the steps use: the journal's own, and, for the pool's
        journal, those of volumes."""
        sources = (step.paths[0].split("/") for step in steps)
        volumes = {self.root / parts[0] for parts in sources if parts[1:3] == [OWN, "staging"]}
        found = {self.staging, *(volume / OWN / "staging" for volume in volumes)}
        return {staging for staging in found if is_directory(staging)}

    def _read(self) -> list[Step]:
        document = read_json(self.path)
        known = isinstance(document, dict) and document.get("format") in _READ
        written: Any = document.get("steps") if known else None
        try:
            steps = [decode(each) for each in written] if isinstance(written, list) else []
        except ValueError:
            steps = []
        if not steps:
            raise BadDocument(str(self.path), "not a journal that this dvol can complete")
        return steps


def _unfinished(volume: str, error: OSError | DvolError) -> DvolError:
    """The error to raise for a `Refill` of a volume that failed."""
    if isinstance(error, NoSpace):
        return NoSpaceToFinish(volume, *error.subject[1:])
    return DiscardStopped(volume, str(disk_failed(error) if isinstance(error, OSError) else error))


def _left(steps: list[Step], replayer: Replayer) -> list[Step]:
    """The steps that are left to be applied; all, where that can't be found out: then applying them
    fails for the same reason, and is reverted."""
    try:
        return replayer.left(steps)
    except OSError:
        return steps


def _without_deletions(steps: list[Step]) -> list[Step]:
    return [step for step in steps if not isinstance(step, Delete)]
