"""What a verb works with: a pool, Docker's containers, and the caller's options for these."""

from __future__ import annotations

from dvol.containers import Containers
from dvol.model import ContainerOptions
from dvol.pool.access import Access


class Session:
    """One call of the engine. `garbage` says, when the verb is done, whether it left files for the
    garbage collection."""

    def __init__(self, access: Access, containers: Containers, options: ContainerOptions) -> None:
        self.access = access
        self.containers = containers
        self.options = options
        self.garbage = False
