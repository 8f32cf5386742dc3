"""What commits record about who wrote the data, and the warning of a verb that puts data under an
image of another version.

The rules are in `containers.provenance`; a data's version is read by `tree.data_version`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dvol.engine.quiesce import Quiesce
from dvol.model import Commit, Writer
from dvol.pool.volume import VolumeDir
from dvol.tree.data_version import DataVersion, data_versions


def digests(quiesce: Quiesce, volumes: Sequence[str]) -> dict[str, list[str]]:
    """The digests of the images of the containers that have the volumes. Docker is asked, and may
    take a second: call it while they run."""
    if not quiesce.found:
        return {}
    from dvol.containers.provenance import image_ids

    return quiesce.session.containers.digests(image_ids(quiesce.found, volumes))


def writers(
    quiesce: Quiesce, volumes: Sequence[str], digests: Mapping[str, list[str]]
) -> dict[str, tuple[Writer, ...]]:
    """The containers that have each volume writable, as a commit records them."""
    if not quiesce.found:
        return {}
    from dvol.containers.provenance import writers_of

    return {volume: writers_of(volume, quiesce.found, digests) for volume in volumes}


def recorded(commit: Commit, tree: Path, by: Sequence[Writer]) -> Commit:
    """The commit with its writers, and with what the files of its frozen tree say."""
    data = ", ".join(map(str, data_versions(tree)))
    return commit._replace(data=data, writers=tuple(by))


def warn_of_commit(quiesce: Quiesce, volume: VolumeDir, commit: Commit) -> None:
    """Before a tree is reset to a commit, or a branch made from it, warn if a container's image is
    of another major version than the data. To be called once `quiesce` has planned, and before it
    suspends."""
    if quiesce.found:
        holds = data_versions(volume.layout.commit(commit.id))
        _warn(quiesce, volume, f"commit {commit.id[:7]} of {volume.name}", holds, commit.writers)


def warn_of_branch(quiesce: Quiesce, volume: VolumeDir, branch: str) -> None:
    """The same, before a checkout of a branch."""
    if quiesce.found:
        holds = data_versions(volume.layout.tree(branch))
        _warn(quiesce, volume, f"branch '{branch}' of {volume.name}", holds)


def warn_of_state(quiesce: Quiesce, volume: VolumeDir, holds: Sequence[DataVersion]) -> None:
    """The same, before an undo restores a state, which holds that data."""
    if quiesce.found:
        _warn(quiesce, volume, f"the state of {volume.name} to be restored", holds)


def _warn(
    quiesce: Quiesce,
    volume: VolumeDir,
    subject: str,
    holds: Sequence[DataVersion],
    by: Sequence[Writer] = (),
) -> None:
    from dvol.containers.provenance import mismatch, warning

    present = data_versions(volume.layout.tree(volume.history.current()))
    if found := mismatch(volume.name, quiesce.found, holds, by, present):
        quiesce.session.access.on_progress(warning(found, subject))
