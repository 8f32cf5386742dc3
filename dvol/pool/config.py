"""Settings of a volume, and of all volumes that have none of their own, as git has them.

What a setting means is known by who asks for it; here are the keys, their values, and the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvol.errors import BadDocument, InvalidRequest
from dvol.fs.durable import read_json, replace_json

COMMIT_MODE = "commit.mode"
VALUES = {COMMIT_MODE: ("stop", "pause", "live")}  # the first is what holds where nobody says


def check(key: str, value: str | None = None) -> None:
    """Refuse a key that no setting has, or a value that it can't have."""
    if key not in VALUES:
        raise InvalidRequest(f"there is no setting '{key}'; there is {', '.join(VALUES)}")
    if value is not None and value not in VALUES[key]:
        raise InvalidRequest(f"{key} is one of {', '.join(VALUES[key])}, not '{value}'")


def effective(key: str, *files: Path) -> str:
    """The value in the first of `files` that has one that is possible, else what holds anyway."""
    for path in files:
        value = read(path).get(key)
        if value in VALUES[key]:
            return str(value)
    return VALUES[key][0]


def read(path: Path) -> dict[str, Any]:
    """All settings in a file, which need not be there."""
    try:
        document = read_json(path)
    except FileNotFoundError:
        return {}
    if not isinstance(document, dict):
        raise BadDocument(str(path), "it holds no settings")
    return document


def change(path: Path, key: str, value: str, staging: Path) -> None:
    """Set a value, or unset it where it is ""; the caller holds the lock of what it is for."""
    settings = {name: said for name, said in read(path).items() if name != key}
    replace_json(path, settings | ({key: value} if value else {}), staging)
