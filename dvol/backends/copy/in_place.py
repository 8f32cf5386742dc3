"""Making a live tree equal to a frozen one in place: what is unchanged is not touched.

Every replacement is staged first; what is left to do are the steps of a journal, which only
rename, exchange and set attributes. A file that is exchanged with its replacement is set aside
by the same step, so `rebuild` can make the discarded tree again, from the frozen one and what
was set aside.

    <entry>/files/<n>    a staged replacement, and once its step is taken what it replaced
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvol.backends import Past, Replacement, Step
from dvol.backends.copy.freeze import WriteBack
from dvol.backends.copy.thaw import Linker, Restorer
from dvol.errors import BadDocument, DiskFailed, InTheWay, disk_failed
from dvol.fs import mountinfo
from dvol.fs.beneath import DIRECTORY, Beneath, is_beneath
from dvol.fs.documents import is_number, is_word
from dvol.tree import space
from dvol.tree.change_detection import signature
from dvol.tree.compare import Change, Comparison, Kind
from dvol.tree.delete import delete_tree
from dvol.tree.hardlinks import Groups, names_of_files
from dvol.tree.index import NOTHING, Index, load, moment, wait_until_after
from dvol.tree.metadata import copy_attributes, same_status
from dvol.tree.walk import fill


class InPlace(Replacement):
    """A replacement of single files in a live tree."""

    def __init__(self, stager: Stager, ended: bool) -> None:
        super().__init__(stager.steps + stager.last, stager.changes)
        self.tree = stager.tree
        self.placed = stager.placed  # path of a file, inode of the frozen one, status of the staged
        self.index = stager.restorer.index
        self.ended = ended

    def remember(self) -> Index:
        """The exchange has changed the ctime of each file, so they are looked at once more,
        if nobody can have written to them since."""
        newest = 0
        if not self.ended:
            return self.index
        with Beneath(self.tree) as live:
            for path, frozen, staged in self.placed:
                status = _status(live, path)
                if status and status.st_ino == staged.st_ino and same_status(status, staged):
                    folder, name = os.path.split(path)
                    self.index.directories.setdefault(folder, {})[name] = signature(status, frozen)
                    newest = max(newest, status.st_ctime_ns)
        return self.index if wait_until_after(newest) else Index()


class Stager:
    """Stages the changes that a comparison found, and writes down the steps and what they do."""

    def __init__(
        self,
        frozen: Beneath,
        live: Beneath,
        entry: Path,
        tree: Path,
        restorer: Restorer,
    ) -> None:
        self.frozen = frozen
        self.live = live
        self.entry = entry
        self.tree = tree
        self.restorer = restorer
        self.steps: list[Step] = []
        self.last: list[Step] = []  # times, since XFS touches what it moves
        self.changes: list[Any] = []
        self.placed: list[tuple[str, int, os.stat_result]] = []
        self.count = 0
        os.mkdir(self.entry / "files", 0o700)
        self.files = os.open(self.entry / "files", DIRECTORY)

    def close(self) -> None:
        os.close(self.files)

    def stage(self, change: Change) -> None:
        getattr(self, f"_{change.kind}")(change)

    def _add(self, change: Change) -> None:
        self.steps.append(["move", self._staged(change), self._at(change)])
        new = self._status()
        if stat.S_ISDIR(new.st_mode):
            self.last.append(_times_step(self._at(change), new, new))
        self.changes.append(["added", change.path])

    def _remove(self, change: Change) -> None:
        staged = self._next()
        self.steps.append(["move", self._at(change), staged])
        self.changes.append(["removed", change.path, str(self.count)])

    def _replace(self, change: Change) -> None:
        staged = self._staged(change)
        new = self._status()
        self.steps.append(["exchange", staged, self._at(change), new.st_ino, change.old])
        directory, name = self.live.parent(change.path)
        old = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(new.st_mode) or stat.S_ISDIR(old.st_mode):
            self.last.append(_times_step(self._at(change), new, old))
            self.last.append(_times_step(staged, old, new))
        self.changes.append(["replaced", change.path, str(self.count)])

    def _dress(self, change: Change) -> None:
        """Two empty directories carry the attributes, the new ones and the old."""
        new = self._template(self.frozen.directory(change.path))
        old = self._template(self.live.directory(change.path))
        self.last.append(["dress", new, self._at(change), old])
        self.changes.append(["dressed", change.path, str(self.count)])

    def _times(self, change: Change) -> None:
        new = os.fstat(self.frozen.directory(change.path))
        old = os.fstat(self.live.directory(change.path))
        self.last.append(_times_step(self._at(change), new, old))
        self.changes.append(["times", change.path, old.st_atime_ns, old.st_mtime_ns])

    def _staged(self, change: Change) -> str:
        """A copy of the frozen entry, under the next number."""
        staged = self._next()
        directory, name = self.frozen.parent(change.path)
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._stage_directory(name, directory, change)
        else:
            placed = self.restorer.place_one(name, directory, str(self.count), self.files)
            if placed is not None:
                self.placed.append((change.path, status.st_ino, placed))
        return staged

    def _stage_directory(self, name: str, directory: int, change: Change) -> None:
        os.mkdir(str(self.count), 0o700, dir_fd=self.files)
        source = os.open(name, DIRECTORY, dir_fd=directory)
        target = os.open(str(self.count), DIRECTORY, dir_fd=self.files)
        try:
            fill(source, target, None, str(self.tree), self.restorer, change.path)
        finally:
            os.close(source)
            os.close(target)

    def _status(self) -> os.stat_result:
        """Of what was staged last."""
        return os.stat(str(self.count), dir_fd=self.files, follow_symlinks=False)

    def _template(self, directory: int) -> str:
        staged = self._next()
        os.mkdir(str(self.count), 0o700, dir_fd=self.files)
        target = os.open(str(self.count), DIRECTORY, dir_fd=self.files)
        try:
            copy_attributes(directory, target)
        finally:
            os.close(target)
        return staged

    def _next(self) -> str:
        self.count += 1
        return f"{self.entry}/files/{self.count}"

    def _at(self, change: Change) -> str:
        return f"{self.tree}/{change.path}" if change.path else str(self.tree)


def replace(frozen: Path, tree: Path, entry: Path, past: Past) -> InPlace:
    """Compare two trees and stage what makes the live one equal to the frozen; see `Backend`."""
    links = entry / "links"
    mountinfo.refuse(tree)
    with Beneath(frozen) as source, Beneath(tree) as live:
        if os.fstat(live.directory("")).st_dev != os.lstat(entry).st_dev:
            raise InTheWay(f"the file system mounted at {tree}")
        try:
            comparison = _compared(source, live, tree, past)
        except OSError as error:
            raise disk_failed(error, tree) from error
        restorer = Restorer(comparison.names, Groups(links), comparison.index)
        stager = Stager(source, live, entry, tree, restorer)
        try:
            space.require(stager.files, tree, lambda: _to_copy(comparison, source))
            for change in comparison.changes:
                stager.stage(change)
        except OSError as error:
            raise disk_failed(error, tree) from error
        finally:
            stager.close()
    delete_tree(links)
    if not wait_until_after(restorer.newest):  # before anybody else can reach what was staged
        comparison.index.directories.clear()
    return InPlace(stager, past.ended)


def require_space(frozen: Path, tree: Path, past: Past) -> None:
    """See `Backend.require_space_to_replace`. Compared is only where room may be short; what
    vanishes meanwhile is found out later."""
    with Beneath(frozen) as source, Beneath(tree) as live:

        def needed() -> int:
            return _to_copy(_compared(source, live, tree, past), source)

        with suppress(DiskFailed, OSError):
            space.require(live.directory(""), tree, needed)


def _compared(frozen: Beneath, live: Beneath, tree: Path, past: Past) -> Comparison:
    source, target = frozen.directory(""), live.directory("")
    index = Index(moment(target))
    comparison = Comparison(
        known=NOTHING if past.full else load(past.memory, index.moment),
        written_back=WriteBack(target, index.moment is not None),
        ended=past.ended,
        names=names_of_files(source),
        device=os.fstat(target).st_dev,
        label=str(tree),
        index=index,
    )
    comparison.run(target, source)
    return comparison


def _to_copy(comparison: Comparison, frozen: Beneath) -> int:
    copied = (Kind.ADD, Kind.REPLACE)
    paths = (change.path for change in comparison.changes if change.kind in copied)
    return sum(_size(frozen, path) for path in paths)


def rebuild(entry: Path, changes: Any, frozen: Path, into: Path) -> None:
    """Make `into` a frozen tree equal to what the steps have set aside; see `Backend`."""
    require_changes(changes, entry)
    os.mkdir(into, 0o700)
    links, aside = (into.with_name(into.name + end) for end in (".links", ".aside"))
    with Beneath(frozen) as source, Beneath(into) as target, Beneath(entry / "files") as files:
        tree = source.directory("")
        linker = Linker(names_of_files(tree), Groups(links))
        fill(tree, target.directory(""), None, str(into), linker)
        # whoever had a live file open may write to what was set aside for ever: it is copied
        copier = Restorer(names_of_files(files.directory("")), Groups(aside), Index())
        for change in changes:
            _take_back(change, target, files, copier)
    delete_tree(links)
    delete_tree(aside)


_SHAPES = {  # of a change: what follows its kind and its path
    "added": (),
    "removed": (str,),
    "replaced": (str,),
    "dressed": (str,),
    "times": (int, int),
}


def require_changes(changes: Any, entry: Path) -> None:
    """Raise BadDocument unless these are changes as a replacement notes them."""
    if not isinstance(changes, list) or not all(map(_is_change, changes)):
        raise BadDocument(str(entry), "what it changed makes no sense")


def _is_change(change: Any) -> bool:
    if not isinstance(change, list) or len(change) < 2 or not all(map(is_word, change[:2])):
        return False
    kind, path, *rest = change
    shape = _SHAPES.get(kind)
    fits = shape is not None and len(rest) == len(shape) and all(map(_fits, rest, shape))
    return fits and is_beneath(path)


def _fits(argument: Any, kind: type) -> bool:
    if kind is str:
        return is_word(argument) and argument.isdecimal()
    return is_number(argument)


def _take_back(change: list[Any], target: Beneath, files: Beneath, copier: Restorer) -> None:
    kind, path, *rest = change
    if kind in ("dressed", "times"):
        directory = target.directory(path)
        if kind == "times":
            os.utime(directory, ns=(rest[0], rest[1]))
            return
        template = files.directory(rest[0])
        copy_attributes(template, directory)
        return
    directory, name = target.parent(path)
    if kind in ("added", "replaced"):
        delete_tree(Path(f"/proc/self/fd/{directory}/{name}"))  # `into` may be deeper than a path
    if kind in ("removed", "replaced"):
        _bring_back(rest[0], files.directory(""), name, directory, copier)


def _bring_back(number: str, files: int, name: str, directory: int, copier: Restorer) -> None:
    """Copy what was set aside, a file or a directory, into a frozen tree."""
    status = os.stat(number, dir_fd=files, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        copier.place_one(number, files, name, directory)
        return
    os.mkdir(name, 0o700, dir_fd=directory)
    source = os.open(number, DIRECTORY, dir_fd=files)
    target = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        fill(source, target, None, name, copier)
    finally:
        os.close(source)
        os.close(target)


def _status(live: Beneath, path: str) -> os.stat_result | None:
    """None if it went away: somebody writes to the tree after all."""
    try:
        directory, name = live.parent(path)
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None


def _size(frozen: Beneath, path: str) -> int:
    directory, name = frozen.parent(path)
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return space.size(status)
    return space.total(frozen.directory(path), lambda _, __, status: space.size(status))


def _times_step(path: str, new: os.stat_result, old: os.stat_result) -> Step:
    moments = (status for status in (new, old))
    return ["times", path, *(ns for s in moments for ns in (s.st_atime_ns, s.st_mtime_ns))]
