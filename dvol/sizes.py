"""Numbers of bytes as people read them. Pure; no disk."""

from __future__ import annotations


def readable(size: int) -> str:
    """A number of bytes as `1.2 GiB`, below one KiB as `512 B`."""
    if size < 1024:
        return f"{size} B"
    units = iter(("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))
    rest, unit = size / 1024, next(units)
    while round(rest, 1) >= 1024:
        rest, unit = rest / 1024, next(units)
    return f"{rest:.1f} {unit}"
