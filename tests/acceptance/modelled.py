"""What a volume must be before and after a verb. Pure; how it is tried is `load`'s business."""

from __future__ import annotations

import itertools
import random
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.agent import Blocks, content, digest

KEPT = 10  # discarded states of a branch
VERBS = ("write", "commit", "reset", "undo", "branch", "checkout", "delete_branch", "rm", "gc")
FILES = tuple(f"file{n}" for n in range(12))
STAMP = "stamp"
Tree = dict[str, Blocks]
Changed = dict[str, tuple[Blocks, list[int]]]  # see `Agent.write`
History = list[tuple[str, Tree]]  # ids, and the tree that each holds
UNKNOWN = ""  # the id of a commit that nobody has told yet


@dataclass
class Discarded:
    """A state that a reset has set aside; a `gc` may have deleted it since."""

    tree: Tree
    line: History
    sure: bool = True


@dataclass
class Branch:
    tree: Tree = field(default_factory=dict)
    line: History = field(default_factory=list)
    undo: list[Discarded] = field(default_factory=list)

    def put(self, tree: Tree, line: History) -> None:
        """What reset and undo do: nothing at all where nothing differs."""
        if (self.tree, self.line) != (tree, line):
            self.undo = [*self.undo, Discarded(self.tree, self.line)][-KEPT:]
        self.tree, self.line = dict(tree), list(line)


@dataclass
class Volume:
    """Branches and which is current; none at all where the volume does not exist."""

    branches: dict[str, Branch] = field(default_factory=dict)
    current: str = ""
    trash: int = 0  # what rm and branch -d have discarded since the last gc

    @property
    def branch(self) -> Branch:
        return self.branches[self.current]

    def copy(self) -> Volume:
        return deepcopy(self)

    def forget(self) -> None:
        """A `gc` may have deleted all that was discarded until now."""
        self.trash = 0
        for branch in self.branches.values():
            for one in branch.undo:
                one.sure = False

    def after(self, verb: str, arguments: list[Any], answer: Any) -> Volume:
        """What the verb makes of it; the answer is None where it is not known."""
        new = self.copy()
        getattr(new, f"_{verb}")(*arguments, answer=answer)
        return new

    def _init(self, answer: Any) -> None:
        self.branches, self.current = {"master": Branch()}, "master"

    def _rm(self, answer: Any) -> None:
        self.branches, self.current = {}, ""
        self.trash += 1

    def _gc(self, answer: Any) -> None:
        self.forget()

    def _write(self, _branch: str, files: Changed, answer: Any) -> None:
        for name, (blocks, _) in files.items():
            self.branch.tree.pop(name, None)
            if blocks:
                self.branch.tree[name] = blocks

    def _commit(self, answer: Any) -> None:
        self.branch.line.append((answer or UNKNOWN, dict(self.branch.tree)))

    def _reset(self, id: str, answer: Any) -> None:
        for branch in list(self.branches.values()):
            ids = [one for one, _ in branch.line]
            if id in ids:
                line = branch.line[: ids.index(id) + 1]
                self.branch.put(line[-1][1], line)
                return
        raise KeyError(id)

    def _undo(self, answer: Any) -> None:
        if answer is False:
            assert not any(one.sure for one in self.branch.undo), "nothing to undo, it said"
            self.branch.undo = []
        elif self.branch.undo:
            last = self.branch.undo.pop()
            self.branch.put(last.tree, last.line)

    def _branch(self, name: str, answer: Any) -> None:
        line = self.branch.line
        self.branches[name], self.current = Branch(dict(line[-1][1]), list(line)), name

    def _checkout(self, name: str, answer: Any) -> None:
        self.current = name

    def _delete_branch(self, name: str, answer: Any) -> None:
        del self.branches[name]
        self.trash += 1

    def is_left_by(self, id: str) -> bool:
        """Whether a reset to it changes anything. Where nothing differs from a tree that an undo
        has brought back, the copy finds that out; on btrfs the same state may be set aside."""
        after = self.after("reset", [id], None)
        return (after.branch.tree, after.branch.line) != (self.branch.tree, self.branch.line)

    def torn(self, files: Changed, seen: dict[str, Any]) -> Volume:
        """What it is after a write that was cut off: of each file the old blocks or the new ones,
        in place one by one, whichever fits what was seen."""
        new = self.copy()
        held = seen["trees"].get(self.current, {})
        for name, (blocks, places) in files.items():
            old = self.branch.tree.get(name, [])
            for found in _torn(old, blocks, places):
                if held.get(name, "") == (digest(content(name, found)) if found else ""):
                    new.branch.tree.pop(name, None)
                    new.branch.tree |= {name: found} if found else {}
        return new

    def differs(self, seen: dict[str, Any]) -> str:
        """How it differs from what was seen; "" where it does not."""
        if (self.current, set(self.branches)) != (seen["current"], set(seen["lines"])):
            return f"branches: {self.current} of {set(self.branches)}"
        if self.trash > seen["trash"]:
            return f"what can be restored: {self.trash}"
        for name, branch in self.branches.items():
            if hashed(branch.tree) != seen["trees"][name]:
                return f"the live tree of {name}"
            if not _same_ids([id for id, _ in branch.line], seen["lines"][name]):
                return f"the commits of {name}: {[id for id, _ in branch.line]}"
            for (_, tree), id in zip(branch.line, seen["lines"][name], strict=True):
                if hashed(tree) != seen["commits"][id]:
                    return f"the content of commit {id}"
        return ""

    def learn(self, seen: dict[str, Any]) -> None:
        """The ids of commits that nobody had told."""
        for name, branch in self.branches.items():
            trees = [tree for _, tree in branch.line]
            branch.line = list(zip(seen["lines"][name], trees, strict=True))


def hashed(tree: Tree) -> dict[str, str]:
    return {name: digest(content(name, blocks)) for name, blocks in tree.items()}


def chosen(
    volume: Volume, dice: random.Random, count: int, wanted: str = ""
) -> tuple[str, list[Any]]:
    """A verb that a person could now type, and its arguments; `count` makes names new. The one that
    is wanted is likely, where it can be."""
    if not volume.branches:
        return "init", []
    ids = [id for branch in volume.branches.values() for id, _ in branch.line]
    others = [name for name in volume.branches if name != volume.current]
    possible: dict[str, tuple[int, list[Any]]] = {"commit": (20, []), "undo": (8, [])}
    possible["write"] = (30, [volume.current, _changes(volume.branch.tree, dice, count)])
    possible |= {"gc": (2, []), "rm": (2 + len(ids) // 8, [])}
    if away := [id for id in ids if volume.is_left_by(id)]:
        possible["reset"] = (16, [dice.choice(away)])
    if volume.branch.line and len(volume.branches) < 4:
        possible["branch"] = (5, [f"b{count}"])
    if others:
        possible["checkout"] = (8, [dice.choice(others)])
        possible["delete_branch"] = (2, [dice.choice(others)])
    odds = [100 if verb == wanted else few for verb, (few, _) in possible.items()]
    [verb] = dice.choices(list(possible), odds)
    return verb, possible[verb][1]


def _changes(tree: Tree, dice: random.Random, count: int) -> Changed:
    """Some files anew, some overwritten in place, some gone."""
    changes: Changed = {}
    for name in dice.sample(FILES, dice.randint(1, 4)):
        old, luck = tree.get(name, []), dice.random()
        if old and luck < 0.15:
            changes[name] = ([], [])
        elif old and luck < 0.7:
            places = sorted(dice.sample(range(len(old)), dice.randint(1, min(3, len(old)))))
            new = [count if place in places else number for place, number in enumerate(old)]
            changes[name] = (new, places)
        else:
            changes[name] = ([count] * dice.choice((1, 3, 40, 300)), [])
    return changes | {STAMP: ([count], [])}  # a write always makes a difference


def _same_ids(expected: list[str], seen: list[str]) -> bool:
    return len(expected) == len(seen) and all(
        one in (UNKNOWN, other) for one, other in zip(expected, seen, strict=True)
    )


def _torn(old: Blocks, new: Blocks, places: list[int]) -> list[Blocks]:
    """All that a file may be in the midst of a write."""
    if not places:
        return [old, new]
    found = []
    for written in itertools.product((False, True), repeat=len(places)):
        done = {place for place, so in zip(places, written, strict=True) if so}
        found.append([new[n] if n in done else old[n] for n in range(len(old))])
    return found
