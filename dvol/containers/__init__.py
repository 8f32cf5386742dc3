"""Who uses a volume, and stopping and starting them through Docker; no disks.

`docker` calls Docker, `policy` decides what is done to a container, `start_order` in which order.
`ownership` knows whether a volume is this pool's, or another's of the same name; `events`, what
another command than dvol's has done to a container meanwhile; `init_process`, whether the signal of
a stop is noticed. `readiness` says when a container is ready (`known_images` for databases), and
`probe` asks it by `execution`; `hooks`, which commands a commit runs in it. `provenance` is about
the databases that images have.
Counting `Mount` calls instead of asking Docker would be wrong: `docker cp` repeats a running
container's id, and a daemon that dies sends no `Unmount`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dvol.containers.container import Container, Suspension
    from dvol.containers.events import Call
    from dvol.containers.hooks import Owed
    from dvol.containers.readiness import Check


RESET = "reset"  # purpose of a verb: trees are reset, and their present state is set aside
SWITCH = "switch"  # purpose of a verb: other trees are to be mounted, the present ones stay
LIVE, STOP, PAUSE, KILL = "live", "stop", "pause", "kill"
GONE = "it is gone"  # the reason if a container can never be resumed
DOWN = "it does not run"  # the reason if a hook could not be begun


class Containers(Protocol):
    """Queries about containers, and operations on them.

    Every call raises DockerUnusable where Docker can't be asked.
    """

    certain: bool  # whether an empty answer proves that no container writes

    def using(self, volumes: Collection[str], at_gate: Callable[[], int]) -> list[Container]:
        """The containers that are alive (running, paused, restarting) and have one of `volumes`, in
        the order of their start.

        A container that is starting is waited for, unless as many containers wait at the gate, says
        `at_gate()`, as are starting: then these are left out. ContainerStarting if that stays
        unclear; UnclearPool if a volume may be another pool's.
        """

    def sharers(self, owners: Collection[Container]) -> list[Container]:
        """The other containers that are alive and share namespaces with any container, in the order
        of their start. One that is just being started may be missing."""

    def running(self) -> dict[str, list[str]]:
        """The names of the running containers of each volume that has some."""

    def having(self, volumes: Collection[str], running: bool = False) -> dict[str, str]:
        """Ids and names of all containers that have one of `volumes`; if `running`, only of those
        that run or are paused. No container is waited for."""

    def volumes_of(self, project: str, names: Collection[str]) -> list[str]:
        """The volumes that a Compose project has made, or that its containers have; and those of
        `names` that are named as Compose names the project's volumes, and are of no other
        project."""

    def local(self) -> set[str]:
        """The names of the volumes that Docker itself keeps, by its driver `local`; none where
        containers do not get this pool's volumes through the plugin."""

    def digests(self, images: Collection[str]) -> dict[str, list[str]]:
        """The repository digests of images, by their ids. Never raises, and takes no longer than a
        second or so: what Docker does not say at once is left out."""

    def require_startable(self, suspensions: Collection[Suspension]) -> None:
        """Raise CannotSuspend where Docker would not start a container again, because the plugin of
        one of its volumes is disabled."""

    def suspend(self, suspension: Suspension, timeout: float) -> bool:
        """Stop, kill or pause a container, as `suspension.action` says. Returns whether it had to
        be killed after `timeout` seconds. A container that has ended already is no error;
        CannotSuspend if Docker refuses."""

    def changed_by_others(self, calls: Mapping[str, Sequence[Call]], since: int) -> dict[str, str]:
        """For each container that dvol has suspended by `calls`: "stopped" or "paused" if another
        command has certainly made it so, after `since` (nanoseconds of the wall clock); else "",
        also where Docker can't say."""

    def woken(self, paused: Collection[tuple[Container, int]]) -> list[str]:
        """Of containers that were paused, each after a time (nanoseconds of the wall clock), the
        ids of those that are not paused any more, or have run meanwhile."""

    def resume(self, suspension: Suspension, recorded_in: str = "") -> str:
        """Start or unpause a container; returns "", or the reason why that is not possible. A
        container that still runs is restarted: Docker may be stopping it.

        `recorded_in` is given after a crash: the volume whose record names the container. Then a
        container without that volume, or started since, is left alone, and there is one try only.
        """

    def await_ready(self, suspension: Suspension, check: Check | None, limit: float = -1) -> str:
        """Wait until a container passes its check; returns "", or the reason why it does not, or
        why that is not known. A container without a check must only still run. `limit` is in
        seconds; -1 stands for the check's own."""

    def run_hook(self, container: Container, label: str) -> str:
        """Run the hook of a container that is its label of that name; returns "", DOWN if the
        container does not run or is paused, or the reason why the hook failed."""

    def run_owed(self, owed: Owed, recorded_in: str, ready: tuple[str, str]) -> str:
        """After a crash: run the hook POST_COMMIT of a container, as its own label says, once it is
        ready. As `run_hook`; GONE if it no longer exists, or has not the volume `recorded_in`.
        `ready` are the settings `ready.exec` and `ready.port` of that volume."""


class NoContainers:
    """The answers where Docker is not asked: there is none, or the user has said that no container
    uses the volume, which is `certain`."""

    def __init__(self, certain: bool = False) -> None:
        self.certain = certain

    def using(self, volumes: Collection[str], at_gate: Callable[[], int]) -> list[Container]:
        return []

    def sharers(self, owners: Collection[Container]) -> list[Container]:
        return []

    def running(self) -> dict[str, list[str]]:
        return {}

    def having(self, volumes: Collection[str], running: bool = False) -> dict[str, str]:
        return {}

    def volumes_of(self, project: str, names: Collection[str]) -> list[str]:
        return []

    def local(self) -> set[str]:
        return set()

    def digests(self, images: Collection[str]) -> dict[str, list[str]]:
        return {}

    def require_startable(self, suspensions: Collection[Suspension]) -> None:
        pass

    def suspend(self, suspension: Suspension, timeout: float) -> bool:
        return False

    def changed_by_others(self, calls: Mapping[str, Sequence[Call]], since: int) -> dict[str, str]:
        return dict.fromkeys(calls, "")

    def woken(self, paused: Collection[tuple[Container, int]]) -> list[str]:
        return []

    def resume(self, suspension: Suspension, recorded_in: str = "") -> str:
        return "Docker is not to be asked, or not there"

    def await_ready(self, suspension: Suspension, check: Check | None, limit: float = -1) -> str:
        return ""

    def run_hook(self, container: Container, label: str) -> str:
        return DOWN

    def run_owed(self, owed: Owed, recorded_in: str, ready: tuple[str, str]) -> str:
        return DOWN
