"""`commit`: keep the state of one volume, or of several at one instant."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import NamedTuple

from dvol.backends import Frozen
from dvol.containers import LIVE, PAUSE
from dvol.engine import provenance
from dvol.engine.session import Session
from dvol.engine.transaction import Transaction, transaction
from dvol.errors import DockerUnusable, LiveNeedsOneVolume, LiveNotSupported, printable
from dvol.fs import mountinfo, projects
from dvol.fs.create import make_directory
from dvol.fs.durable import flush, sync_directory
from dvol.history import reflog
from dvol.history.commits import as_document, head_of, new_commit
from dvol.journal.steps import Delete, Step
from dvol.model import Commit, CommitMessage, Commits, ContainerOptions, Writer
from dvol.pool.config import COMMIT_MODE, MODES, check, effective
from dvol.pool.volume import VolumeDir

_PRECOPIED = "precopied"  # a directory in the staging of a commit
_SHORT_FLUSH = 0.03  # seconds; after such a flush another one is not worth while
_FLUSHES = 5  # at most
_MOST_LINKS = 10_000  # symbolic links of a tree that are looked at
_NAMED_LINKS = 3  # at most in a message


class PendingCommit(NamedTuple):
    """The next commit of a volume's branch, which has the commits `before`. Its files are staged
    under its id; `frozen` is what the freeze learned, None before that."""

    volume: VolumeDir
    branch: str
    before: Commits
    commit: Commit
    frozen: Frozen | None = None

    def require_space(self) -> None:
        """Raise NoSpace if the commit certainly does not fit, PathOccupied if something is mounted
        in the tree: no commit could hold it, and a reset would have to refuse it."""
        volume = self.volume
        mountinfo.refuse(volume.layout.tree(self.branch))
        hints = volume.hints(self.branch, self.before)
        volume.backend.require_space(volume.layout.tree(self.branch), hints)

    def precopy(self) -> None:
        """Do the part of `freeze` that can be done while processes still write to the tree."""
        volume = self.volume
        precopied = volume.staging_dir(self.commit.id) / _PRECOPIED
        hints = volume.hints(self.branch, self.before)._replace(precopied=precopied)
        volume.backend.precopy(volume.layout.tree(self.branch), hints)

    def freeze(self, state: str, stopped: bool, full: bool, urgent: bool) -> PendingCommit:
        """Freeze the tree, to which no process may write meanwhile. The frozen tree is built at its
        final path, since no list names it yet."""
        volume, layout = self.volume, self.volume.layout
        precopied = volume.staging_dir(self.commit.id) / _PRECOPIED
        make_directory(layout.commits)
        hints = volume.hints(self.branch, self.before, writers_stopped=stopped)
        hints = hints._replace(full=full, urgent=urgent, precopied=precopied)
        into = layout.commit(self.commit.id)
        frozen = volume.backend.freeze(layout.tree(self.branch), into, hints)
        return self._replace(commit=self.commit._replace(state=state), frozen=frozen)

    def with_provenance(self, writers: Sequence[Writer]) -> PendingCommit:
        """With what the commit records about its data, read from the frozen tree."""
        tree = self.volume.layout.commit(self.commit.id)
        return self._replace(commit=provenance.recorded(self.commit, tree, writers))

    def stage_list(self, onto: str = "") -> None:
        """Stage the list of the branch, or of the new branch `onto`, with the commit in it; write
        the summary of the frozen tree, and log the commit."""
        if self.frozen:
            self.volume.save_summary(self.commit.id, self.frozen.summary)
        staged = self.volume.layout.staging / self.commit.id
        self.volume.write(staged / "commits.json", as_document((*self.before, self.commit)))
        ids = ("" if onto else head_of(self.before), self.commit.id)
        moved, message = onto or self.branch, self.commit.message
        reflog.append(
            self.volume.layout, reflog.Line(moved, *ids, "commit", message, head=not onto)
        )

    def publish(self) -> None:
        """Publish the commit by renaming its staged list. All staged files are durable already."""
        volume, layout = self.volume, self.volume.layout
        staged = layout.staging / self.commit.id
        projects.rename(staged / "commits.json", layout.commit_list(self.branch))
        sync_directory(layout.branches)
        # from here on the commit exists
        with suppress(OSError):  # the next verb deletes the staged files
            self.save_index()
            volume.backend.delete(staged)

    def steps(self) -> list[Step]:
        """The steps that publish the commit, for a journal that publishes several."""
        volume, layout = self.volume, self.volume.layout
        staged = layout.staging / self.commit.id
        put = volume.put_step(staged / "commits.json", layout.commit_list(self.branch))
        return [put, Delete(volume.relative(staged))]

    def save_index(self) -> None:
        base = self.volume.layout.commit(self.commit.id)
        self.volume.save_index(self.branch, self.frozen and self.frozen.tree_index, base)


def commit(
    session: Session, names: Sequence[str], message: CommitMessage, full: bool
) -> dict[str, Commit]:
    """Commit one volume, or several as one with the same message; the commits by volume."""
    with transaction(session, "commit", names) as work:
        mode = _mode(work.volumes, session.options)
        pending = [pending_commit(volume, message) for volume in work.volumes]
        for one in pending:
            one.require_space()
        quiesce = work.quiesce(mode)
        # not `work.durably()`, since the frozen trees lie outside the staging; the sync comes at
        # the end of the block, when the containers run again
        with work.volumes[0].durably():
            with quiesce.closing():
                quiesce.plan()
                if quiesce.suspends:
                    flush_and_precopy(pending)
                stopped = quiesce.suspend(partial(_flush_again, work, mode))
                how = (quiesce.state, stopped, full, quiesce.waited_for)
                pending = [one.freeze(*how) for one in pending]
                quiesce.refuse_newcomers()
            digests = provenance.digests(quiesce, names)
            writers = provenance.writers(quiesce, names, digests)
            pending = [one.with_provenance(writers.get(one.volume.name, ())) for one in pending]
            for one in pending:
                one.stage_list()
        _publish(work, pending)
    if not quiesce.found:
        _warn_of_no_container(session, pending)
    for one in pending:
        _warn_of_links(session, one)
    quiesce.finish()
    return {one.volume.name: one.commit for one in pending}


def pending_commit(volume: VolumeDir, message: CommitMessage) -> PendingCommit:
    """The next commit of the current branch, of which nothing is staged yet."""
    branch, before = volume.history.head()
    return PendingCommit(volume, branch, before, new_commit(message, before))


def _mode(volumes: list[VolumeDir], options: ContainerOptions) -> str:
    """How to quiesce the containers of a commit. Of several volumes the strictest setting counts.
    Raises LiveNeedsOneVolume, LiveNotSupported."""
    wanted = options.mode
    if not wanted:
        layouts = [volume.layout for volume in volumes]
        settings = [effective(COMMIT_MODE, one.config, one.pool.config) for one in layouts]
        wanted = min(settings, key=MODES.index)
    check(COMMIT_MODE, wanted)
    if wanted == LIVE and len(volumes) > 1:
        if options.mode:
            raise LiveNeedsOneVolume()
        return PAUSE  # the setting "live" is for commits of one volume
    for volume in volumes:
        tree = volume.layout.tree(volume.history.current())
        if wanted == LIVE and not volume.backend.atomic(tree):
            raise LiveNotSupported(volume.name)
    return wanted


def _warn_of_no_container(session: Session, done: list[PendingCommit]) -> None:
    """Warn of what may be why no container has the volumes: Docker has given the name to a volume
    of its own, or none was started yet, and the tree is empty."""
    with suppress(DockerUnusable):
        session.warn_of_local([one.volume.name for one in done])
    for one in done:
        with suppress(OSError):
            if not os.listdir(one.volume.layout.commit(one.commit.id)):
                empty = f"the volume {one.volume.name} is empty, and so is this commit"
                later = "commit again once a container has started and written its first files"
                session.access.on_progress(f"warning: {empty}; {later}")


def _warn_of_links(session: Session, done: PendingCommit) -> None:
    """Warn of symbolic links to files that the commit does not hold."""
    from dvol.tree.symlinks import in_known_places, leading_out

    tree = done.volume.layout.commit(done.commit.id)
    recorded = done.frozen.summary.symlinks() if done.frozen else None
    links = islice(in_known_places(tree) if recorded is None else recorded, _MOST_LINKS)
    # where containers had it at earlier commits, if none has it now
    commits = (done.commit, *reversed(done.before))
    writers = next((one.writers for one in commits if one.writers), ())
    mounted = [writer.path for writer in writers if writer.path]
    found = leading_out(tree, links, mounted)
    out = [printable(f"{path} -> {target}") for path, target in found]
    if out:
        out[_NAMED_LINKS:] = [f"{len(out) - _NAMED_LINKS} more"] * (len(out) > _NAMED_LINKS)
        told = f"links in {done.volume.name} lead to files that no commit of it holds"
        session.access.on_progress(f"warning: {told}: {', '.join(out)}")


def flush_and_precopy(pending: list[PendingCommit]) -> None:
    """Flush dirty pages and precopy now, before any container is stopped, so that less is left to
    be done while they wait."""
    flush(pending[0].volume.layout.root)
    for one in pending:
        one.precopy()


def _flush_again(work: Transaction, mode: str) -> None:
    """Before a pause, repeat the flush until one takes under 30 ms, five times at most: containers
    that are only paused wait for the pages that are still dirty."""
    for _ in range(_FLUSHES if mode == PAUSE else 0):
        began = time.monotonic()
        flush(work.volumes[0].layout.root)
        if time.monotonic() - began < _SHORT_FLUSH:
            return


def _publish(work: Transaction, pending: list[PendingCommit]) -> None:
    """Publish the commits, all or none; all staged files are durable already."""
    if len(pending) == 1:
        pending[0].publish()
        return
    work.run([step for one in pending for step in one.steps()])
    for one in pending:
        one.save_index()
