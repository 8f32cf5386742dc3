"""A container, and its suspension, as read from Docker's answers.

No call to Docker here, and no decision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dvol.containers import hooks, readiness
from dvol.containers.hooks import Hooks
from dvol.containers.known_images import default_check
from dvol.containers.provenance import DatabaseServer, database_servers
from dvol.containers.readiness import Readiness

RUNNING, PAUSED, RESTARTING = "running", "paused", "restarting"
ALIVE = (RUNNING, PAUSED, RESTARTING)
_SWARM = "com.docker.swarm.task.id"
_COMPOSE = "com.docker.compose."
_FOR_EVER = 86_400  # seconds; Docker writes -1
_SHORT_ID = 12  # digits of an id as Docker prints it


class Mounted(NamedTuple):
    """A mount of a container at `path`; `volume` is "" if it is no volume of the pool. If it is
    `doubtful`, it may be one of the pool's volumes, or one of the same name elsewhere; `elsewhere`
    if it is a volume of another plugin."""

    volume: str
    writable: bool
    path: str = ""
    doubtful: bool = False
    elsewhere: bool = False


class Container(NamedTuple):
    """What matters of a container that is alive for stopping it and starting it again.

    `needs` are the names of services of its project and the ids of containers that must run before
    it, `healthy` the names of those services that must be healthy before it starts; `stop_timeout`
    is that of its own definition in seconds, -1 if it has none. A container that `removes_itself`
    can't be started again: it was made with --rm, or belongs to Swarm, which replaces it by
    another. `shares` are the ids or names of the containers whose network, processes or memory it
    shares: it loses them for good when such a container ends, and `needs` has them too. `image` is
    the reference that it was made from, `image_id` the id that this meant, and `runs` the database
    servers that the image says it has.
    """

    id: str
    name: str
    state: str
    started: str
    mounts: tuple[Mounted, ...]
    removes_itself: bool = False
    stop_timeout: int = -1
    project: str = ""
    service: str = ""
    needs: tuple[str, ...] = ()
    healthy: tuple[str, ...] = ()
    unhealthy: bool = False  # its health check has failed again and again
    shares: tuple[str, ...] = ()
    image: str = ""
    image_id: str = ""
    runs: tuple[DatabaseServer, ...] = ()
    readiness: Readiness = Readiness()
    hooks: Hooks = Hooks()

    def writes_to(self, volumes: frozenset[str]) -> bool:
        """Whether it has one of `volumes` mounted writable."""
        return any(mount.writable and mount.volume in volumes for mount in self.mounts)

    def writes_only_to(self, volumes: frozenset[str]) -> bool:
        """Whether all that it has mounted writable are some of `volumes`, and at least one is."""
        writable = [mount.volume for mount in self.mounts if mount.writable]
        return bool(writable) and volumes.issuperset(writable)

    @property
    def elsewhere(self) -> bool:
        """Whether it has a volume of another plugin, which may be a dvol too."""
        return any(mount.elsewhere for mount in self.mounts)

    def shares_with(self, other: Container) -> bool:
        """Whether it shares the network, processes or memory of `other`."""
        return any(_is_meant(name, other) for name in self.shares)


class Suspension(NamedTuple):
    """What a verb does to a container, so that it can be resumed afterwards.

    `action` is "stop", "kill", "pause", or "" for a container that is left alone; `was` is its
    state before, and `started` the time of its start, as Docker writes it. `sharing_with` is the id
    of the container whose namespaces it shares, if that is why it is suspended. All plain JSON: it
    is recorded on disk before the container is touched.
    """

    id: str
    name: str
    action: str
    was: str
    started: str
    sharing_with: str = ""


def parse(inspected: dict[str, Any], mounted: Callable[[dict[str, Any]], Mounted]) -> Container:
    """The container that Docker's answer to `inspect` describes; `mounted` says what each of its
    mounts is."""
    config, host = inspected["Config"], inspected["HostConfig"]
    labels = config.get("Labels") or {}
    timeout = config.get("StopTimeout")
    return Container(
        id=inspected["Id"],
        name=inspected["Name"],
        state=_state(inspected["State"]),
        started=inspected["State"]["StartedAt"],
        mounts=tuple(map(mounted, inspected["Mounts"])),
        removes_itself=bool(host.get("AutoRemove")) or _SWARM in labels or _is_run_once(labels),
        stop_timeout=-1 if timeout is None else timeout if timeout >= 0 else _FOR_EVER,
        project=labels.get(f"{_COMPOSE}project", ""),
        service=labels.get(f"{_COMPOSE}service", ""),
        needs=(*_services(labels), *shares(host)),
        shares=shares(host),
        unhealthy=_is_unhealthy(inspected["State"].get("Health") or {}),
        healthy=tuple(_services(labels, ":service_healthy")),
        image=str(config.get("Image") or ""),
        image_id=str(inspected.get("Image") or ""),
        runs=database_servers(config.get("Env")),
        readiness=readiness.parse(inspected, default_check(inspected)),
        hooks=hooks.parse(inspected),
    )


def volume_name(mount: dict[str, Any]) -> str:
    """The name of the volume of a mount, as Docker lists it; "" if it is none of a plugin's: no
    volume of the built-in `local` driver is dvol's."""
    ours = mount.get("Type") == "volume" and mount.get("Driver") != "local"
    return str(mount.get("Name", "")) if ours else ""


def shares(host: dict[str, Any]) -> tuple[str, ...]:
    """The ids or names of the containers whose network, processes or memory a container shares, by
    its `HostConfig`."""
    modes = (str(host.get(mode) or "") for mode in ("NetworkMode", "PidMode", "IpcMode"))
    named = (mode.removeprefix("container:") for mode in modes if mode.startswith("container:"))
    return tuple(dict.fromkeys(named))


def _is_meant(name: str, other: Container) -> bool:
    """Docker keeps what the user typed: an id, a name, or the beginning of an id."""
    beginning = len(name) >= _SHORT_ID and other.id.startswith(name)
    return beginning or name == other.name.removeprefix("/")


def _is_run_once(labels: dict[str, str]) -> bool:
    """Whether it is of `run` of Compose 1, which removes it by itself (`--rm`), not by Docker."""
    once = labels.get(f"{_COMPOSE}oneoff") == "True"
    return once and labels.get(f"{_COMPOSE}version", "").startswith("1.")


def _is_unhealthy(health: dict[str, Any]) -> bool:
    """Docker also says so of a container that was paused, until its next check (moby:
    container/health.go, CloseMonitorChannel); then none has failed."""
    return health.get("Status") == "unhealthy" and health.get("FailingStreak", 0) > 0


def _state(state: dict[str, Any]) -> str:
    """Docker calls a container "running" also while it restarts or is paused."""
    for flag, name in (("Restarting", RESTARTING), ("Paused", PAUSED), ("Running", RUNNING)):
        if state.get(flag):
            return name
    return str(state.get("Status", ""))


def _services(labels: dict[str, str], condition: str = "") -> list[str]:
    """Compose writes `db:service_healthy:false,cache:service_started:false`."""
    listed = labels.get(f"{_COMPOSE}depends_on", "").split(",")
    return [name for one in listed if condition in one and (name := one.partition(":")[0])]
