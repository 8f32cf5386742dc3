"""Containers, as the engine sees them: who uses a volume, and is ended and started around a verb.

`docker` asks Docker and has it done; `treatment` says what is done to whom, and `order` in which
order. Nothing here knows a disk. Counting `Mount` calls instead of asking would be wrong: `docker
cp` repeats a running container's id, and a daemon that dies sends no `Unmount`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dvol.containers.container import Container, Ended


DISCARD = "discard"  # a verb's purpose: the trees are put back, and what they hold is set aside
SWITCH = "switch"  # other trees are mounted from now on, these stay as they are
LIVE, STOP, PAUSE, KILL = "live", "stop", "pause", "kill"
GONE = "it is gone"  # why a container can't be brought back, ever


class Containers(Protocol):
    """What the engine asks of containers, and has done to them.

    Every call raises DockerUnusable where Docker can't be asked.
    """

    certain: bool  # whether "nobody" means that no container writes

    def using(self, volumes: Collection[str], at_gate: Callable[[], int]) -> list[Container]:
        """Those that are alive (running, paused, restarting) and have one of `volumes`, in the
        order of their start.

        One whose start is under way is waited for, unless as many wait at the gate (`at_gate`) as
        have not come up: these it does not count. ContainerStarting if that stays unclear.
        """

    def running(self) -> dict[str, list[str]]:
        """The names of the running containers of each volume that has some."""

    def having(self, volumes: Collection[str], running: bool = False) -> dict[str, str]:
        """Ids and names of all containers that have one of `volumes`, or only of those that run or
        are paused. Nobody is waited for."""

    def volumes_of(self, project: str) -> list[str]:
        """The volumes that a project of Compose has made, or its containers have."""

    def local(self, volume: str) -> bool:
        """Whether Docker keeps a volume of that name itself, by its driver `local`, where we are
        the other driver that it has."""

    def require_startable(self, ended: Collection[Ended]) -> None:
        """Raise CannotEnd where Docker would not start one again: a plugin that it has a volume of
        is disabled."""

    def end(self, one: Ended, patience: float) -> bool:
        """Stop, kill or pause a container, as it says; whether it had to be killed after
        `patience` seconds. What is done already is no error; CannotEnd if Docker refuses."""

    def bring_back(self, one: Ended, noted_in: str = "") -> str:
        """Make a container again what it was; "" or why that is not possible. One that still runs
        is restarted: what ended it may be under way.

        `noted_in` is the volume where it was found noted, after a death: then nothing is done to
        one that has not the volume or that somebody has started since, and one try is enough."""

    def await_health(self, one: Ended) -> str:
        """Wait until a container that defines a health check passes it; "" or why it does not,
        also of one without a check that has ended again."""


class NoContainers:
    """Nobody to ask: there is no Docker, or, which is `certain`, the user has said that nothing
    uses the volume."""

    def __init__(self, certain: bool = False) -> None:
        self.certain = certain

    def using(self, volumes: Collection[str], at_gate: Callable[[], int]) -> list[Container]:
        return []

    def running(self) -> dict[str, list[str]]:
        return {}

    def having(self, volumes: Collection[str], running: bool = False) -> dict[str, str]:
        return {}

    def volumes_of(self, project: str) -> list[str]:
        return []

    def local(self, volume: str) -> bool:
        return False

    def require_startable(self, ended: Collection[Ended]) -> None:
        pass

    def end(self, one: Ended, patience: float) -> bool:
        return False

    def bring_back(self, one: Ended, noted_in: str = "") -> str:
        return "Docker is not to be asked, or not there"

    def await_health(self, one: Ended) -> str:
        return ""
