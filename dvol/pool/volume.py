"""One volume's directory: its documents, its trees, and the steps that move them.

A verb prepares files in the volume's staging, makes them durable, and applies them: a commit by one
rename, every other verb by a journal. The caller of every method that writes holds the volume's
lock. What the verbs do is in the engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dvol import dates
from dvol.backends import Backend, FreezeHints, TreeIndex, TreeSummary
from dvol.errors import BadDocument, Corrupt, PathOccupied, TreeMissing
from dvol.fs import projects
from dvol.fs.create import make_directory
from dvol.fs.directories import is_directory
from dvol.fs.documents import read_json, replace_json, write_json
from dvol.fs.durable import durably, sync_file
from dvol.history.commits import ID, ids
from dvol.history.history import History
from dvol.journal.journal import Journal
from dvol.journal.steps import Delete, Move, Step, put_document, relative
from dvol.layout import VolumeLayout
from dvol.model import Commits, Volume
from dvol.trash.notes import write_note
from dvol.tree.flags import Flags


class VolumeDir:
    """The trees and documents of one volume. `choose` returns the backend; it is called when a tree
    is first changed."""

    def __init__(self, layout: VolumeLayout, choose: Callable[[], Backend]) -> None:
        self.layout = layout
        self._choose = choose

    @property
    def backend(self) -> Backend:
        return self._choose()

    @property
    def name(self) -> str:
        return self.layout.name

    @property
    def history(self) -> History:
        """A new one for each use: it reads the documents as they are now."""
        return History(self.layout)

    @property
    def journal(self) -> Journal:
        layout = self.layout
        return Journal(layout.journal, layout.pool.root, layout.staging, self._choose)

    def recover(self, pool_journal: Journal, delete: Callable[[Path], None] | None = None) -> None:
        """Bring the volume to the state before or after a verb whose process died: complete its
        journal, and delete files that were only staged.

        The staging of a commit has the commit's id for its name. If no list has that id, the commit
        was not published, and its tree is deleted. While a list can't be read, the files of commits
        are kept; while the pool's journal can't be read, all staged files are. Files that the
        pool's journal names stay, since a verb on several volumes is unfinished: the next verb
        completes it. `delete` is called instead of the backend's `delete`.
        """
        delete = delete or self.backend.delete
        self.journal.complete()
        if staged := self.journal.staged():
            with suppress(Corrupt):
                needed = pool_journal.components()
                for name in sorted({*staged} - needed):
                    self._delete_staged(name, delete)

    def _delete_staged(self, name: str, delete: Callable[[Path], None]) -> None:
        from dvol.trash.reachability import reported  # late: only after a crash

        with suppress(Corrupt):
            if ID.fullmatch(name) and name not in reported(self.history):
                delete(self.layout.commit(name))
                delete(self.layout.commit(name + ".links"))
                for path in self.layout.documents_of(name):
                    delete(path)
            delete(self.layout.staging / name)

    # -- staging -------------------------------------------------------------------------------

    def durably(self, *staged: Path) -> AbstractContextManager[None]:
        """All files that are staged within it are durable after it. If directories `staged` are
        given, the files lie in these."""
        durable = self.backend.durable
        return nullcontext() if durable else durably(self.layout.root, *staged)

    def staging_dir(self, name: str) -> Path:
        """The directory of that name in the staging; it is made if there is none."""
        staged = self.layout.staging / name
        make_directory(staged)
        return staged

    def like_tree(self, staged: Path, branch: str) -> AbstractContextManager[None]:
        """A tree that the block makes in the directory `staged` gets the project of the tree of
        `branch`; that of `branches`, if that takes in no other."""
        return projects.taken(staged, self.layout.tree(branch), self.layout.branches)

    def write(self, path: Path, document: Any) -> None:
        """Stage a document; to be called within `durably`."""
        write_json(path, document, durable=self.backend.durable)

    def write_note(self, entry: Path, **facts: Any) -> None:
        """Stage the note of an entry of a trash; to be called within `durably`."""
        write_note(entry, durable=self.backend.durable, **facts)

    def require_free(self, branch: str) -> None:
        """Raise PathOccupied if a file that is no branch has the path of a new branch's tree or
        list."""
        tree, listed = self.layout.tree(branch), self.layout.commit_list(branch)
        for path, occupied in ((tree, os.path.lexists(tree)), (listed, listed.is_dir())):
            if occupied or path.is_symlink():
                raise PathOccupied(str(path))

    # -- steps ---------------------------------------------------------------------------------

    def put_step(self, staged: Path, live: Path) -> Step:
        """The step that moves a staged document into place, where there may be an old one."""
        return put_document(self.layout.pool.root, staged, live)

    def move_step(self, source: Path, target: Path) -> Step:
        return Move(self.relative(source), self.relative(target))

    def garbage_step(self, path: Path, name: str) -> Step:
        """The step that moves a file or directory to the garbage, where it gets that name."""
        garbage = self.layout.pool.garbage
        make_directory(garbage)  # now: once the step is journalled nothing may be missing
        return self.move_step(path, garbage / name)

    def drop_steps(self, staged: Path, lists: Mapping[str, Commits]) -> list[Step]:
        """Stage records of the commits that no list has any more once these branches have these
        `lists`, () for a branch that is deleted; the steps put them in place. The frozen trees stay
        where they are. Raises Corrupt."""
        from dvol.history import dropped  # late: most verbs drop nothing

        history, steps = self.history, list[Step]()
        if all(ids(history[branch]) <= ids(after) for branch, after in lists.items()):
            return []
        kept = {id for name in history for id in ids(lists.get(name, history[name]))}
        for branch in lists:
            before = history[branch]
            leaving = dropped.with_before(before, ids(before) - kept)
            if leaving:
                record = staged / f"dropped-{len(steps)}.json"
                self.write(record, dropped.as_record(leaving, branch))
                place = dropped.next_document(self.layout, len(steps))
                steps.append(self.move_step(record, place))
                kept |= ids(before)  # a commit that leaves two lists has one record
        return steps

    def relisted_steps(self, commits: Commits) -> list[Step]:
        """Steps that delete the records which mean nothing once these commits are in a list again:
        else a loop of resets and undos would leave one each time."""
        if ids(commits) <= self.history.listed_ids:
            return []
        from dvol.history import dropped

        steps: list[Step] = []
        for path in dropped.documents(self.layout):
            with suppress(Corrupt):  # it stays, for fsck
                if {one.commit.id for one in dropped.read_record(path)} <= ids(commits):
                    steps.append(Delete(self.relative(path)))
        return steps

    def steps_from_entries(self, places: dict[str, Path]) -> list[Step]:
        """Steps that move frozen trees from these paths back to the volume's commits."""
        return [self.move_step(place, self.layout.commit(id)) for id, place in places.items()]

    def relative(self, path: Path) -> str:
        """A path as the steps of a journal have it: relative to the pool."""
        return str(path.relative_to(self.layout.pool.root))

    def relative_step(self, step: Step) -> Step:
        """A backend's step, which has absolute paths, with paths relative to the pool."""
        return relative(step, self.layout.pool.root)

    # -- trees ---------------------------------------------------------------------------------

    def frozen(self, commits: Commits) -> Path:
        """The frozen tree of the last commit of a history. Raises TreeMissing, DamagedCommit."""
        frozen = self.layout.commit(commits[-1].id)
        if not is_directory(frozen):
            raise TreeMissing(str(frozen))
        from dvol.pool.damaged import require_sound  # late: reading needs none

        require_sound(self.layout, commits[-1].id)
        return frozen

    def flags(self, frozen: Path) -> Flags | None:
        """The recorded inode flags of a frozen tree; None if they are not known."""
        from dvol.tree.summary import flags_of  # late: reading needs none

        return flags_of(frozen, self.layout.summaries)

    def save_flags(self, frozen: Path, found: Flags | None) -> None:
        """Record the inode flags of a frozen tree that is no commit, to be called within
        `durably`."""
        from dvol.tree.summary import save_flags_of

        if found is not None:
            path = save_flags_of(frozen, found)
            if self.backend.durable:
                sync_file(path)

    def hints(self, branch: str, commits: Commits, writers_stopped: bool = False) -> FreezeHints:
        """What is known of the live tree of a branch. Nothing, if its last commit is damaged: no
        file of that must be linked."""
        hints = FreezeHints(None, writers_stopped=writers_stopped, summaries=self.layout.summaries)
        if not commits:
            return hints._replace(index_file=self.layout.index(branch))
        id = commits[-1].id
        from dvol.pool.damaged import may_be_linked  # late: reading needs none

        if not may_be_linked(self.layout, id):
            return hints
        return hints._replace(index_file=self.layout.index(branch), parent=self.layout.commit(id))

    def save_summary(self, id: str, summary: TreeSummary) -> None:
        """Write the summary of a frozen tree, at the path where it stays: what is not published is
        deleted by `recover`. To be called within `durably`."""
        path = self.layout.summary(id)
        make_directory(path.parent)
        summary.save(path)
        if self.backend.durable:
            sync_file(path)

    def save_index(self, branch: str, index: TreeIndex | None, base: Path) -> None:
        """Save the index of a live tree, which says what equals the frozen tree `base`. A failure
        costs only speed, and nothing is synced: an index is not valid after a power cut."""
        if index is None:
            return
        path, staged = self.layout.index(branch), self.layout.staging / "index"
        with suppress(OSError):  # also if `save` wrote no file
            make_directory(path.parent)
            index.save(staged, base)
            projects.rename(staged, path)

    # -- documents -----------------------------------------------------------------------------

    def facts(self, active: bool = False) -> Volume:
        """The volume as `model.Volume`, from its documents as they are now."""
        branch, commits = self.history.head()
        head = commits[-1].id if commits else ""
        return Volume(self.name, branch, head, len(commits), active)

    def point_at(self, branch: str) -> None:
        """Make a branch the current one: one rename."""
        replace_json(self.layout.current, {"current_branch": branch}, self.layout.staging)

    def created(self) -> str:
        """When the volume was made, RFC 3339 in UTC.

        A volume of the original dvol has no record of it: then it is the mtime of its `branches`.
        """
        try:
            moment = dates.parse(read_json(self.layout.about)["created"]).astimezone(UTC)
        except (FileNotFoundError, BadDocument, KeyError, TypeError, ValueError, OverflowError):
            moment = datetime.fromtimestamp(os.stat(self.layout.branches).st_mtime, UTC)
        return moment.isoformat(timespec="seconds")
