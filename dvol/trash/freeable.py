"""What holds the room that gc could free, for refusals on a full disk."""

from __future__ import annotations

from collections.abc import Iterable

from dvol.errors import Corrupt
from dvol.history.history import History
from dvol.layout import PoolLayout, VolumeLayout
from dvol.sizes import readable
from dvol.tree.usage import DiskUsage


def freeable(layout: PoolLayout, volumes: Iterable[str]) -> str:
    """The bytes that deleting the garbage, every entry, and every commit that no branch and no tag
    has would give back, as text: the sum, and what holds the larger part of it."""
    usage, found = DiskUsage(), [layout.volume(name) for name in volumes]
    parts = {
        "removed volumes and branches": usage.add(layout.trash),
        "states before resets": sum(usage.add(one.undos) for one in found),
        "commits that no branch has": sum(_dropped(one, usage) for one in found),
        "files being deleted": usage.add(layout.garbage) + usage.add(layout.format1_garbage),
    }
    total = sum(parts.values())
    told = [f"{readable(size)} of {name}" for name, size in parts.items() if size]
    return f"{readable(total)} ({', '.join(told)})" if told else readable(total)


def _dropped(volume: VolumeLayout, usage: DiskUsage) -> int:
    """The size of the commits that no branch and no tag has."""
    try:
        history = History(volume)
        tagged = {one.id for id in history.tags.values() for one in history.line(id)}
        gone = {one.commit.id for one in history.still_dropped()} - tagged
        return sum(usage.add(volume.commit(id)) for id in gone)
    except (Corrupt, OSError):
        return 0
