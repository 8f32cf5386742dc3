"""A volume beside its model, which knows what every tree of it must be."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from dvol.engine.local import LocalEngine
from dvol.model import Discarded
from tests.trees.changes import ChangingTree
from tests.trees.description import Described, description, differences, without_flags

VOLUME = "v"
UNDO = ("reset", "undo")  # the verbs whose entries are states before them
LOOKED_AT = 2  # frozen trees after each verb, in turn
MOST_LINES = 40  # that a mismatch is told in

Line = tuple[str, ...]  # the ids of a history, oldest first


@dataclass
class State:
    """A branch: its history, and what its live tree is."""

    line: Line
    tree: Described


@dataclass
class Kept:
    """An entry that can be restored, and the state in it; none for a whole volume."""

    fact: Discarded
    state: State | None


@dataclass
class Model:
    """What must be in the volume. `commits` and `histories` are by id, `entries` oldest first."""

    branches: dict[str, State]
    current: str = "master"
    commits: dict[str, Described] = field(default_factory=dict)
    histories: dict[str, Line] = field(default_factory=dict)
    entries: dict[str, Kept] = field(default_factory=dict)

    @property
    def state(self) -> State:
        return self.branches[self.current]

    def restorable(self, *verbs: str) -> list[Kept]:
        return [kept for kept in self.entries.values() if kept.fact.verb in verbs]

    def to_undo(self) -> list[Kept]:
        """The undo entries of the current branch, oldest first."""
        return [one for one in self.restorable(*UNDO) if one.fact.branch == self.current]

    def needed(self) -> set[str]:
        """The commits that must exist, whatever gc deletes."""
        states = [*self.branches.values()]
        states += [kept.state for kept in self.entries.values() if kept.state]
        return {id for state in states for id in state.line}


class World:
    """The pool at `root`, which is made anew."""

    def __init__(self, root: Path, rng: Random) -> None:
        self.root, self.rng = root, rng
        self.counts: Counter[str] = Counter()
        self.hidden: dict[str, Kept] = {}  # entries that lie in the trash with their branch
        self.engine.init(VOLUME)
        self.model = Model({"master": State((), description(self.live("master")))})
        self._turn = 0

    @property
    def engine(self) -> LocalEngine:
        """A fresh one, as each command has."""
        return LocalEngine(self.root)

    def live(self, branch: str) -> Path:
        return self.root / VOLUME / "branches" / branch

    def frozen(self, id: str) -> Path:
        return self.root / VOLUME / "commits" / id

    def change(self, number: int) -> None:
        """Make so many changes to the live tree of the current branch, and look at it."""
        tree = ChangingTree(self.rng, self.live(self.model.current))
        self.counts.update(tree.change() for _ in range(number))
        if number:
            self.model.state.tree = description(self.live(self.model.current))

    # -- what a verb has left ----------------------------------------------------------------------

    def learn_entries(self, before: State | None) -> bool:
        """The entries that there are now. If one of them is new, it is of the state `before`;
        returns whether one is."""
        facts = {one.entry: one for one in self.engine.discarded()}
        known = self.hidden | self.model.entries
        self.hidden = {id: kept for id, kept in known.items() if id not in facts}
        self.model.entries = {
            id: Kept(facts[id], kept.state) for id, kept in known.items() if id in facts
        }
        new = [one for id, one in facts.items() if id not in known]
        assert len(new) <= 1, f"entries: {new}"
        self.model.entries |= {one.entry: Kept(one, before) for one in new}
        return bool(new)

    def mismatches(self) -> list[str]:
        """What differs from the model: lists, live trees, and a few frozen trees."""
        self._turn += LOOKED_AT
        ids = sorted(self.model.needed(), key=[*self.model.commits].index)
        looked_at = {ids[(self._turn + by) % len(ids)] for by in range(LOOKED_AT if ids else 0)}
        return [*self._lists(), *self._live_trees(), *self.frozen_trees(looked_at)]

    def _lists(self) -> list[str]:
        branches = self.engine.branches(VOLUME)
        found = {one.name: (self._log(one.name) if one.head else ()) for one in branches}
        wanted = {name: state.line for name, state in self.model.branches.items()}
        [current] = [one.name for one in branches if one.current]
        told = [] if found == wanted else [f"lists {found}, wanted {wanted}"]
        return told if current == self.model.current else [*told, f"{current} is current"]

    def _log(self, revision: str) -> Line:
        return tuple(one.id for one in reversed(self.engine.log(VOLUME, revision)))

    def _live_trees(self) -> list[str]:
        return [
            f"{name}: {line}"
            for name, state in self.model.branches.items()
            for line in differences(description(self.live(name)), state.tree)
        ]

    def frozen_trees(self, ids: Iterable[str]) -> list[str]:
        """What differs in the frozen trees of these commits."""
        return [
            f"commit {id[:7]}: {line}"
            for id in ids
            for line in differences(
                without_flags(description(self.frozen(id))), without_flags(self.model.commits[id])
            )
        ]

    def forget_deleted(self) -> None:
        """Of the commits that nothing needs, gc may have deleted some."""
        needed = self.model.needed()
        gone = [id for id in self.model.commits if not self.frozen(id).exists()]
        assert needed.isdisjoint(gone), f"gc has deleted {needed & {*gone}}"
        for id in gone:
            del self.model.commits[id], self.model.histories[id]
