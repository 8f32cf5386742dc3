"""Short calls of the verbs, mostly on the volume `v`, and the names that every verb refuses."""

from pathlib import Path

from dvol.engine import Engine
from dvol.model import Commit

ANN = "Ann <ann@example.org>"
BAD_NAMES = {
    "empty": "",
    "dot": ".",
    "dots": "..",
    "own": ".dvol",
    "slash": "a/b",
    "climbing": "../outside",
    "absolute": "/etc",
    "newline": "a\nb",
    "NUL": "a\0b",
    "space": "a b",
    "300": "x" * 300,
    "not UTF-8": "a\udcff",
}


def commit(engine: Engine, message: str = "a state", volume: str = "v") -> Commit:
    return engine.commit(volume, message, ANN)


def state(tree: Path, content: str) -> None:
    """Make the tree hold one file, as a program in a container would."""
    (tree / "file").write_text(content)


def content(tree: Path) -> str:
    return (tree / "file").read_text()


def messages(engine: Engine, volume: str = "v", revision: str = "HEAD") -> list[str]:
    return [one.message for one in engine.log(volume, revision)]


def names(engine: Engine) -> list[str]:
    return [volume.name for volume in engine.volumes()]
