"""Which names a volume and a branch may have. Pure rules; no disk.

Names are untrusted and become path components: Docker checks no volume name for a plugin, so
`../../evil` does arrive here. New names have Docker's own alphabet. Pools of the original dvol may
hold other names; these stay usable if they are a single harmless path component (`is_component`).
"""

from __future__ import annotations

import re

from dvol.errors import InvalidName, ReservedName

LONGEST = 200  # bytes; leaves room in a 255-byte path component for suffixes such as ".json"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
POOL_FILES = {"current_volume.json", "config.yml", "lost+found"}


def check_volume(name: str) -> None:
    """Raise InvalidName or ReservedName if no new volume may have that name."""
    _check(name, "volume")
    if name in POOL_FILES:
        raise ReservedName(name, "volume")


def check_branch(name: str) -> None:
    """Raise InvalidName or ReservedName if no new branch may have that name.

    `x.json` would collide with the list of a branch `x`, and `HEAD` is a revision.
    """
    _check(name, "branch")
    if name == "HEAD" or name.endswith(".json"):
        raise ReservedName(name, "branch")


def check_tag(name: str) -> None:
    """Raise InvalidName or ReservedName if no tag may have that name: one that looks like a whole
    id would hide that commit."""
    _check(name, "tag")
    if name == "HEAD" or re.fullmatch("[0-9a-f]{40}", name):
        raise ReservedName(name, "tag")


def is_component(name: str) -> bool:
    """Whether `name` is one path component, and can only be that of a file that is not hidden."""
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
