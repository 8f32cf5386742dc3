"""Tags: names for commits, which keep a commit and its history from being deleted."""

from __future__ import annotations

from dvol.errors import BadDocument
from dvol.fs.documents import read_json
from dvol.history.commits import ID
from dvol.layout import VolumeLayout
from dvol.names import is_component


def read(layout: VolumeLayout) -> dict[str, str]:
    """The id of the commit that each tag of a volume names, by tag. Raises BadDocument."""
    try:
        document = read_json(layout.tags)
    except FileNotFoundError:
        return {}
    if not isinstance(document, dict) or not all(
        is_component(name) and isinstance(id, str) and ID.fullmatch(id)
        for name, id in document.items()
    ):
        raise BadDocument(str(layout.tags), "it holds no tags")
    return document
