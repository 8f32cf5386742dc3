"""Backends: how trees are made, frozen and restored, and nothing else.

A backend knows paths. It knows no volume, branch, commit or container, takes no lock and makes
nothing durable: whoever calls it does all of that, once for every backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Properties:
    """What a backend can do, as data."""

    name: str
    atomic_freeze: bool  # freezes one instant, so writers may go on meanwhile


class Backend(Protocol):
    """Four moves on trees. Each target must not exist, and its parent must."""

    properties: Properties

    def create(self, tree: Path) -> None:
        """Make an empty tree, `root:root 0755`, which Docker's copy-up then fills as it likes."""

    def freeze(self, tree: Path, into: Path) -> None:
        """Make `into` equal to `tree`, for good.

        Content, owner, mode, times, extended attributes, links: everything a program could
        see. On an error `into` may be left half made; `delete` takes that too.
        """

    def restore(self, frozen: Path, into: Path) -> None:
        """Make `into` a writable tree equal to the frozen one, sharing nothing that a write
        to it could change."""

    def delete(self, tree: Path) -> None:
        """Delete a tree, a frozen one, a half-made one or a file. Nothing there is no error."""


def choose(pool: Path) -> Backend:
    """The best backend for the file system that `pool` lies on."""
    from dvol.backends.copy import Copy

    return Copy()
