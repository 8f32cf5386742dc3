"""What the package in the zip answered of the pools in the image: `expected.json`.

Of trees that are alike one is kept, by the digest that stands wherever the tree was.
"""

import json
from typing import Any

from tests.contract.earlier.answers import digest
from tests.contract.earlier.images import HERE

FILE = HERE / "expected.json"


def keep(answers: dict[str, Any]) -> None:
    """Write the answers, by pool and question; a line for each answer and each tree."""
    trees: dict[str, Any] = {}
    pools = _folded(answers, trees)
    lines = [f"{json.dumps(pool)}: {_lines(answers)}" for pool, answers in pools.items()]
    document = '{"trees": ' + _lines(trees) + ',\n"pools": {\n' + ",\n".join(lines) + "\n}}\n"
    FILE.write_text(document)


def expected() -> dict[str, Any]:
    """The answers, by pool and question, as they were."""
    document = json.loads(FILE.read_text())
    return _unfolded(document["pools"], document["trees"])


def _lines(mapping: dict[str, Any]) -> str:
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in mapping.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def _folded(answer: Any, trees: dict[str, Any]) -> Any:
    if isinstance(answer, list):
        return [_folded(one, trees) for one in answer]
    if not isinstance(answer, dict):
        return answer
    folded = {key: _folded(one, trees) for key, one in answer.items()}
    if "tree" in folded:
        folded["tree"] = digest(answer["tree"])
        trees[folded["tree"]] = answer["tree"]
    return folded


def _unfolded(answer: Any, trees: dict[str, Any]) -> Any:
    if isinstance(answer, list):
        return [_unfolded(one, trees) for one in answer]
    if not isinstance(answer, dict):
        return answer
    whole = {key: _unfolded(one, trees) for key, one in answer.items()}
    return whole | {"tree": trees[answer["tree"]]} if "tree" in answer else whole
