"""Whatever entries a tree has, verbs at random leave it, and every commit of it, as the model says:
byte for byte, attribute for attribute, link for link.

Without `--rounds N` it is a short walk, the same choices each time. The seed is printed; SEED=N
repeats a walk.
"""

import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.trees.walk import walk

USUAL, SEED = 80, 20  # verbs of a short walk, and its seed
everywhere = pytest.mark.parametrize(
    "filesystem",
    [pytest.param(kind, marks=pytest.mark.root) for kind in ("ext4", "xfs", "btrfs")],
    indirect=True,
    scope="session",
)
pytestmark = pytest.mark.slow


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--rounds") or USUAL


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    asked = request.config.getoption("--rounds")
    seed = int(os.environ.get("SEED") or (random.randrange(10**6) if asked else SEED))
    print(f"SEED={seed}")
    return seed


@everywhere
def test_trees_of_every_kind_equal_the_model(place: Path, seed: int, rounds: int) -> None:
    print(dict(walk(place / "pool", seed, rounds)))


@everywhere
def test_an_ordinary_users_trees_equal_the_model(
    place: Path, seed: int, rounds: int, nobody: list[str]
) -> None:
    """With the kinds that such a user may make; on btrfs these trees are plain directories."""
    for path in (place, *place.parents):
        path.chmod(path.stat().st_mode | 0o011)
    os.chown(place, 65_534, 65_534)
    words = [*nobody, "-m", "tests.trees", str(place / "pool"), str(seed), str(rounds)]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/")
    print(done.stdout)
    assert not done.returncode, done.stderr[-6000:].rpartition("AssertionError: ")[2]
