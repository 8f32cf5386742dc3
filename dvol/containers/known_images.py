"""Databases that are known by their images, and for each the check that tells that it answers.

Each check goes through TCP: the server that PostgreSQL's and MySQL's images start for a moment to
make their files listens on a unix socket only, and would be taken for the real one. A database that
does not listen on TCP has no default check. Pure.
"""

from __future__ import annotations

import posixpath
from typing import Any, NamedTuple

from dvol.containers.readiness import Check, port_of

_HOST = "127.0.0.1"
# Exit code 0 of redis-cli says nothing: it is that of an error too, such as LOADING. A server that
# wants a password says NOAUTH also while it loads: then it is not known whether it is ready.
_REDIS = (
    'case "$({client} -h 127.0.0.1 -p {port} ping 2>&1)" in '
    "PONG) exit 0;; *NOAUTH*|*WRONGPASS*|*NOPERM*|*'not found'*) exit 126;; esac; exit 1"
)
# The server that MongoDB's image starts for a moment listens on TCP too, but forks. A member of a
# replica set answers before it can be read.
_MONGO = (
    "var ready = 1; try { var admin = db.getSiblingDB('admin'); var fork = false;"
    " try { var p = admin.runCommand({getCmdLineOpts: 1}).parsed || {};"
    " fork = !!(p.processManagement && p.processManagement.fork) } catch (e) {}"
    " var m = admin.runCommand({isMaster: 1}); var alone = (m.hosts || []).length < 2;"
    " if (m.ok && !fork && (!m.setName || m.ismaster || (m.secondary && !alone))) ready = 0"
    " } catch (e) {} quit(ready)"
)


class _Image(NamedTuple):
    """A kind of image: the name of a repository holds one of `names`, or the environment has one of
    `variables`, and it runs one of `programs`."""

    kind: str
    names: tuple[str, ...]
    variables: tuple[str, ...]
    programs: tuple[str, ...]
    port: int
    port_options: tuple[str, ...]


_POSTGRES = _Image(
    "PostgreSQL",
    ("postgres", "postgresql", "postgis", "pgvector", "timescaledb", "timescaledb-ha"),
    ("PG_MAJOR", "PG_VERSION"),
    ("postgres",),
    0,  # pg_isready reads PGPORT, as the server does
    ("-p", "--port", "port"),
)
_MYSQL = _Image(
    "MySQL",
    ("mysql", "mysql-server", "mariadb", "percona", "percona-server"),
    ("MYSQL_MAJOR", "MYSQL_VERSION", "MARIADB_VERSION", "MARIADB_MAJOR"),
    ("mysqld", "mariadbd", "mysqld_safe", "mariadbd-safe"),
    0,  # the client reads MYSQL_TCP_PORT, as the server does
    ("-P", "--port"),
)
_REDIS_IMAGE = _Image(
    "Redis",
    ("redis", "redis-stack-server", "valkey"),
    ("REDIS_VERSION", "VALKEY_VERSION"),
    ("redis-server", "valkey-server"),
    6379,
    ("--port",),
)
_MONGODB = _Image(
    "MongoDB",
    ("mongo", "mongodb", "mongodb-community-server"),
    ("MONGO_MAJOR", "MONGO_VERSION"),
    ("mongod",),
    27017,
    ("--port",),
)
_LISTENING = ("-h", "listen_addresses", "--listen_addresses", "--listen-addresses")  # PostgreSQL's
_IMAGES = (_POSTGRES, _MYSQL, _REDIS_IMAGE, _MONGODB)


def default_check(inspected: dict[str, Any]) -> Check | None:
    """The check that suits the database that the container runs; None if it runs none that is
    known, or does not listen on TCP."""
    words = [inspected.get("Path") or "", *(inspected.get("Args") or [])]
    config = inspected.get("Config") or {}
    image = _image(words, config.get("Image") or "", config.get("Env") or [])
    if image is None or _is_off_tcp(image, words):
        return None
    port = port_of(_option(words, image.port_options)) or image.port
    commands, environment = _commands(image, port, words)
    return Check(f"its check for {image.kind}", commands, environment=environment)


def _image(words: list[str], reference: str, environment: list[str]) -> _Image | None:
    """By the program that it runs; where an entrypoint chooses that, by the image's name or its
    environment. `docker run postgres psql` is no server."""
    command, chosen = _command(words)
    program = posixpath.basename(command[0]) if command else ""
    for image in _IMAGES:
        if program in image.programs:
            return image
    if not chosen or (program and not program.startswith("-") and not program.endswith(".sh")):
        return None
    name = posixpath.basename(reference.partition("@")[0]).partition(":")[0]
    variables = {variable.partition("=")[0] for variable in environment}
    named = [image for image in _IMAGES if name in image.names]
    return next(iter([*named, *(one for one in _IMAGES if variables & {*one.variables})]), None)


def _command(words: list[str]) -> tuple[list[str], bool]:
    """The command without what starts it, and whether an entrypoint script is among that."""
    for at, word in enumerate(words[:4]):
        if "entrypoint" in posixpath.basename(word):
            return words[at + 1 :], True
    return words, False


def _is_off_tcp(image: _Image, words: list[str]) -> bool:
    if image is _POSTGRES:
        return _option(words, _LISTENING, "*").strip("' ") == ""
    if image is _MONGODB:
        return any(word.endswith(("requireTLS", "requireSSL")) for word in words)
    return "--skip-networking" in words or _option(words, image.port_options) == "0"


def _option(words: list[str], names: tuple[str, ...], default: str = "") -> str:
    """The last value of an option, given as `-p 1`, `-p1`, `--port 1`, `--port=1`, or `-c port=1`
    (whose name here is `port`)."""
    value = default
    for word, following in zip(words, [*words[1:], ""], strict=True):
        for name in names:
            if word == name and name.startswith("-"):
                value = following
            elif word.removeprefix("-c").startswith(f"{name}="):
                value = word.partition("=")[2]
            elif len(name) == 2 and word.startswith(name) and not word.startswith("--"):
                value = word[2:]
    return value


def _commands(
    image: _Image, port: int, words: list[str]
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """The commands of a check, and the environment that they need."""
    if image is _POSTGRES:
        where = ("-p", str(port)) if port else ()
        return (("pg_isready", "-q", "-h", _HOST, *where),), ()
    if image is _MYSQL:
        # The ping succeeds also where the password is missing. Clients of MariaDB 11.4 and newer
        # refuse the server's own certificate; `loose` for clients that lack the option.
        at = (f"--port={port}",) if port else ()
        ping = (f"--host={_HOST}", "--protocol=tcp", *at, "--loose-skip-ssl", "ping")
        return (("mariadb-admin", *ping), ("mysqladmin", *ping)), ()
    if image is _REDIS_IMAGE:
        scripts = (_REDIS.format(client=one, port=port) for one in ("redis-cli", "valkey-cli"))
        password = _option(words, ("--requirepass",))
        environment = (f"REDISCLI_AUTH={password}",) if password else ()
        return tuple(("/bin/sh", "-c", script) for script in scripts), environment
    ask = ("--quiet", "--norc", "--host", _HOST, "--port", str(port), "--eval", _MONGO)
    return (("mongosh", *ask), ("mongo", *ask)), ()
