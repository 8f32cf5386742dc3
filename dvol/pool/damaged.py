"""The commits of a volume that fsck has found damaged, in `damaged.json`: {id: {reason, data}}.

No tree is made from a marked commit, and no file of it is linked into a new one, so that damage
does not spread. Only fsck marks a commit and removes a mark; it holds the volume's lock.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dvol.errors import BadDocument, DamagedCommit
from dvol.fs.documents import is_word, read_json, replace_json
from dvol.history.commits import ID
from dvol.layout import VolumeLayout


class Mark(NamedTuple):
    """Why a commit is marked. `data` says that only reading its content shows the damage."""

    reason: str
    data: bool = False


def marks(layout: VolumeLayout) -> dict[str, Mark]:
    """The marked commits by id. Raises BadDocument."""
    try:
        document = read_json(layout.damaged)
    except FileNotFoundError:
        return {}
    if not isinstance(document, dict) or not all(map(_is_mark, document, document.values())):
        raise BadDocument(str(layout.damaged), "it holds no marks of damaged commits")
    return {id: Mark(one["reason"], one.get("data") is True) for id, one in document.items()}


def _is_mark(id: str, mark: Any) -> bool:
    return bool(ID.fullmatch(id)) and isinstance(mark, dict) and is_word(mark.get("reason"))


def set_mark(layout: VolumeLayout, id: str, mark: Mark | None) -> None:
    """Mark a commit durably, or remove its mark. Raises BadDocument."""
    others = {other: old._asdict() for other, old in marks(layout).items() if other != id}
    document = others | ({id: mark._asdict()} if mark else {})
    replace_json(layout.damaged, document, layout.staging)


def require_sound(layout: VolumeLayout, id: str) -> None:
    """Raise DamagedCommit if the commit is marked."""
    mark = marks(layout).get(id)
    if mark:
        data = " --data" if mark.data else ""
        raise DamagedCommit(id[:12], mark.reason, f"dvol fsck --repair{data} {layout.name}")


def may_be_linked(layout: VolumeLayout, id: str) -> bool:
    """Whether a new commit may link files of this one: not if it is marked, or if it is not known
    whether it is."""
    try:
        return id not in marks(layout)
    except BadDocument:
        return False
