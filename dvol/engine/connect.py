"""Which keeper: a pool on this disk, or a server behind a socket?

--pool DIR                      the pool, in this process
--host URL, DVOL_HOST           the server there
else, if the control socket is  the server there; if it does not answer that is an error,
there                           for two minds about one pool help nobody
else                            the default pool, in this process
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from dvol.errors import InvalidRequest, NoServer
from dvol.model import AS_USUAL, Wishes

if TYPE_CHECKING:
    from dvol.containers import Containers
    from dvol.engine import Engine

DEFAULT_POOL = "/var/lib/dvol/volumes"
CONTROL_SOCKET = "/run/dvol/control.sock"
DOCKER_SOCKET = "unix:///var/run/docker.sock"


class Choice(NamedTuple):
    """What the user said, or did not (""). `docker_host` is where Docker is, `wishes` what is to
    become of containers."""

    pool: str = ""
    host: str = ""
    docker: bool = True
    docker_host: str = ""
    wishes: Wishes = AS_USUAL


def connect(choice: Choice, tell: Callable[[str], None]) -> Engine:
    """The keeper of the promise that `choice` means; `tell` hears what it waits for."""
    if choice.pool and choice.host:
        raise InvalidRequest("--pool and --host exclude each other; give one of them")
    host = choice.host
    if not choice.pool and not host and os.path.exists(CONTROL_SOCKET):
        host = f"unix://{CONTROL_SOCKET}"
    if host:
        from dvol.engine.remote import Client

        return Client(host, tell, choice.docker, choice.wishes)
    from pathlib import Path

    from dvol.engine.local import Pool

    if not choice.pool:
        _require_access(DEFAULT_POOL)
    root = Path(choice.pool or DEFAULT_POOL)
    return Pool(root, _containers(choice), tell, wishes=choice.wishes)


def _require_access(pool: str) -> None:
    """Raise NoServer where a pool is there, but for somebody else to keep."""
    try:
        os.stat(pool)
    except PermissionError:  # the plugin keeps the directory around it to itself as well
        allowed = False
    except OSError:
        return
    else:
        allowed = os.access(pool, os.R_OK | os.X_OK)
    if not allowed:
        raise NoServer(f"unix://{CONTROL_SOCKET}", f"and you may not enter {pool} without one")


def _containers(choice: Choice) -> Containers:
    """No socket, no Docker, no containers. A Docker that the user names, and any socket that is
    there, must answer: else the verb is refused."""
    from dvol.containers import NoContainers

    if not choice.docker:
        return NoContainers(certain=True)
    here = os.path.lexists(DOCKER_SOCKET.removeprefix("unix://"))
    if not (choice.docker_host or here):
        return NoContainers()
    from dvol.containers.docker import Docker

    return Docker(choice.docker_host or DOCKER_SOCKET)
