"""The redo journal: several durable steps that happen all or not at all.

A verb first stages everything it needs and makes that durable, then writes its steps here,
and only then takes them. From the moment the journal is durable the verb *will* happen: by its
own process or by whoever opens the volume next. So the steps need no space, and each can be
taken again without harm:

    ["exchange", staged, live, new, old]   swap the two, unless `live` is the new one already
    ["move", from, to]                     rename, unless `from` is gone already
    ["dress", new, path, old]              attributes, from one empty directory or the other
    ["times", path, new..., old...]        atime and mtime in ns; renames change a directory's
    ["discard", path]                      delete a tree or file dvol made, if it is there

If a step can't be taken, those before it are taken back, and nothing has happened. (If that
fails too, somebody writes to the tree: then what was staged is kept, as `lost-...`.) Paths are
relative to the pool. The last step is a "move" or a "discard", whose source is gone once it was
taken. A journal that exists is a closed gate: nobody mounts or changes the volume before it is
completed. What a step means on disk is `steps`'.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dvol.backends import Backend, Step
from dvol.errors import BadDocument, Corrupt, TreeChanged
from dvol.fs.directories import is_directory, names_in
from dvol.fs.durable import read_json, sync_directory, write_json
from dvol.journal import steps
from dvol.layout import OWN

FORMAT = 1


class Journal:
    """The journal of one volume or pool. Whoever calls any verb here holds its lock."""

    def __init__(self, path: Path, root: Path, staging: Path, backend: Backend) -> None:
        self.path = path
        self.root = root
        self.staging = staging
        self.backend = backend

    def pending(self) -> bool:
        """Whether a verb is under way, or was when its process died."""
        return os.path.lexists(self.path)

    def stage(self, verb: str, wanted: list[Step]) -> None:
        """Write the steps down. They become durable with the rest of what is staged, or at once
        where the rest is durable already."""
        self.staging.mkdir(parents=True, exist_ok=True)
        document = {"format": FORMAT, "verb": verb, "steps": wanted}
        path = self.staging / self.path.name
        write_json(path, document, durable=self.backend.durable)

    def run(self, wanted: list[Step]) -> None:
        """Take the steps, all or none. They, and what they move, must be staged and durable.

        Raises OSError, or TreeChanged where something else writes to the tree.
        """
        os.rename(self.staging / self.path.name, self.path)
        sync_directory(self.path.parent)
        # from here on the verb happens, whoever completes it
        try:
            self._take(wanted)
        except BadDocument as error:
            raise TreeChanged(error.subject[0]) from error
        except KeyboardInterrupt:
            self.complete()  # before the verb opens its gates, behind which nobody could mount
            raise

    def complete(self) -> None:
        """Take the steps that a dead process left, if it left any."""
        if self.pending():
            self._take(self._read())

    def staged(self) -> list[str]:
        """What lies in the staging: without a journal, the leavings of a dead process."""
        return names_in(self.staging)

    def recover(self, discard: Callable[[Path], None] | None = None) -> None:
        """Complete what a dead process began, then `discard` (delete) what it had only staged."""
        self.complete()
        for name in self.staged():
            (discard or self.backend.delete)(self.staging / name)

    def _take(self, wanted: list[Step]) -> None:
        """All steps are durable before the journal is unlinked, which need not be: one that a
        power cut brings back is known by its last step, and then nothing is done again, though
        the volume may have changed since."""
        with steps.Taker(self.root, self.backend) as taker:
            if left := taker.left(wanted):
                changing = [step for step in wanted if step[0] != "discard"]
                discards = [step for step in wanted if step[0] == "discard"]
                self._take_each([step for step in left if step[0] != "discard"], changing, taker)
                taker.sync(changing)
                for step in discards:  # last, for they can't be taken back
                    taker.take(step)
        os.unlink(self.path)

    def _take_each(self, left: list[Step], all_: list[Step], taker: steps.Taker) -> None:
        try:
            for step in left:
                taker.take(step)
        except (OSError, Corrupt):
            if not taker.take_back(all_):  # what is staged may be the only copy of something
                for staging in self._stagings(all_):
                    os.rename(staging, staging.with_name(f"lost-{os.urandom(6).hex()}"))
            os.unlink(self.path)
            sync_directory(self.path.parent)  # else the verb would happen after all
            raise

    def _stagings(self, wanted: list[Step]) -> set[Path]:
        """Where the steps have what they set aside; those of the pool's journal, in volumes."""
        sources = (str(step[1]).split("/") for step in wanted)
        volumes = {self.root / parts[0] for parts in sources if parts[1:3] == [OWN, "staging"]}
        found = {self.staging, *(volume / OWN / "staging" for volume in volumes)}
        return {staging for staging in found if is_directory(staging)}

    def _read(self) -> list[Step]:
        document = read_json(self.path)
        known = isinstance(document, dict) and document.get("format") == FORMAT
        wanted = document.get("steps") if known else None
        if not isinstance(wanted, list) or not wanted or not all(map(steps.is_step, wanted)):
            raise BadDocument(str(self.path), "not a journal that this dvol can complete")
        return wanted
