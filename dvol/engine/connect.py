"""Which engine a command uses: one in its own process, or a server's.

--pool DIR                      the pool in DIR, in this process
--host URL, DVOL_HOST           the server at that socket
else, if the control socket     the server at that socket; if it does not answer that is an error,
exists                          since a command on the pool itself would hide that
else                            the default pool, in this process
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from dvol.errors import InvalidRequest, NoServer
from dvol.model import DEFAULTS, ContainerOptions

if TYPE_CHECKING:
    from pathlib import Path

    from dvol.containers import Containers
    from dvol.engine import Engine

DEFAULT_POOL = "/var/lib/dvol/volumes"
CONTROL_SOCKET = "/run/dvol/control.sock"
DOCKER_SOCKET = "unix:///var/run/docker.sock"


class Choice(NamedTuple):
    """What the user chose; "" is no choice. `docker_host` is the address of Docker's API; without
    `docker` it is not asked. `options` say how containers are suspended."""

    pool: str = ""
    host: str = ""
    docker: bool = True
    docker_host: str = ""
    options: ContainerOptions = DEFAULTS


def connect(choice: Choice, on_progress: Callable[[str], None]) -> Engine:
    """The engine that `choice` means; `on_progress` is called with one line of text for each step
    that takes a while. Raises InvalidRequest, NoServer."""
    if choice.pool and choice.host:
        raise InvalidRequest("--pool and --host exclude each other; give one of them")
    host = choice.host
    if not choice.pool and not host and os.path.exists(CONTROL_SOCKET):
        host = f"unix://{CONTROL_SOCKET}"
    if host:
        from dvol.engine.remote import RemoteEngine

        return RemoteEngine(host, on_progress, choice.docker, choice.options)
    from pathlib import Path

    from dvol.engine.local import LocalEngine

    if not choice.pool:
        _require_access(DEFAULT_POOL)
    root = Path(choice.pool or DEFAULT_POOL)
    return LocalEngine(root, _containers(choice, root), on_progress, options=choice.options)


def _require_access(pool: str) -> None:
    """Raise NoServer if the pool exists, and this user may not read it."""
    try:
        os.stat(pool)
    except PermissionError:  # a directory above it is closed too
        allowed = False
    except OSError:
        return
    else:
        allowed = os.access(pool, os.R_OK | os.X_OK)
    if not allowed:
        raise NoServer(f"unix://{CONTROL_SOCKET}", f"and you have no permission to read {pool}")


def _containers(choice: Choice, root: Path) -> Containers:
    """Docker at the address that the user gave, or at its default socket. If there is neither, no
    containers are assumed. A Docker that does not answer is an error, raised by the verb."""
    from dvol.containers import NoContainers

    if not choice.docker:
        return NoContainers(certain=True)
    here = os.path.lexists(DOCKER_SOCKET.removeprefix("unix://"))
    if not (choice.docker_host or here):
        return NoContainers()
    from dvol.containers.docker import Docker
    from dvol.containers.ownership import ByMounts

    return Docker(choice.docker_host or DOCKER_SOCKET, ByMounts(root))
