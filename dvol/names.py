"""What a volume and a branch may be called. Pure rules; no disk.

Names come from strangers and become path components: Docker itself checks no volume name for a
plugin, so `../../evil` does arrive here. Names of new things have Docker's own alphabet. Pools
of the original dvol may hold odder ones; these stay usable where they are a single harmless
path component (`is_component`).
"""

from __future__ import annotations

import re

from dvol.errors import InvalidName, ReservedName

LONGEST = 200  # bytes; leaves room in a 255-byte path component for suffixes such as ".json"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
POOL_FILES = {"current_volume.json", "config.yml", "lost+found"}


def check_volume(name: str) -> None:
    """Refuse what a new volume may not be called."""
    _check(name, "volume")
    if name in POOL_FILES:
        raise ReservedName(name, "volume")


def check_branch(name: str) -> None:
    """Refuse what a new branch may not be called.

    `x.json` would collide with the list of a branch `x`, and `HEAD` is a revision.
    """
    _check(name, "branch")
    if name == "HEAD" or name.endswith(".json"):
        raise ReservedName(name, "branch")


def is_component(name: str) -> bool:
    """Whether `name` is one path component that can only lead to a visible entry right here."""
    try:
        size = len(name.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        return False
    return 0 < size <= 255 and not name.startswith(".") and not {"/", "\0", "\n"} & set(name)


def _check(name: str, noun: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidName(name or "''", noun, "")
    if len(name) > LONGEST:
        raise InvalidName(name[:20] + "...", noun, f", {LONGEST} at most")
