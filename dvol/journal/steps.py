"""The steps of a journal: what each changes on disk, and how it is reverted.

A step looks at what is on disk and does what is left to do, so that it may be applied any number of
times, by any process. Paths are relative to the pool, and lead into trees whose content other
programs choose: they are resolved by `beneath`, so that no file outside the pool is ever touched.

On disk a step is a list: its kind, and its fields. Format 1 called "attributes" "dress", and
"delete" "discard".
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol, get_type_hints

from dvol.errors import BadDocument, Corrupt
from dvol.fs import flags
from dvol.fs.beneath import Beneath, is_beneath, split
from dvol.fs.directories import set_mode
from dvol.fs.documents import is_number, is_word
from dvol.fs.syscalls import ONE_LOG, filesystem, named
from dvol.layout import OWN
from dvol.tree.metadata import copy_attributes


class Mover(Protocol):
    """How trees, and directories that hold trees, are moved and deleted on the pool's file system.
    Each backend is one."""

    durable: bool  # whether what a call makes is durable when it returns

    def move(self, source: Path, target: Path) -> None:
        """Rename a tree, or a directory that holds trees, within the pool's file system."""

    def exchange(self, one: Path, other: Path) -> None:
        """Swap two trees or files in one step: no instant lacks either name. OSError EINVAL where
        the file system cannot (renameat2(2))."""

    def identity(self, path: Path) -> int:
        """A number that identifies the file or tree at `path` on its file system, also after a
        rename. Raises FileNotFoundError."""

    def delete(self, tree: Path) -> None:
        """Delete a tree (live, frozen or half made), a file, or a directory that holds such.

        A path that does not exist is no error. OSError EBUSY at a mount point.
        """

    def refill(self, frozen: Path, tree: Path, index: Path, aside: Path) -> None:
        """Make the live `tree` equal to the frozen one in place, durably, and keep nothing of what
        differs: it is deleted before anything is copied. After a crash or an error another call
        goes on.

        `index` is the tree's index, if there is one. `aside` is a directory beside the tree for
        files of the call's own. Raises NoSpace, DiskFailed, PathOccupied.
        """


class Root:
    """The pool's root, whose entries are given by relative path; `mover` moves and deletes them.

    The directories of the last two paths stay open: a step has two at most, and the next step often
    has the same.
    """

    def __init__(self, path: Path, mover: Mover) -> None:
        self.path = path
        self.mover = mover
        self._newer, self._older = Beneath(path), Beneath(path)
        self.filesystem = filesystem(self._newer.directory(""))

    def close(self) -> None:
        self._newer.close()
        self._older.close()

    def directory(self, path: str) -> int:
        """The open directory at `path`; valid until the second call after this one."""
        if self._newer.path != path:
            self._newer, self._older = self._older, self._newer
        return self._newer.directory(path)

    def parent(self, path: str) -> tuple[int, str]:
        """The open directory that holds the last component of `path`, and that component."""
        directory, name = split(path)
        return self.directory(directory), name

    def exists(self, path: str) -> bool:
        return self.identity(path) is not None

    def identity(self, path: str) -> int | None:
        """As `Mover.identity`; None if `path` does not exist."""
        try:
            return self.mover.identity(self._by_descriptor(path))
        except FileNotFoundError:
            return None

    def rename(self, source: str, target: str) -> None:
        self.mover.move(self._by_descriptor(source), self._by_descriptor(target))

    def exchange(self, one: str, other: str) -> None:
        self.mover.exchange(self._by_descriptor(one), self._by_descriptor(other))

    def delete(self, path: str) -> None:
        self.mover.delete(self.path / path)

    def refill(self, *paths: str) -> None:
        self.mover.refill(*(self.path / path for path in paths))

    def _by_descriptor(self, path: str) -> Path:
        """A path through the open parent directory, for calls that take no descriptor."""
        directory, name = self.parent(path)
        return Path(f"/proc/self/fd/{directory}/{name}")


class Exchange(NamedTuple):
    """Swap a staged file or directory with the live one, unless `live` is the new one already.

    `new` and `old` are the identities of the two. In a pool that was copied file by file `live` has
    neither: it is unknown which of the two it is, and BadDocument is raised.
    """

    staged: str
    live: str
    new: int
    old: int

    @property
    def paths(self) -> tuple[str, ...]:
        return self.staged, self.live

    def apply(self, root: Root) -> None:
        if root.exists(self._aside):  # begun by renames
            self._by_renames(root)
        elif (found := root.identity(self.live)) != self.new:
            if found != self.old:
                raise BadDocument(f"{root.path}/{self.live}", "neither the old one nor the new")
            try:
                root.exchange(self.staged, self.live)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._by_renames(root)

    def revert(self, root: Root) -> None:
        if root.exists(self._aside):  # renames were under way
            if root.exists(self.live):
                root.rename(self.live, self.staged)
            root.rename(self._aside, self.live)
        else:
            self._replace(new=self.old, old=self.new).apply(root)

    @property
    def _aside(self) -> str:
        return aside(self.staged)

    def _by_renames(self, root: Root) -> None:
        """For file systems without RENAME_EXCHANGE. Between the renames `live` does not exist,
        which the journal covers."""
        if not root.exists(self._aside):
            root.rename(self.live, self._aside)
        if root.identity(self.staged) == self.new:
            root.rename(self.staged, self.live)
        root.rename(self._aside, self.staged)


def aside(staged: str) -> str:
    """Where the live tree or file is while it is exchanged by renames with the staged one."""
    return staged + ".aside"


class Move(NamedTuple):
    """Rename `source` to `target`, unless `source` no longer exists."""

    source: str
    target: str

    @property
    def paths(self) -> tuple[str, ...]:
        return self.source, self.target

    def apply(self, root: Root) -> None:
        if root.exists(self.source):
            root.rename(self.source, self.target)

    def revert(self, root: Root) -> None:
        if not root.exists(self.source) and root.exists(self.target):
            root.rename(self.target, self.source)


class SetAttributes(NamedTuple):
    """Give the directory at `path` the attributes and inode flags of the empty directory `new`;
    `old` is another empty directory, with those that it had before."""

    new: str
    path: str
    old: str

    @property
    def paths(self) -> tuple[str, ...]:
        return self.new, self.path

    def apply(self, root: Root) -> None:
        new, directory = root.directory(self.new), root.directory(self.path)
        flags.unlock(directory)
        copy_attributes(new, directory)
        flags.put(directory, flags.get(new))

    def revert(self, root: Root) -> None:
        self._replace(new=self.old, old=self.new).apply(root)

    def unlock(self, root: Root) -> None:
        """As `SetFlags.unlock`."""
        with suppress(FileNotFoundError, NotADirectoryError):
            flags.unlock(root.directory(self.path))

    def locks(self, root: Root) -> bool:
        """As `SetFlags.locks`."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return any(flags.get(root.directory(one)) & flags.LOCKS for one in (self.new, self.old))
        return False


class SetMode(NamedTuple):
    """Set the permission bits of the directory at `path`, if one is there; `old` are those that it
    had before. See `permissions`."""

    path: str
    mode: int
    old: int

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,)

    def apply(self, root: Root) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):  # a later step has moved it
            set_mode(*root.parent(self.path), self.mode)

    def revert(self, root: Root) -> None:
        self._replace(mode=self.old, old=self.mode).apply(root)


class SetFlags(NamedTuple):
    """Set the inode flags of the file or directory at `path` if its identity is `inode`; `old` are
    those that it had before. Another one that is there has come, or will go, by other steps."""

    path: str
    inode: int
    flags: int
    old: int

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,)

    def apply(self, root: Root) -> None:
        self._set(root, self.flags)

    def revert(self, root: Root) -> None:
        self._set(root, self.old)

    def unlock(self, root: Root) -> None:
        """Lift its locks: for the time in which other steps are applied again or reverted."""
        self._set(root, self.old & ~flags.LOCKS)

    def locks(self, root: Root) -> bool:
        """Whether it needs the right to set and lift locks."""
        return bool((self.flags | self.old) & flags.LOCKS)

    def _set(self, root: Root, own: int) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):  # another step has moved it
            if root.identity(self.path) != self.inode:
                return
            directory, name = root.parent(self.path)
            with flags.opened(name, directory) as fd:
                # all subvolumes have one inode: their identity is another number
                if fd is not None and (self.inode < 0 or os.fstat(fd).st_ino == self.inode):
                    flags.put(fd, own)


class SetTimes(NamedTuple):
    """Set atime and mtime, in ns, since renames change those of a directory."""

    path: str
    accessed: int
    modified: int
    old_accessed: int
    old_modified: int

    @classmethod
    def between(cls, path: str, new: os.stat_result, old: os.stat_result) -> SetTimes:
        times = (new.st_atime_ns, new.st_mtime_ns, old.st_atime_ns, old.st_mtime_ns)
        return cls(path, *times)

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,)

    def apply(self, root: Root) -> None:
        self._set(root, self.accessed, self.modified)

    def revert(self, root: Root) -> None:
        with suppress(FileNotFoundError):  # it existed only for the verb
            self._set(root, self.old_accessed, self.old_modified)

    def _set(self, root: Root, *times: int) -> None:
        directory, name = root.parent(self.path)
        os.utime(name, ns=(times[0], times[1]), dir_fd=directory, follow_symlinks=False)


class Delete(NamedTuple):
    """Delete a tree or a file that only the verb needed, if it exists."""

    source: str

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.source,)

    def apply(self, root: Root) -> None:
        """An error is ignored, and reverts nothing: the next verb deletes what is left."""
        with suppress(OSError):
            root.delete(self.source)

    def revert(self, root: Root) -> None:
        """Does nothing: only the verb needed the tree."""


class Refill(NamedTuple):
    """Make the tree at `live` equal to the frozen one, and keep nothing of what differs; see
    `Mover.refill`. The only step that copies: it may take long, and needs the room that it has
    freed. It can't be reverted, so no step that can be is in the same journal."""

    frozen: str
    live: str
    index_file: str
    aside: str

    @property
    def paths(self) -> tuple[str, ...]:
        return self.frozen, self.live

    def apply(self, root: Root) -> None:
        root.refill(self.frozen, self.live, self.index_file, self.aside)

    def revert(self, root: Root) -> None:
        """Never called: a journal with this step is completed, or stays."""
        raise OSError(errno.EPERM, "what was discarded can't be restored", self.live)


Step = Exchange | Move | SetAttributes | SetFlags | SetMode | SetTimes | Delete | Refill

_KINDS: dict[str, type[Step]] = {
    "exchange": Exchange,
    "move": Move,
    "attributes": SetAttributes,
    "flags": SetFlags,
    "mode": SetMode,
    "times": SetTimes,
    "delete": Delete,
    "refill": Refill,
}
_FORMAT_1: dict[str, type[Step]] = {"dress": SetAttributes, "discard": Delete}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Replayer:
    """Applies the steps of one journal below `root`, or reverts them."""

    def __init__(self, root: Path, mover: Mover) -> None:
        self._root = Root(root, mover)

    def __enter__(self) -> Replayer:
        return self

    def __exit__(self, *error: object) -> None:
        self._root.close()

    def apply(self, step: Step) -> None:
        """Apply a step, unless it was applied before."""
        try:
            step.apply(self._root)
        except OSError as error:
            error.filename = f"{self._root.path}/{_subject(step)}"
            raise
        if not self._root.filesystem:
            self._sync([step])

    def unlock(self, steps: list[Step]) -> None:
        """Lift the locks that steps have set which are to be applied again: the steps before them
        may rename the same files, or set their times."""
        for step in steps:
            if isinstance(step, SetFlags | SetAttributes):
                step.unlock(self._root)

    def may_apply(self, steps: list[Step]) -> bool:
        """Whether this process has the right that the steps need: a journal that another one has
        left may set or lift locks. Without it they could be neither applied nor reverted."""
        flagged = [step for step in steps if isinstance(step, SetFlags | SetAttributes)]
        return not flagged or flags.may_lock() or not any(one.locks(self._root) for one in flagged)

    def sync(self, steps: list[Step]) -> None:
        """Make all steps durable, by syncing directories. Only names and attributes have changed:
        syncing the whole file system would also write out the files that the verb has discarded."""
        if self._root.filesystem:
            self._sync(steps[-1:] if self._root.filesystem in ONE_LOG else steps)

    def left(self, steps: list[Step]) -> list[Step]:
        """The steps that may still have to be applied: all after the last one that was certainly
        applied, because its source, a file of dvol's own, no longer exists. Names change in order,
        so all steps before that one were applied too; and they can't be applied again once the
        directory in which their files were staged has moved."""
        for at in range(len(steps), 0, -1):
            step = steps[at - 1]
            own = isinstance(step, Move | Delete) and OWN in step.source.split("/")[:2]
            if own and not self._exists(step.paths[0]):
                return steps[at:]
        return steps

    def _exists(self, source: str) -> bool:
        """Also while an exchange by renames, an earlier step, is half done."""
        return self._root.exists(source) or self._root.exists(aside(source))

    def revert(self, steps: list[Step]) -> bool:
        """Revert those of `steps` that were applied, by any process, so that nothing has happened.

        A step that can't be reverted is left as it is; False then.
        """
        complete = True
        for undo in _undoings(steps):
            try:
                undo(self._root)
            except (OSError, Corrupt):
                complete = False
        return complete

    def _sync(self, steps: Iterable[Step]) -> None:
        paths = [path for step in steps for path in step.paths]
        for path in dict.fromkeys(path.rpartition("/")[0] for path in paths):
            # a directory that does not exist was moved by a later step
            with named(f"{self._root.path}/{path}"), suppress(FileNotFoundError):
                os.fsync(self._root.directory(path))


def _undoings(steps: list[Step]) -> Iterator[Callable[[Root], None]]:
    """What reverts the steps, in this order: locks are lifted, names change back, then attributes,
    since renames change the times of directories, and what was locked is locked again."""
    flagged = [step for step in steps if isinstance(step, SetFlags)]
    locking = [step for step in steps if isinstance(step, SetFlags | SetAttributes)]
    attributes = [step for step in steps if isinstance(step, SetAttributes | SetTimes)]
    names = [step for step in steps if not isinstance(step, SetFlags | SetAttributes | SetTimes)]
    yield from (step.unlock for step in locking)
    yield from (step.revert for step in names[::-1] + attributes[::-1] + flagged[::-1])


def _subject(step: Step) -> str:
    """The path that an error of a step is about: one outside dvol's own directories, if there is
    one."""
    outside = [path for path in step.paths if OWN not in path.split("/")[:2]]
    return (outside or step.paths)[-1]


def put_document(root: Path, staged: Path, live: Path) -> Step:
    """The step that puts a staged document in the place of the live one: an exchange, which can be
    reverted, or a move if none is live."""
    new, path = (str(each.relative_to(root)) for each in (staged, live))
    try:
        old = os.lstat(live).st_ino
    except FileNotFoundError:
        return Move(new, path)
    return Exchange(new, path, os.lstat(staged).st_ino, old)


def relative(step: Step, root: Path) -> Step:
    """The step, which has absolute paths, with paths relative to `root`, as the journal has
    them."""
    kind: Any = type(step)
    prefix = f"{root}/"
    moved: Step = kind(
        *(field.removeprefix(prefix) if isinstance(field, str) else field for field in step)
    )
    return moved


def encode(step: Step) -> list[Any]:
    """A step as the journal stores it."""
    return [_NAMES[type(step)], *step]


def decode(document: Any) -> Step:
    """The step that was stored. ValueError for anything that is unknown, incomplete, or outside the
    root: recovery moves and deletes only files of dvol's own."""
    if not isinstance(document, list) or not document:
        raise ValueError("it is no list")
    name, *fields = document
    kind: Any = (_KINDS | _FORMAT_1).get(str(name))
    if kind is None or len(fields) != len(kind._fields):
        raise ValueError(f"it is no step: {name}")
    if not all(map(_fits, fields, get_type_hints(kind).values())):
        raise ValueError(f"a field of a step '{name}' is not what it must be")
    step: Step = kind(*fields)
    if isinstance(step, SetMode) and not all(0 <= one <= 0o7777 for one in step[1:]):
        raise ValueError("a mode has other bits than those of permissions")
    if isinstance(step, SetFlags) and any(one & ~flags.KEPT for one in (step.flags, step.old)):
        raise ValueError("there are other inode flags than those that are kept")
    return step


def _fits(field: Any, kind: type) -> bool:
    if kind is int:
        return is_number(field)
    return is_word(field) and field != "" and is_beneath(field)
