"""A walk: verbs and changes at random in a pool of its own, which must stay equal to the model."""

from collections import Counter
from pathlib import Path
from random import Random

from dvol.errors import DvolError
from tests.trees.verbs import WEIGHTS, Verb, commit
from tests.trees.world import MOST_LINES, VOLUME, World

FIRST, MOST = 60, 12  # changes before the first commit, and between two verbs
EVERY = 25  # verbs after which all commits are looked at


def walk(pool: Path, seed: int, rounds: int) -> Counter[str]:
    """Make so many verbs; returns how often each change and each verb was made.

    Raises AssertionError with the seed, the number of the verb and the entries that differ.
    """
    rng = Random(seed)
    world = World(pool, rng)
    world.change(FIRST)
    for number in range(rounds):
        told = "a change"
        try:
            world.change(rng.choice([0, rng.randint(1, MOST)]) if number else 0)
            verb = _chosen(world, rng) if number else commit(world, rng)
            told = verb.told
            verb.after(verb.call(world.engine))
            world.counts[f"verb {told.split()[0]}"] += 1
            found = world.mismatches()
            if number % EVERY == EVERY - 1 or number == rounds - 1:
                found += world.frozen_trees(world.model.commits)
                found += [str(one) for one in world.engine.fsck(VOLUME)]
            assert not found, _lines(found)
        except (AssertionError, DvolError, OSError) as error:
            where = f"SEED={seed} verb {number + 1}, {told}, on {world.model.current}"
            raise AssertionError(f"{where}: {error or type(error).__name__}") from error
    return world.counts


def _chosen(world: World, rng: Random) -> Verb:
    while True:
        [choose] = rng.choices([*WEIGHTS], [*WEIGHTS.values()])
        if verb := choose(world, rng):
            return verb


def _lines(found: list[str]) -> str:
    more = [f"and {len(found) - MOST_LINES} more"] if len(found) > MOST_LINES else []
    return "\n".join(["", *found[:MOST_LINES], *more])
