"""What a verb works with: a pool, Docker's containers, and the caller's options for these."""

from __future__ import annotations

from collections.abc import Collection

from dvol.containers import Containers
from dvol.errors import NameUsedByDocker
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

    def warn_of_local(self, volumes: Collection[str]) -> None:
        """Warn where Docker keeps a volume of its own of that name, which containers get instead.
        Raises DockerUnusable."""
        for name in sorted(self.containers.local().intersection(volumes)):
            self.access.on_progress(f"warning: {NameUsedByDocker(name)}")
