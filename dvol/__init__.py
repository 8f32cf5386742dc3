"""dvol: version control for Docker volumes.

The verbs of the command are there for Python as well, see `dvol.engine.Engine`:

    engine = dvol.open()
    engine.reset("shop_db", "HEAD")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dvol.engine import Engine
    from dvol.model import Wishes

__version__ = "1.0.0.dev0"


def open(
    pool: str = "",
    host: str = "",
    docker_host: str = "",
    wishes: Wishes | None = None,
    tell: Callable[[str], None] | None = None,
) -> Engine:
    """The volumes of the server at `host`, or of the directory `pool`; by default what the command
    uses where no environment variable says anything.

    `docker_host` is where Docker is, for a pool without a server. `wishes` say what is to become of
    containers; `tell` hears each step. Every refusal is a `dvol.errors.DvolError`.
    """
    from dvol.engine import silent
    from dvol.engine.connect import Choice, connect
    from dvol.model import AS_USUAL

    choice = Choice(pool, host, docker_host=docker_host, wishes=wishes or AS_USUAL)
    return connect(choice, tell or silent)
