"""The frozen facts that verbs return. All fields are plain JSON values.

What a fact means lives here; how it is stored does not (`history`), nor how it is shown (`render`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Commit:
    """An immutable state of a volume.

    `id` is 40 hex digits. `author` is `Name <email>` and `date` RFC 3339 with the author's own
    offset; both are empty in commits made by the original dvol, which kept neither.
    """

    id: str
    message: str
    author: str = ""
    date: str = ""


@dataclass(frozen=True)
class Branch:
    """A named line of commits with a live tree of its own. `head` is "" before any commit."""

    name: str
    head: str
    current: bool


@dataclass(frozen=True)
class Volume:
    """A named history; what Docker calls a volume.

    `branch` is the current one, `head` its newest commit ("" before any), `commits` how many
    it has, `active` whether commands that name no volume mean this one. `problem` says why the
    rest could not be read; it is "" for a sound volume.
    """

    name: str
    branch: str
    head: str
    commits: int
    active: bool
    problem: str = ""


@dataclass(frozen=True)
class Version:
    """Who answers: the version of dvol, the protocol it speaks, and the pool it keeps."""

    dvol: str
    protocol: int
    pool: str
