"""What holds the room that gc could free, for refusals on a full disk."""

from __future__ import annotations

from collections.abc import Iterable

from dvol.errors import Corrupt
from dvol.history.history import History
from dvol.layout import PoolLayout, VolumeLayout
from dvol.sizes import readable
from dvol.tree.usage import DiskUsage, Usage


def freeable(layout: PoolLayout, volumes: Iterable[str]) -> str:
    """The bytes that deleting the garbage, every entry, and every commit that no branch and no tag
    has would give back, as text: the sum, and what holds the larger part of it; "nothing" if none.
    Where files share blocks, what may be shared with files that stay is named apart."""
    usage, found = DiskUsage(), [layout.volume(name) for name in volumes]
    parts = {
        "removed volumes and branches": usage.add(layout.trash),
        "states before resets": _sum(usage.add(one.undos) for one in found),
        "commits that no branch has": _sum(_dropped(one, usage) for one in found),
        "files being deleted": _sum(map(usage.add, (layout.garbage, layout.format1_garbage))),
    }
    told = [f"{readable(one.alone)} of {name}" for name, one in parts.items() if one.alone]
    alone, shared = _sum(parts.values())
    text = f"{readable(alone)} ({', '.join(told)})" if told else "nothing"
    return f"{text}, and at most {readable(shared)} that files share" if shared else text


def _dropped(volume: VolumeLayout, usage: DiskUsage) -> Usage:
    """The size of the commits that no branch and no tag has."""
    try:
        history = History(volume)
        tagged = {one.id for id in history.tags.values() for one in history.line(id)}
        gone = {one.commit.id for one in history.still_dropped()} - tagged
        return _sum(usage.add(volume.commit(id)) for id in gone)
    except (Corrupt, OSError):
        return Usage(0)


def _sum(usages: Iterable[Usage]) -> Usage:
    found = list(usages)
    return Usage(sum(one.alone for one in found), sum(one.shared for one in found))
