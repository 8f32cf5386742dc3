"""What is in a pool, as one can see it: by the engine's own verbs, and the files by looking."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from dvol.engine.local import LocalEngine
from dvol.model import Branch as Listed
from dvol.model import Commit

NEW = "a commit that nobody knows yet"
Files = tuple[tuple[str, str], ...]  # names and contents, by name
EMPTY: Files = ()


class Branch(NamedTuple):
    """The ids of a branch's commits, oldest first, and the files of its live tree."""

    line: tuple[str, ...] = ()
    files: Files = EMPTY


@dataclass
class Seen:
    """A volume as it is seen: its branches, which is current, and the commit of each tag."""

    branches: dict[str, Branch] = field(default_factory=lambda: {"master": Branch()})
    current: str = "master"
    tags: dict[str, str] = field(default_factory=dict)

    def but(self, **branches: Branch) -> "Seen":
        """The same, with these branches."""
        return replace(self, branches=self.branches | branches)

    @property
    def branch(self) -> Branch:
        return self.branches[self.current]

    def with_current(self, branch: Branch) -> "Seen":
        return self.but(**{self.current: branch})

    def masked(self, known: set[str]) -> "Seen":
        """The same, with NEW for the id of each commit that is not `known`."""
        branches = {
            name: Branch(tuple(id if id in known else NEW for id in branch.line), branch.files)
            for name, branch in self.branches.items()
        }
        return replace(self, branches=branches)

    def listed(self) -> set[str]:
        return {id for branch in self.branches.values() for id in branch.line}


Pool = dict[str, Seen]  # by the names of the volumes


def seen(root: Path) -> Pool:
    """All volumes, as a fresh process sees them."""
    engine = LocalEngine(root)
    return {volume.name: _volume(engine, root, volume.name) for volume in engine.volumes()}


def _volume(engine: LocalEngine, root: Path, name: str) -> Seen:
    found = Seen({}, tags={tag.name: tag.commit for tag in engine.tags(name)})
    for branch in engine.branches(name):
        line = tuple(one.id for one in reversed(log(engine, name, branch)))
        files = files_in(root / name / "branches" / branch.name)
        found.branches[branch.name] = Branch(line, files)
        if branch.current:
            found.current = branch.name
    return found


def log(engine: LocalEngine, volume: str, branch: Listed) -> list[Commit]:
    return engine.log(volume, branch.name) if branch.head else []


def masked(pool: Pool, known: set[str]) -> Pool:
    """The same, with NEW for the id of each commit that is not `known`."""
    return {name: volume.masked(known) for name, volume in pool.items()}


def files_in(tree: Path) -> Files:
    """The files of a small, flat tree; raises FileNotFoundError if there is none."""
    return tuple((name, (tree / name).read_text()) for name in sorted(os.listdir(tree)))


def write(tree: Path, files: Files) -> None:
    """Make a live tree hold these files, as programs would: in place where a file is there."""
    for name in set(os.listdir(tree)) - {name for name, _ in files}:
        (tree / name).unlink()
    for name, text in files:
        (tree / name).write_text(text)
