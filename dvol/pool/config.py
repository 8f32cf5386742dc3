"""Settings of a volume, and of the pool for volumes that have no value of their own: as git's
configuration of a repository and of a user.

Here are the keys, their values, and the files; what a setting means is decided where it is used.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from dvol import dates
from dvol.errors import BadDocument, InvalidRequest
from dvol.fs.documents import read_json, replace_json

COMMIT_MODE = "commit.mode"
GC_KEEP = "gc.keep"
GC_AUTO = "gc.auto"
READY_EXEC, READY_PORT = "ready.exec", "ready.port"
FOREVER = "forever"
MODES = ("stop", "pause", "live")
DEFAULTS = {COMMIT_MODE: "stop", GC_KEEP: "30d", GC_AUTO: "on", READY_EXEC: "", READY_PORT: ""}
_CHOICES = {COMMIT_MODE: MODES, GC_AUTO: ("on", "off")}


def check(key: str, value: str | None = None) -> None:
    """Raise InvalidRequest if no setting has that key, or if it can't have that value."""
    if key not in DEFAULTS:
        raise InvalidRequest(f"there is no setting '{key}'; the settings are {', '.join(DEFAULTS)}")
    if value is None or _is_valid(key, value):
        return
    if key == GC_KEEP:
        raise InvalidRequest(f"{key} must be a time such as 30d, 12h or 8w, or {FOREVER}")
    if key == READY_PORT:
        raise InvalidRequest(f"{key} must be a number from 1 to 65535, not '{value}'")
    if key == READY_EXEC:
        raise InvalidRequest(f"{key} must be a command of one line")
    raise InvalidRequest(f"{key} must be one of {', '.join(_CHOICES[key])}, not '{value}'")


def effective(key: str, *files: Path) -> str:
    """The value in the first of `files` that has a valid one, else the default."""
    for path in files:
        value = read(path).get(key)
        if isinstance(value, str) and _is_valid(key, value):
            return value
    return DEFAULTS[key]


def keep(*files: Path) -> timedelta:
    """How long what was dropped or removed is kept: the setting `gc.keep`."""
    value = effective(GC_KEEP, *files)
    return timedelta.max if value == FOREVER else dates.duration(value)


def ready(*files: Path) -> tuple[str, str]:
    """The settings `ready.exec` and `ready.port` of the first of `files` that has one of them; ""
    where that file has not, and so if none has."""
    for path in files:
        found = read(path)
        command, port = (
            value if isinstance(value := found.get(key), str) and _is_valid(key, value) else ""
            for key in (READY_EXEC, READY_PORT)
        )
        if command or port:
            return command, port
    return "", ""


def _is_valid(key: str, value: str) -> bool:
    if key == READY_EXEC:
        return value.isprintable() and bool(value.strip())
    if key == READY_PORT:
        return value.isascii() and value.isdigit() and len(value) < 6 and 0 < int(value) < 65536
    if key != GC_KEEP:
        return value in _CHOICES[key]
    try:
        return value == FOREVER or bool(dates.duration(value))
    except ValueError:
        return False


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
