"""Reading the content of commits: making digests of those that have none, and checking the others.

Reading takes long, and no lock is held for it: a commit never changes, and one that is deleted
meanwhile is left out. The volume's lock is taken only to put a file in place. A commit that differs
from its summary gets no digests: they would declare the damage right.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from dvol.errors import BadDocument, Busy, DiskFailed, VolumeNotFound, disk_failed
from dvol.fs.create import make_directory
from dvol.fs.directories import is_directory, names_in
from dvol.fs.durable import sync_file
from dvol.fsck.damage import DamageChecks, committed, named, reported
from dvol.fsck.problem import Problem
from dvol.history.history import History
from dvol.layout import VolumeLayout
from dvol.pool.access import Access
from dvol.pool.damaged import marks
from dvol.sizes import readable
from dvol.tree import digests, summary
from dvol.tree.damage import Difference, StatusChecks, shared
from dvol.tree.digests import ContentChecks, Digests, OnRead
from dvol.tree.summary import Summary, summarized

_SAID_EVERY = 10.0  # seconds
TIMEOUT = 10.0  # seconds to wait for the volume's lock


class Documents:
    """The summaries and digests of a volume, for a process that does not hold its lock."""

    def __init__(self, access: Access, layout: VolumeLayout, on_read: OnRead) -> None:
        self.layout = layout
        self.contents = ContentChecks(on_read)
        self._access = access

    def learn(self, id: str) -> None:
        """Learn the digests of a commit's files, if it has any. Raises BadDocument, OSError."""
        with suppress(FileNotFoundError):
            self.contents.learn(self.layout.commit(id), self.digests(id))

    def digests(self, id: str) -> Digests:
        """Raises BadDocument, FileNotFoundError."""
        return digests.load(self.layout.digests(id))

    def complete(self, id: str) -> None:
        """Make the whole summary and the digests of a commit that is not damaged, if it has none.
        Raises OSError if a file can't be read, DiskFailed if none can be written, VolumeBusy."""
        tree = self.layout.commit(id)
        if not self._is_summarized(id):
            self._write(id, self.layout.summary(id), summarized(tree))
        if not os.path.lexists(self.layout.digests(id)):
            self._write(id, self.layout.digests(id), self.contents.make(tree))

    def _is_summarized(self, id: str) -> bool:
        try:
            return summary.load(self.layout.summary(id)).whole
        except FileNotFoundError:
            return False
        except BadDocument:  # it was reported, and is left as it is
            return True

    def _write(self, id: str, path: Path, document: Summary | Digests) -> None:
        """The file is synced before the lock is taken, since that may take long."""
        written = path.with_name(f"{id}.{os.urandom(4).hex()}")
        try:
            make_directory(path.parent)
            document.save(written)
            sync_file(written)
            with self._access.inspecting(self.layout.name, "fsck", TIMEOUT):
                if is_directory(self.layout.commit(id)):
                    os.rename(written, path)
        except OSError as error:
            raise disk_failed(error, path) from error
        finally:
            written.unlink(missing_ok=True)


class DataChecks:
    """The checks of the content of a volume's commits, after those of `checks`."""

    def __init__(self, access: Access, checks: DamageChecks) -> None:
        self.layout = checks.layout
        self.checks = checks
        self._access = access
        self._progress = _Progress(access.on_progress, self.layout.name, len(checks.ids))
        self._documents = Documents(access, self.layout, self._progress.read)

    def run(self) -> Iterator[Problem]:
        for problem in self._problems():
            repair = problem.repair
            yield problem._replace(repair=partial(self._hold_lock, repair) if repair else None)

    def _hold_lock(self, repair: Callable[[], None]) -> None:
        with self._access.inspecting(self.layout.name, "fsck", TIMEOUT):
            repair()

    def _problems(self) -> Iterator[Problem]:
        """Digests are learned first, so that what they record is not read and recorded anew."""
        for id in self.checks.ids:
            try:
                self._documents.learn(id)
            except BadDocument as error:
                text = f"the digests of {self.checks.labels[id]} are damaged, not the commit"
                yield Problem(f"{text}: {error}", partial(os.unlink, self.layout.digests(id)))
            except OSError as error:
                yield from self._report(id, [_unreadable(error)])
        for id in self.checks.ids:
            if id not in self.checks.damaged:
                yield from self._complete(id)
        for id in self.checks.ids:
            yield from self._check(id)
            self._progress.next()

    def _complete(self, id: str) -> Iterator[Problem]:
        """A file of dvol's own that can't be written is no damage of the commit."""
        try:
            self._documents.complete(id)
        except Busy as error:
            yield Problem(f"no digests of {self.checks.labels[id]}: {error}", state="busy")
        except DiskFailed as error:
            yield Problem(f"no digests of {self.checks.labels[id]}: {error}", state="leftover")
        except OSError as error:
            yield from self._report(id, [_unreadable(error)])

    def _check(self, id: str) -> Iterator[Problem]:
        tree, contents = self.layout.commit(id), self._documents.contents
        try:
            try:
                found = contents.run(tree, self._documents.digests(id))
            except (FileNotFoundError, BadDocument):  # none could be made, or they were reported
                found = shared(tree, contents.damaged)
        except OSError as error:
            found = [_unreadable(error)]
        yield from self._report(id, found)

    def _report(self, id: str, differences: list[Difference]) -> Iterator[Problem]:
        """Nothing of a commit that was deleted meanwhile. What its status shows is reported."""
        mark, known = marks(self.layout).get(id), self.checks.damaged.get(id, set())
        found = [one for one in differences if one.path not in known]
        if not is_directory(self.layout.commit(id)) or not (found or (mark and mark.data)):
            return
        if found or not known:
            yield from reported(self.layout, self.checks.labels[id], id, found, mark, data=True)


def make_digests(
    access: Access, on_read: OnRead, on_damage: Callable[[str], None] = lambda text: None
) -> None:
    """Make the digests that commits of the pool lack. A commit that is damaged gets none, and is
    named by `on_damage`. Volumes that are busy or deleted meanwhile are left out."""
    with access.reading():
        layouts = [access.pool.layout.volume(name) for name in access.pool.names()]
    for layout in layouts:
        with suppress(Busy, VolumeNotFound):
            for text in _make_missing(Documents(access, layout, on_read)):
                on_damage(f"{layout.name}: {text}")


def _make_missing(documents: Documents) -> Iterator[str]:
    """Make the digests that commits of a volume lack, the oldest first; yields what is wrong. The
    commits are listed before the staging: a commit that is being made is staged until it is
    whole."""
    layout = documents.layout
    found = [id for id in committed(layout) if not os.path.lexists(layout.digests(id))]
    waiting = {*found} - {*names_in(layout.staging)}
    parents = {one.id: one.parent for one in History(layout).listed()} if waiting else {}
    for id in sorted(waiting, key=[*parents, *sorted(waiting)].index):
        try:
            yield from _make_one(documents, id, parents.get(id, ""))
        except (OSError, BadDocument, DiskFailed) as error:
            if is_directory(layout.commit(id)):  # else it was deleted meanwhile
                yield f"commit {id[:12]} can't be digested: {error}"


def _make_one(documents: Documents, id: str, parent: str) -> Iterator[str]:
    tree, known = documents.layout.commit(id), documents.layout.summary(id)
    if known.exists():
        wrong = StatusChecks().run(tree, summary.load(known))
        if wrong:
            yield f"commit {id[:12]}: {named(wrong)}"
            return
    if parent:
        documents.learn(parent)
    documents.complete(id)


class _Progress:
    """Says how far the reading is, every ten seconds."""

    def __init__(self, on_progress: Callable[[str], None], volume: str, commits: int) -> None:
        self._on_progress = on_progress
        self._volume = volume
        self._commits = commits
        self._done = self._bytes = 0
        self._said = time.monotonic()

    def next(self) -> None:
        self._done += 1

    def read(self, count: int) -> None:
        self._bytes += count
        if time.monotonic() - self._said > _SAID_EVERY:
            self._said = time.monotonic()
            done = f"{self._done} of {self._commits} commits"
            self._on_progress(f"{self._volume}: checked {done}, read {readable(self._bytes)}")


def _unreadable(error: OSError) -> Difference:
    return Difference(str(error.filename or ""), f"can't be read: {error.strerror}")
