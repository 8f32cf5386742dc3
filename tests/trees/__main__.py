"""A walk in this process: `python -m tests.trees POOL SEED VERBS`."""

import sys
from pathlib import Path

from tests.trees.walk import walk

if __name__ == "__main__":
    pool, seed, rounds = sys.argv[1:]
    print(dict(walk(Path(pool), int(seed), int(rounds))))
