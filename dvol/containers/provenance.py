"""Who wrote a volume's data, and whether an image is of another version than data: pure rules.

No call to Docker here, and no disk. The environment is the one that the official images of the
databases set (docker-library: `ENV PG_MAJOR`, `ENV MARIADB_VERSION`, ...), and all images that are
made from these.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dvol.errors import printable
from dvol.model import MOST_WRITERS, Writer
from dvol.tree.data_version import MARIADB, MYSQL, POSTGRESQL, REDIS, VALKEY, DataVersion

if TYPE_CHECKING:
    from dvol.containers.container import Container

_SAYS = {  # for MySQL's innovation releases MYSQL_MAJOR is "innovation", so its version comes first
    "PG_MAJOR": POSTGRESQL,
    "MARIADB_VERSION": MARIADB,  # 1:11.4.2+maria~ubu2404
    "MYSQL_VERSION": MYSQL,  # 8.4.3-1.el9
    "MYSQL_MAJOR": MYSQL,
    "REDIS_VERSION": REDIS,
    "VALKEY_VERSION": VALKEY,
}
_VERSION = re.compile(r"(?:\d{1,2}:)?(\d{1,3}(?:\.\d{1,3}){0,2})(?!\d)")
_PARTS = {MARIADB: 2, MYSQL: 2}  # of a version that make the major one; of others the first does
_LONGEST = 512  # characters of a text that is recorded


class DatabaseServer(NamedTuple):
    """The database server of an image. `directory` is where in the container its data lies, "" if
    the image does not say."""

    engine: str
    version: str
    directory: str = ""


class Mismatch(NamedTuple):
    """Data that the image of a container is not of the major version of. `readable`: it is older,
    and the server is one that opens older data, and then converts it."""

    holds: DataVersion
    container: Container
    runs: DatabaseServer
    readable: bool


def database_servers(environment: Any) -> tuple[DatabaseServer, ...]:
    """The database servers of an image, by the environment of its container as Docker lists it."""
    lines = [each for each in environment or () if isinstance(each, str)]
    values = dict(each.split("=", 1) for each in lines if "=" in each)
    found: dict[str, DatabaseServer] = {}
    for variable, engine in _SAYS.items():
        version = _VERSION.match(values.get(variable, ""))
        if version and engine not in found:
            directory = values.get("PGDATA", "") if engine == POSTGRESQL else ""
            found[engine] = DatabaseServer(engine, version[1], directory)
    return tuple(found.values())


def image_ids(containers: Iterable[Container], volumes: Iterable[str]) -> list[str]:
    """The ids of the images of those that have one of the volumes writable."""
    wanted = frozenset(volumes)
    ids = (one.image_id for one in containers if one.writes_to(wanted))
    return list(dict.fromkeys(filter(None, ids)))[:MOST_WRITERS]


def writers_of(
    volume: str, containers: Iterable[Container], digests: Mapping[str, Sequence[str]]
) -> tuple[Writer, ...]:
    """The containers that have a volume writable, 16 at most. `digests` are the repository digests
    of images by their ids; of an image that has none the id is recorded."""
    writers = [one for one in containers if one.writes_to(frozenset([volume]))]
    return tuple(
        Writer(
            *map(
                _short,
                (
                    one.name,
                    one.image,
                    _digest(one, digests.get(one.image_id, ())),
                    path_of(one, volume),
                    ", ".join(f"{each.engine} {each.version}" for each in one.runs),
                ),
            )
        )
        for one in writers[:MOST_WRITERS]
    )


def mismatch(
    volume: str,
    containers: Iterable[Container],
    holds: Sequence[DataVersion],
    written_by: Sequence[Writer] = (),
    present: Sequence[DataVersion] = (),
) -> Mismatch | None:
    """Whether data is about to come under an image of another major version; None if not, or if it
    is not known.

    `holds` is what the data says of itself, `written_by` who wrote it, and `present` what the data
    that the volume has now says. One writer that fits is enough: others may be tools made from an
    image of the same engine. PostgreSQL opens no data of another major version. The other servers
    open older data, and what such data says of itself may be from before that. So its last writer
    counts, if that is recorded; if not, data that says the same as the present data is no news.
    """
    users = [
        (one, server)
        for one in containers
        if one.writes_to(frozenset([volume]))
        for server in one.runs
        if _is_within(server.directory, path_of(one, volume))
    ]
    for engine in dict.fromkeys(each.engine for each in holds):
        running = [(one, server) for one, server in users if server.engine == engine]
        last = _last_writers(written_by, engine) if engine != POSTGRESQL else []
        data = [each for each in holds if each.engine == engine]
        found = _unfit(running, last or data)
        if found and not (found.readable and not last and _says_the_same(data, present)):
            return found
    return None


def warning(found: Mismatch, subject: str) -> str:
    """The mismatch in one line; `subject` is what holds the data."""
    one, runs = found.container, found.runs
    image = f", image {_short(one.image)}" if one.image else ""
    runs_text = f"{printable(one.name)} runs {runs.engine} {runs.version}{image}"
    then = "it may convert that" if found.readable else "it may not start with that"
    return f"warning: {subject} holds data of {found.holds}, and {runs_text}: {then}"


def path_of(container: Container, volume: str) -> str:
    """Where a container has a volume writable; "" if it has not, or Docker does not say."""
    paths = [each.path for each in container.mounts if each.writable and each.volume == volume]
    return paths[0] if paths else ""


def _unfit(
    running: Sequence[tuple[Container, DatabaseServer]], data: Sequence[DataVersion]
) -> Mismatch | None:
    """The newest data, and the first container, if no container is of the version of any data."""
    if not running or any(
        _is_same(each.version, server.version, server.engine)
        for each in data
        for _, server in running
    ):
        return None
    newest = max(data, key=lambda each: _parts(each.version, each.engine))
    one, server = running[0]
    older = _parts(newest.version, newest.engine) < _parts(server.version, server.engine)
    return Mismatch(newest, one, server, older and newest.engine != POSTGRESQL)


def _last_writers(writers: Sequence[Writer], engine: str) -> list[DataVersion]:
    runs = (text.split(" ") for one in writers for text in one.runs.split(", "))
    versions = [words[1] for words in runs if len(words) == 2 and words[0] == engine]
    found = map(_VERSION.fullmatch, versions)
    return [DataVersion(engine, version[1]) for version in found if version]


def _says_the_same(data: Sequence[DataVersion], present: Sequence[DataVersion]) -> bool:
    return any(
        one.engine == other.engine and _is_same(one.version, other.version, one.engine)
        for one in data
        for other in present
    )


def _is_same(one: str, other: str, engine: str) -> bool:
    """Whether two versions are of the same major version, as far as both of them go."""
    return all(a == b for a, b in zip(_parts(one, engine), _parts(other, engine), strict=False))


def _parts(version: str, engine: str) -> list[int]:
    """The major version. PostgreSQL's had two numbers before 10."""
    numbers = [int(each) for each in version.split(".")]
    old = engine == POSTGRESQL and numbers[0] < 10
    return numbers[: 2 if old else _PARTS.get(engine, 1)]


def _is_within(directory: str, path: str) -> bool:
    """Whether data in a directory of a container lies in the mount at `path`; also if unknown."""
    if not directory or not path:
        return True
    inner, outer = posixpath.normpath(directory), posixpath.normpath(path)
    return posixpath.commonpath([inner, outer]) == outer if inner[:1] == outer[:1] else False


def _digest(container: Container, digests: Sequence[str]) -> str:
    """The digest of the repository that the container's image was named by, or else the first."""
    named = container.image.partition("@")[0]
    directory, slash, last = named.rpartition("/")
    repository = directory + slash + last.partition(":")[0]
    own = [each for each in digests if each.partition("@")[0] == repository]
    return next(iter((*own, *digests)), container.image_id)


def _short(text: str) -> str:
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
