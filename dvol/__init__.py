"""dvol: version control for Docker volumes.

Python calls the same verbs as the command; `dvol.engine.Engine` describes them:

    engine = dvol.open()
    engine.reset("shop_db", "HEAD")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dvol.model import VERSION as __version__

__all__ = ["__version__", "open"]

if TYPE_CHECKING:
    from collections.abc import Callable

    from dvol.engine import Engine
    from dvol.model import ContainerOptions


def open(
    pool: str = "",
    host: str = "",
    docker_host: str = "",
    options: ContainerOptions | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> Engine:
    """Open the pool of the server at `host`, or the pool in the directory `pool`. Without either it
    is the pool that the command uses when no environment variable is set.

    `docker_host` is the address of Docker's API, for a pool without a server. `options` say how
    containers are suspended; `on_progress` is called with one line of text for each step that takes
    a while. Every error is a `dvol.errors.DvolError`.
    """
    from dvol.engine import silent
    from dvol.engine.connect import Choice, connect
    from dvol.model import DEFAULTS

    choice = Choice(pool, host, docker_host=docker_host, options=options or DEFAULTS)
    return connect(choice, on_progress or silent)
