"""What commits record about who wrote the data, and of which version it is.

The rules are in `containers.provenance`; a data's version is read by `tree.data_version`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dvol.engine.quiesce import Quiesce
from dvol.model import Commit, Writer
from dvol.tree.data_version import data_versions


def writers(quiesce: Quiesce, volumes: Sequence[str]) -> dict[str, tuple[Writer, ...]]:
    """The containers that have each volume writable, as a commit records them. Docker is asked once
    more, for the digests of their images: call it when they run again."""
    if not quiesce.found:
        return {}
    from dvol.containers.provenance import image_ids, writers_of

    digests = quiesce.session.containers.digests(image_ids(quiesce.found, volumes))
    return {volume: writers_of(volume, quiesce.found, digests) for volume in volumes}


def recorded(commit: Commit, tree: Path, by: Sequence[Writer]) -> Commit:
    """The commit with its writers, and with what the files of its frozen tree say."""
    data = ", ".join(map(str, data_versions(tree)))
    return commit._replace(data=data, writers=tuple(by))
