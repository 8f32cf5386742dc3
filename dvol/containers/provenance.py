"""Who wrote a volume's data: pure rules.

No call to Docker here, and no disk. The environment is the one that the official images of the
databases set (docker-library: `ENV PG_MAJOR`, `ENV MARIADB_VERSION`, ...), and all images that are
made from these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dvol.errors import printable
from dvol.model import MOST_WRITERS, Writer
from dvol.tree.data_version import MARIADB, MYSQL, POSTGRESQL, REDIS, VALKEY

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
_LONGEST = 512  # characters of a text that is recorded


class DatabaseServer(NamedTuple):
    """The database server of an image. `directory` is where in the container its data lies, "" if
    the image does not say."""

    engine: str
    version: str
    directory: str = ""


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


def path_of(container: Container, volume: str) -> str:
    """Where a container has a volume writable; "" if it has not, or Docker does not say."""
    paths = [each.path for each in container.mounts if each.writable and each.volume == volume]
    return paths[0] if paths else ""


def _digest(container: Container, digests: Sequence[str]) -> str:
    """The digest of the repository that the container's image was named by, or else the first."""
    named = container.image.partition("@")[0]
    directory, slash, last = named.rpartition("/")
    repository = directory + slash + last.partition(":")[0]
    own = [each for each in digests if each.partition("@")[0] == repository]
    return next(iter((*own, *digests)), container.image_id)


def _short(text: str) -> str:
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")
