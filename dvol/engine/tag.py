"""Tags: name a commit, and delete such a name."""

from __future__ import annotations

from dvol import names
from dvol.errors import TagExists, TagIsBranch, TagIsId, TagNotFound
from dvol.fs.documents import replace_json
from dvol.history.history import History
from dvol.model import Tag
from dvol.pool.access import Access
from dvol.pool.volume import VolumeDir


def create(access: Access, volume: str, name: str, revision: str) -> Tag:
    """Give the commit that a revision means the tag `name`."""
    names.check_tag(name)
    with access.changing(volume, "tag") as found:
        history = found.history
        if name in history.tags:
            raise TagExists(name, history.tags[name][:12])
        if name in history:
            raise TagIsBranch(name)
        if history.frozen_ids(name):
            raise TagIsId(name)
        commits = history.resolve(revision)
        found.frozen(commits)  # raises if its tree is missing
        _write(found, history.tags | {name: commits[-1].id})
    return _tag(name, commits[-1].id, history)


def delete(access: Access, volume: str, name: str) -> Tag:
    """Delete a tag; the commit stays."""
    with access.changing(volume, "tag") as found:
        history = found.history
        if name not in history.tags:
            raise TagNotFound(name)
        tag = _tag(name, history.tags[name], history)
        _write(found, {one: id for one, id in history.tags.items() if one != name})
    return tag


def listed(history: History) -> list[Tag]:
    """All tags by name."""
    return [_tag(name, id, history) for name, id in sorted(history.tags.items())]


def _write(volume: VolumeDir, tags: dict[str, str]) -> None:
    replace_json(volume.layout.tags, tags, volume.layout.staging)


def _tag(name: str, id: str, history: History) -> Tag:
    line = history.line(id)
    return Tag(name, id, line[-1].message if line else "")
