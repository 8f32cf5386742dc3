"""A volume of the model, and what is on disk of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

NEW = "a commit that nobody knows yet"
KEPT = 10  # discarded states of a branch


class Branch(NamedTuple):
    """The content of a branch's file, and the ids of its commits, oldest first."""

    file: str = ""
    line: tuple[str, ...] = ()


class Seen(NamedTuple):
    """A volume as it is seen."""

    current: str = "master"
    branches: dict[str, Branch] = {"master": Branch()}  # never changed

    @property
    def branch(self) -> Branch:
        return self.branches[self.current]

    def but(self, name: str, branch: Branch) -> Seen:
        """The same, with this branch as the current one."""
        return Seen(name, self.branches | {name: branch})

    def masked(self, known: dict[str, Made]) -> Seen:
        """The same, with NEW for the id of each commit that is not known."""
        lines = {
            name: Branch(one.file, tuple(id if id in known else NEW for id in one.line))
            for name, one in self.branches.items()
        }
        return Seen(self.current, lines)


class Made(NamedTuple):
    """What a commit holds: the file, the two numbers of each counting container (None for a file
    that is not there), and how its writers were suspended."""

    file: str
    numbers: dict[str, tuple[int | None, int | None]]
    state: str


@dataclass
class Volume:
    """A volume as it must be. `undo` has what the entries of each branch hold, by number."""

    path: Path
    seen: Seen = field(default_factory=Seen)
    commits: dict[str, Made] = field(default_factory=dict)
    undo: dict[str, dict[int, Branch]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def newest(self) -> Branch | None:
        """What an undo would restore."""
        entries = self.undo.get(self.seen.current)
        return entries[max(entries)] if entries else None

    def tree(self) -> Path:
        return self.path / "branches" / self.seen.current

    def look(self) -> Seen:
        """What is on disk now."""
        document = self.path / "current_branch.json"
        current = json.loads(document.read_text())["current_branch"] if document.exists() else ""
        trees = [one for one in (self.path / "branches").iterdir() if one.is_dir()]
        found = {one.name: Branch(first_line(one / "file"), self._line(one)) for one in trees}
        return Seen(current or "master", found)

    def made(self, id: str) -> Made:
        """What a commit holds."""
        tree = self.path / "commits" / id
        listed = [one for line in self._lists() for one in line if one["id"] == id]
        return Made(first_line(tree / "file"), numbers(tree), listed[0].get("state", ""))

    def entries(self, branch: str) -> set[int]:
        """The numbers of the undo entries of a branch."""
        place = self.path / ".dvol/undo" / branch
        found = place.iterdir() if place.is_dir() else ()
        return {int(one.name) for one in found if one.name.isdigit()}

    def recorded(self) -> set[str]:
        """The names of the containers that are recorded as suspended."""
        try:
            document = json.loads((self.path / ".dvol/suspended.json").read_text())
        except FileNotFoundError:
            return set()
        return {one["name"].removeprefix("/") for one in document["containers"]}

    def _line(self, tree: Path) -> tuple[str, ...]:
        document = tree.with_name(f"{tree.name}.json")
        return (
            tuple(one["id"] for one in json.loads(document.read_text()))
            if document.exists()
            else ()
        )

    def _lists(self) -> list[list[dict[str, str]]]:
        return [json.loads(one.read_text()) for one in (self.path / "branches").glob("*.json")]


def numbers(tree: Path) -> dict[str, tuple[int | None, int | None]]:
    """The two numbers of each container that counts in a tree."""
    names = {one.stem for one in tree.iterdir() if one.suffix in (".a", ".b")}
    return {name: (_number(tree / f"{name}.a"), _number(tree / f"{name}.b")) for name in names}


def first_line(file: Path) -> str:
    """Empty where there is no such file, or an empty one."""
    try:
        return file.read_text().partition("\n")[0]
    except FileNotFoundError:
        return ""


def _number(file: Path) -> int | None:
    text = first_line(file)
    return int(text) if text else None
