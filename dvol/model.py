"""The frozen facts that verbs return. All fields are plain JSON values.

What a fact means lives here; how it is stored does not (`history`), nor how it is shown (`render`).
"""

from __future__ import annotations

from typing import NamedTuple


class Commit(NamedTuple):
    """An immutable state of a volume.

    `id` is 40 hex digits. `author` is `Name <email>` and `date` RFC 3339 with the author's own
    offset; both are empty in commits made by the original dvol, which kept neither. `state` is how
    what wrote to the volume was quieted: "stopped", "paused", "live", "killed" (it did not stop in
    time), "" where nothing wrote. Commits of several volumes that were made as one share a `group`.
    """

    id: str
    message: str
    author: str = ""
    date: str = ""
    state: str = ""
    group: str = ""


class Wishes(NamedTuple):
    """What a caller wants of the containers that use a volume.

    `mode` is how a commit quiets them: "stop", "pause", "live", or "" for what `config` says.
    `patience` is how many seconds each may take to stop, -1 for what it says itself, or a minute.
    `force` also ends those that would then be gone (`--rm`); `wait` for health after a start.
    """

    mode: str = ""
    patience: int = -1
    force: bool = False
    wait: bool = True


AS_USUAL = Wishes()


class Branch(NamedTuple):
    """A named line of commits with a live tree of its own. `head` is "" before any commit."""

    name: str
    head: str
    current: bool


class Volume(NamedTuple):
    """A named history; what Docker calls a volume.

    `branch` is the current one, `head` its newest commit ("" before any), `commits` how many
    it has, `active` whether commands that name no volume mean this one. `problem` says why the
    rest could not be read; it is "" for a sound volume. `containers` are the running ones that
    have it, "/name,/name"; only a list of all volumes says.
    """

    name: str
    branch: str
    head: str
    commits: int
    active: bool
    problem: str = ""
    containers: str = ""


class Discarded(NamedTuple):
    """What a verb discarded and `restore` brings back.

    `entry` is its id, 12 hex digits; `verb` is what discarded it, at `date` (RFC 3339, UTC):
    `rm` a volume, `branch -d` a branch, `reset` and `undo` the state of a branch before them,
    `fsck` what it found and nobody missed. `branch` is "" where it was no branch's.
    """

    entry: str
    date: str
    verb: str
    volume: str
    branch: str


class Restored(NamedTuple):
    """What was brought back, and as what. `branch` is "" for a whole volume."""

    volume: str
    branch: str


class Freed(NamedTuple):
    """Something discarded that is gone for good, or would be; `size` is the bytes it frees.

    Files that something kept has, too, are not counted. An entry that can't be read has no
    `verb`.
    """

    entry: str
    date: str
    verb: str
    volume: str
    branch: str
    size: int


class Finding(NamedTuple):
    """Something in a pool that is not as it should be.

    `volume` is "" for the pool itself. `state` is "broken", "repaired", or "busy" where a verb
    was at work, so that nobody could look.
    """

    volume: str
    problem: str
    state: str


class Version(NamedTuple):
    """Who answers: the version of dvol, the protocol it speaks, and the pool it keeps."""

    dvol: str
    protocol: int
    pool: str
