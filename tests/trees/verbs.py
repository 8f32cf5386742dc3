"""The verbs at random, each with what it makes of the model by the promise of `dvol.engine`.

A function makes its choice, and returns what is to be called and what the model becomes; nothing
if the verb would be refused now.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from dvol.engine.local import LocalEngine
from tests.contract.verbs import ANN
from tests.trees.world import UNDO, VOLUME, Kept, Model, State, World

BRANCHES = ("master", "a", "b", "c")


class Verb(NamedTuple):
    """`call` is made with an engine; `after` changes the model, given what the call returned."""

    told: str
    call: Callable[[LocalEngine], Any]
    after: Callable[[Any], object]


Choose = Callable[[World, Random], Verb | None]


def nothing(returned: Any) -> None:
    """The model stays."""


def commit(world: World, rng: Random) -> Verb:
    full = rng.randrange(5) == 0
    call = lambda engine: engine.commit(VOLUME, "x", ANN, full=full)  # noqa: E731
    return Verb(f"commit full={full}", call, lambda made: _committed(world.model, made.id))


def _committed(model: Model, id: str) -> None:
    line = (*model.state.line, id)
    model.state.line = line
    model.commits[id], model.histories[id] = model.state.tree, line


def reset(world: World, rng: Random) -> Verb | None:
    """To any commit that exists, or to the newest."""
    model, discard = world.model, rng.randrange(4) == 0
    if not model.state.line:
        return None
    id = rng.choice([*model.commits, model.state.line[-1], model.state.line[-1]])
    to = State(model.histories[id], model.commits[id])
    call = lambda engine: engine.reset(VOLUME, id, discard)  # noqa: E731
    told = f"reset discard={discard} to commit {[*model.commits].index(id)}"
    return Verb(told, call, lambda _: _became(world, to, discard))


def undo(world: World, rng: Random) -> Verb | None:
    found = world.model.to_undo()
    if not found:
        return None
    count = rng.randint(1, min(3, len(found)))
    to = found[-count].state
    assert to is not None
    return Verb(
        f"undo {count}", lambda engine: engine.undo(VOLUME, count), lambda _: _became(world, to)
    )


def _became(world: World, to: State, discarded: bool = False) -> None:
    """The current branch became so; the state before is in a new entry, if there is one."""
    model = world.model
    before = model.state
    model.branches[model.current] = replace(to)
    new = world.learn_entries(before)
    if discarded:
        assert not new, "an undo entry was made"
    elif before != to:
        assert new, "no undo entry was made"


def branch(world: World, rng: Random) -> Verb | None:
    model, name = world.model, _new_name(world.model, rng)
    if not name or not model.state.line:
        return None
    id = rng.choice([*model.commits])

    def after(_: Any) -> None:
        model.branches[name] = State(model.histories[id], model.commits[id])
        model.current = name

    told = f"checkout -b {name} from commit {[*model.commits].index(id)}"
    return Verb(told, lambda engine: engine.branch(VOLUME, name, id), after)


def checkout(world: World, rng: Random) -> Verb:
    name = rng.choice(sorted(world.model.branches))

    def after(_: Any) -> None:
        world.model.current = name

    return Verb(f"checkout {name}", lambda engine: engine.checkout(VOLUME, name), after)


def stash(world: World, rng: Random) -> Verb | None:
    """The new branch gets the live tree, and the current one its last commit."""
    model, name = world.model, _new_name(world.model, rng)
    if not name or not model.state.line:
        return None

    def after(made: Any) -> None:
        id, tree, line = made[VOLUME].id, model.state.tree, model.state.line
        model.branches[name] = State(line, tree)
        model.state.tree = model.commits[line[-1]]
        was, model.current = model.current, name
        _committed(model, id)
        model.current = was

    return Verb(f"stash {name}", lambda engine: engine.stash([VOLUME], name, "x", ANN), after)


def delete_branch(world: World, rng: Random) -> Verb | None:
    model = world.model
    others = sorted(model.branches.keys() - {model.current})
    if not others:
        return None
    name = rng.choice(others)
    call = lambda engine: engine.delete_branch(VOLUME, name)  # noqa: E731
    return Verb(f"branch -d {name}", call, lambda _: world.learn_entries(model.branches.pop(name)))


def restore(world: World, rng: Random) -> Verb | None:
    """A deleted branch, or the state before a reset, as a branch."""
    model = world.model
    name, found = _new_name(model, rng), model.restorable("branch -d", *UNDO)
    if not name or not found:
        return None
    kept = rng.choice(found)
    call = lambda engine: engine.restore(kept.fact.entry, name)  # noqa: E731
    return Verb(f"restore {kept.fact.verb} as {name}", call, lambda _: _restored(world, kept, name))


def _restored(world: World, kept: Kept, name: str) -> None:
    assert kept.state is not None
    world.model.branches[name] = replace(kept.state)
    world.learn_entries(None)


def remove_and_restore(world: World, rng: Random) -> Verb:
    def call(engine: LocalEngine) -> None:
        engine.rm(VOLUME)
        engine.restore(VOLUME)

    return Verb("rm and restore", call, lambda _: world.learn_entries(None))


def gc(world: World, rng: Random) -> Verb:
    """All that is discarded, or what is past its time, which is nothing."""
    now = rng.randrange(3) == 0

    def after(_: Any) -> None:
        kept = len(world.model.entries)
        world.learn_entries(None)
        assert len(world.model.entries) == (0 if now else kept), "gc has left or deleted entries"
        world.forget_deleted()

    return Verb(f"gc now={now}", lambda engine: engine.gc(now=now), after)


def gc_entry(world: World, rng: Random) -> Verb | None:
    found = [*world.model.entries]
    if not found:
        return None
    id = rng.choice(found)

    def after(_: Any) -> None:
        world.learn_entries(None)
        assert id not in world.model.entries, "gc has left the entry"
        world.forget_deleted()

    return Verb("gc of an entry", lambda engine: engine.gc(entry=id), after)


def fsck(world: World, rng: Random) -> Verb:
    data = bool(rng.randrange(2))
    return Verb(f"fsck data={data}", lambda engine: _sound(engine.fsck(data=data)), nothing)


def _sound(findings: list[Any]) -> None:
    assert not findings, f"fsck: {findings}"


def _new_name(model: Model, rng: Random) -> str:
    free = sorted({*BRANCHES} - model.branches.keys())
    return rng.choice(free) if free else ""


# how often each is tried, in proportion
WEIGHTS: dict[Choose, int] = {
    commit: 10, reset: 9, undo: 4, branch: 3, checkout: 3, stash: 1, delete_branch: 3, restore: 3,
    remove_and_restore: 1, gc: 2, gc_entry: 1, fsck: 2,
}  # fmt: skip
