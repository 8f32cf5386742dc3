"""Make the image of the earlier pools, and what the package in the zip answers of them.

    git archive --format=zip -9 9997c55 dvol > tests/contract/earlier/dvol-format1.zip
    python -m tests.contract.earlier.make

As root, on x86-64, where the tracer of the crash rings runs. Image and answers belong together:
ids of commits are new in each image.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.contract.earlier.answers import ASKED
from tests.contract.earlier.expectations import keep
from tests.contract.earlier.images import HERE, ZIP, bench, copied, made, mounted, pack, trimmed

SOURCE = HERE.parents[2]


def make() -> None:
    """Build the pools, and ask each question of a copy of its own, twice."""
    with bench() as place:
        image = made(place / "format1.img")
        with mounted(image, place / "root") as root:
            earlier("build", str(root))
            trimmed(root)
        answers, again = answered(image), answered(image)
        assert answers == again, "an answer depends on more than the image"
        pack(image)
    keep(answers)


def answered(image: Path) -> dict[str, Any]:
    """Every answer, by pool and question."""
    found: dict[str, Any] = {}
    for question in ASKED:
        with copied(image, question) as root:
            for pool, answer in json.loads(earlier("answer", question, str(root))).items():
                found.setdefault(pool, {})[question] = answer
    return found


def earlier(*words: str) -> str:
    """What `pools` prints, with the package in the zip."""
    path = os.pathsep.join([str(ZIP), str(SOURCE)])
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.earlier.pools", *words],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd="/",
    )
    return done.stdout


if __name__ == "__main__":
    make()
    print(*(f"{path.name}: {path.stat().st_size}" for path in sorted(HERE.iterdir())), sep="\n")
