"""Settings of a volume, and of the pool for volumes that have no value of their own: as git's
configuration of a repository and of a user.

Here are the keys, their values, and the files; what a setting means is decided where it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvol.errors import BadDocument, InvalidRequest
from dvol.fs.documents import read_json, replace_json

COMMIT_MODE = "commit.mode"
VALUES = {COMMIT_MODE: ("stop", "pause", "live")}  # the first is the default


def check(key: str, value: str | None = None) -> None:
    """Raise InvalidRequest if no setting has that key, or if it can't have that value."""
    if key not in VALUES:
        raise InvalidRequest(f"there is no setting '{key}'; the settings are {', '.join(VALUES)}")
    if value is not None and value not in VALUES[key]:
        raise InvalidRequest(f"{key} must be one of {', '.join(VALUES[key])}, not '{value}'")


def effective(key: str, *files: Path) -> str:
    """The value in the first of `files` that has a valid one, else the default."""
    for path in files:
        value = read(path).get(key)
        if value in VALUES[key]:
            return str(value)
    return VALUES[key][0]


def read(path: Path) -> dict[str, Any]:
    """All settings in a file; none if it does not exist. Raises BadDocument."""
    try:
        document = read_json(path)
    except FileNotFoundError:
        return {}
    if not isinstance(document, dict):
        raise BadDocument(str(path), "it holds no settings")
    return document


def change(path: Path, key: str, value: str, staging: Path) -> None:
    """Set a value, or remove it if `value` is "". The caller holds the lock of the volume or the
    pool that the file belongs to."""
    settings = {name: old for name, old in read(path).items() if name != key}
    replace_json(path, settings | ({key: value} if value else {}), staging)
