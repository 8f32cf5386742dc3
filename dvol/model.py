"""The immutable results that verbs return. All fields are plain JSON values.

Here is what they mean; how they are stored is in `history`, how they are printed in `cli`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

VERSION = "1.0.0.dev0"


class CommitMessage(NamedTuple):
    """What a user gives for a commit that is not made yet; see `Commit` for the fields."""

    message: str
    author: str
    date: str
    group: str = ""


class Writer(NamedTuple):
    """A container that had a volume writable when it was committed.

    `image` is the reference that it was made from, as `postgres:17`, and `digest` the image that
    this meant: `postgres@sha256:...`, or the image's id where no registry has it. `path` is where
    it had the volume. `runs` is the database server of the image, as `PostgreSQL 17`. Whatever is
    not known is "".
    """

    name: str
    image: str = ""
    digest: str = ""
    path: str = ""
    runs: str = ""


MOST_WRITERS = 16  # that a commit records


def writers_in(listed: Any) -> tuple[Writer, ...]:
    """The writers in a commit's document. They inform and nothing depends on them, so what is no
    text in it is left out instead of refused."""
    found = (one for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()
    texts = ([one.get(name, "") for name in Writer._fields] for one in found)
    known = (Writer(*(text if isinstance(text, str) else "" for text in one)) for one in texts)
    return tuple(known)[:MOST_WRITERS]


class Commit(NamedTuple):
    """An immutable state of a volume.

    `id` is 40 hex digits. `author` is `Name <email>` and `date` RFC 3339 with the author's own
    offset; both are empty in commits made by the original dvol, which recorded neither. `state`
    says how the containers that wrote to the volume were quiesced: "stopped", "paused", "live",
    "killed" (one did not stop in time), "" where none wrote. Commits of several volumes that were
    made as one share a `group`. `parent` is the id of the branch's commit before, "" for its first.
    `data` says which database's data the tree holds, as "PostgreSQL 17" or "PostgreSQL 15,
    PostgreSQL 18", "" if no file of it tells. `writers` are the containers that had the volume
    writable while it was committed, 16 at most.
    """

    id: str
    message: str
    author: str = ""
    date: str = ""
    state: str = ""
    group: str = ""
    parent: str = ""
    data: str = ""
    writers: tuple[Writer, ...] = ()


Commits = tuple[Commit, ...]  # a history, oldest first


class ContainerOptions(NamedTuple):
    """How containers that use a volume are to be suspended.

    `mode` is how a commit quiesces them: "stop", "pause", "live", or "" for the setting
    `commit.mode`. `timeout` is how many seconds each may take to stop; -1 means its own stop
    timeout, or else 60. With `force` containers are stopped also if Docker then removes them
    (`--rm`). With `wait` a verb returns when the containers that it started again are ready;
    `ready_timeout` is how many seconds it waits for each at most, -1 means as long as the health
    check of the container allows for a start, or 60.
    """

    mode: str = ""
    timeout: int = -1
    force: bool = False
    wait: bool = True
    ready_timeout: int = -1


DEFAULTS = ContainerOptions()


class Branch(NamedTuple):
    """A named history with a live tree of its own. `head` is the id of its newest commit, "" before
    the first; `current` is true for the branch that Docker mounts."""

    name: str
    head: str
    current: bool


class ReflogEntry(NamedTuple):
    """Where HEAD or a branch pointed.

    `selector` is the revision that means it, as `HEAD@{0}` or `master@{2}`; `id` is that commit's,
    "" where there was none. `verb` is the verb that made HEAD or the branch point there, at `date`
    (RFC 3339, UTC), and `message` says of which commit or which branches; `branch` is the branch
    that was changed. An entry whose line in the log is missing has neither verb nor message: its
    `date` is the earliest that it can be, and "" where nothing older is known.
    """

    selector: str
    id: str
    verb: str = ""
    date: str = ""
    message: str = ""
    branch: str = ""


class Volume(NamedTuple):
    """What Docker calls a volume, with its history.

    `branch` is the current branch, `head` the id of its newest commit ("" before the first) and
    `commits` their number. `active` is true for the volume of commands that name none. `problem`
    says why the other fields could not be read, "" if they could. `containers` are the running
    containers that use the volume, "/name,/name"; only the list of all volumes has them.
    """

    name: str
    branch: str
    head: str
    commits: int
    active: bool
    problem: str = ""
    containers: str = ""


class Discarded(NamedTuple):
    """An entry that `restore` can restore.

    `entry` is its id, 12 hex digits; `verb` is the verb that made it, at `date` (RFC 3339, UTC):
    `rm` of a volume, `branch -d` of a branch, `reset` and `undo` of the state of a branch before
    them, `fsck` of a commit or a list that nothing refers to. `branch` is "" for an entry that
    belongs to no branch. `commits` counts those of the branch, or of the current branch of a
    volume, and `message` is the last one's. `size` is the bytes that its deletion would give back,
    -1 if they were not asked for.
    """

    entry: str
    date: str
    verb: str
    volume: str
    branch: str
    commits: int = 0
    message: str = ""
    size: int = -1


class Tag(NamedTuple):
    """A name for a commit, which keeps that and its history from being deleted. `commit` is its id,
    `message` its message, "" if the commit is missing."""

    name: str
    commit: str
    message: str


class Pruned(NamedTuple):
    """What `prune` does with a commit of a branch; `kept` is why it stays, "" if it leaves the
    branch. `commit` is its id; `date` and `message` are its own."""

    volume: str
    branch: str
    commit: str
    date: str
    message: str
    kept: str


class Restored(NamedTuple):
    """The name of what was restored. `branch` is "" for a whole volume."""

    volume: str
    branch: str


class Freed(NamedTuple):
    """An entry or a dropped commit that gc deleted, or would delete; `size` is the bytes that its
    deletion gives back.

    `shared` are the bytes that other files share, on a file system where files do: they are given
    back too if all of these are deleted. What several entries share counts in the first one.

    `entry` is the id of the entry, or of the commit, whose `verb` is "drop". A file that has
    another name in something that stays is not counted. `verb` is "" if the entry's description
    can't be read. `kept` says why something that was named, or is past its time, was not deleted;
    "" if it was.
    """

    entry: str
    date: str
    verb: str
    volume: str
    branch: str
    size: int
    kept: str = ""
    shared: int = 0


class Finding(NamedTuple):
    """Something that `fsck` found wrong.

    `volume` is "" for the pool itself. `state` is "broken", "repaired", "leftover" for files that a
    verb left when it died, which harm nothing and are deleted by the next verb or with `repair`, or
    "busy" where a verb held the lock, so that nothing could be checked.
    """

    volume: str
    problem: str
    state: str


class Version(NamedTuple):
    """An engine: its version of dvol, the protocol it speaks, and the path of its pool."""

    dvol: str
    protocol: int
    pool: str


def first_line(message: str) -> str:
    """The first line of a message, which lists show; "" of an empty one."""
    return message.split("\n")[0]


def as_plain(result: Any) -> Any:
    """A result of a verb as plain JSON values."""
    if hasattr(result, "_asdict"):
        fields = result._asdict().items()
        return {name: as_plain(each) if isinstance(each, tuple) else each for name, each in fields}
    if isinstance(result, (list, tuple)):
        return [as_plain(each) for each in result]
    if isinstance(result, dict):
        return {name: as_plain(each) for name, each in result.items()}
    return result
