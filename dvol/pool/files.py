"""A pool's directory: which volumes exist, which is active; making, removing and restoring one.

The files in a volume are in `volume`; who may read or change it now is decided in `access`.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from dvol import dates, names
from dvol.backends import Backend, choose
from dvol.errors import BadDocument, PathOccupied, VolumeNotFound
from dvol.fs import projects, swap
from dvol.fs.create import make_directory
from dvol.fs.directories import is_directory, names_in
from dvol.fs.documents import read_json, replace_json, write_json
from dvol.fs.durable import durably, sync_directory
from dvol.fs.flags import Locked
from dvol.fs.locks import exclusive
from dvol.journal.journal import Journal
from dvol.journal.steps import Delete, Move, Step, put_document
from dvol.layout import DEFAULT_BRANCH, OWN, PoolLayout, VolumeLayout
from dvol.pool.volume import VolumeDir
from dvol.trash.notes import new_entry, new_name, write_note


def _made_with(root: Path) -> tuple[Path, ...]:
    """The directories that a new volume has."""
    return root, root / OWN, root / OWN / "dropped", root / "branches", root / "commits"


class PoolDir:
    """The directory of the pool with these paths."""

    def __init__(self, layout: PoolLayout) -> None:
        self.layout = layout

    @cached_property
    def backend(self) -> Backend:
        """The file system is probed when a tree is first changed: reading needs no backend."""
        return choose(self.layout.root)

    @property
    def journal(self) -> Journal:
        layout = self.layout
        return Journal(layout.journal, layout.root, layout.staging, lambda: self.backend)

    def volume(self, layout: VolumeLayout) -> VolumeDir:
        return VolumeDir(layout, lambda: self.backend)

    # -- finding -------------------------------------------------------------------------------

    def exists(self, volume: str) -> bool:
        """Whether there is such a volume: any directory of the pool is one, also if corrupt."""
        return (
            names.is_component(volume)
            and volume not in names.POOL_FILES
            and is_directory(self.layout.root / volume)
        )

    def names(self) -> list[str]:
        return sorted(filter(self.exists, os.listdir(self.layout.root)))

    def find(self, volume: str) -> VolumeLayout:
        """The paths of a volume that exists. Raises VolumeNotFound, or, for a name that no new
        volume may have, InvalidName or ReservedName; BadDocument if a directory is a link."""
        if not self.exists(volume):
            names.check_volume(volume)
            raise VolumeNotFound(volume)
        layout = self.layout.volume(volume)
        for path in (*layout.directories, layout.reflog):
            if path.is_symlink():
                raise BadDocument(str(path), "it is a symbolic link, which may lead elsewhere")
        return layout

    def active(self) -> str:
        """The name of the active volume, "" if none is; that volume may have been removed since."""
        path = self.layout.active
        try:
            document = read_json(path)
        except FileNotFoundError:
            return ""
        name = document.get("current_volume") if isinstance(document, dict) else None
        if not isinstance(name, str):
            raise BadDocument(str(path), "it names no volume")
        return name

    # -- changing: the caller holds the pool's lock ----------------------------------------------

    def create(self, volume: str, active: bool) -> None:
        """Build a volume in the staging, then move it into place: it exists whole or not at all.
        With `active` it becomes the active one in the same journal."""
        if os.path.lexists(self.layout.root / volume):
            raise PathOccupied(str(self.layout.root / volume))
        if active and self.layout.active.is_dir():
            raise PathOccupied(str(self.layout.active))
        staged = self.layout.staging / "volume"
        with durably(self.layout.root):
            steps = [*self._build(staged, volume, active), Delete(self._relative(staged))]
            steps = self.journal.stage("init", steps)
        self.journal.run(steps)

    def _build(self, staged: Path, volume: str, active: bool) -> list[Step]:
        root = staged / "root"
        from dvol.pool.empty_tree import make_empty_tree  # late: most verbs make none

        make_directory(staged)
        with projects.taken(staged, self.layout.own, self.layout.root):
            for directory in _made_with(root):
                make_directory(directory, 0o755)
            make_empty_tree(self.backend, root / "branches" / DEFAULT_BRANCH, self.layout.root)
        write_json(root / OWN / "volume.json", {"created": dates.now()}, durable=False)
        steps: list[Step] = [Move(self._relative(root), volume)]
        if active:
            document = {"current_volume": volume}
            active_json = staged / "active.json"
            write_json(active_json, document, durable=False)
            steps.append(put_document(self.layout.root, active_json, self.layout.active))
        return steps

    def remove(self, volume: str, into: Path) -> None:
        """Move a volume to the trash or to the garbage, which is deleted in the background. The
        caller holds the volume's lock too. Raises SwapInUse."""
        swap.refuse(self.layout.root / volume)
        with durably(self.layout.root):
            entry = new_entry(self.layout.staging, into)
            write_note(entry, durable=False, verb="rm", volume=volume)
            steps: list[Step] = [
                Move(volume, self._relative(entry / "volume")),
                Move(self._relative(entry), self._relative(into / entry.name)),
            ]
            steps = self.journal.stage("rm", steps)
        self.journal.run(steps)

    def restore(self, entry: Path, volume: str) -> None:
        """Move the volume in an entry of the trash back into the pool, under a name that no volume
        has."""
        if os.path.lexists(self.layout.root / volume):
            raise PathOccupied(str(self.layout.root / volume))
        make_directory(self.layout.garbage)
        steps: list[Step] = [
            Move(self._relative(entry / "volume"), volume),
            Move(self._relative(entry), self._relative(self.layout.garbage / entry.name)),
        ]
        with durably(self.layout.root):
            steps = self.journal.stage("restore", steps)
        self.journal.run(steps)

    def point_at(self, volume: str) -> None:
        """Make a volume the active one: one rename."""
        replace_json(self.layout.active, {"current_volume": volume}, self.layout.staging)

    def delete_later(self, path: Path) -> None:
        """Move a file or directory to the garbage; does nothing if `path` does not exist."""
        if os.path.lexists(path):
            self.backend.move(path, self._garbage() / new_name())

    def collect_garbage(self) -> list[Path]:
        """Delete the garbage. If a file can't be deleted the others are deleted all the same, and
        the first failure is raised as OSError; what only locks forbid to delete (see `fs.flags`)
        stays, and is returned. Does nothing while another process collects.

        Slow, so never called while Docker waits for an answer."""
        layout, failures = self.layout, dict[Path, OSError]()
        for directory, lock in (
            (layout.garbage, layout.garbage_lock),
            (layout.format1_garbage, layout.format1_garbage_lock),
        ):
            if names_in(directory):
                with exclusive(lock, "gc", 0.0) as had:
                    failures |= self._deleted(directory) if had else {}
        for failure in failures.values():
            if not isinstance(failure, Locked):
                raise failure
        return [*failures]

    def _garbage(self) -> Path:
        """The directory to which files are moved that are to be deleted: that of format 1 in a pool
        which still has it, whose disk may be full."""
        garbage, format1 = self.layout.garbage, self.layout.format1_garbage
        if is_directory(format1) and not is_directory(garbage):
            return format1
        make_directory(garbage)
        return garbage

    def _deleted(self, directory: Path) -> dict[Path, OSError]:
        """Delete all files in a directory, also those that are moved there meanwhile; returns the
        failures, by path."""
        failures: dict[str, OSError] = {}
        while left := {*names_in(directory)} - failures.keys():
            sync_directory(directory)  # else half of an entry could be back after a power cut
            for name in left:
                try:
                    self.backend.delete(directory / name)
                except OSError as error:
                    failures[name] = error
        return {directory / name: error for name, error in failures.items()}

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.layout.root))
