"""A container, and its suspension, as read from Docker's answers.

No call to Docker here, and no decision.
"""

from __future__ import annotations

from typing import Any, NamedTuple

RUNNING, PAUSED, RESTARTING = "running", "paused", "restarting"
ALIVE = (RUNNING, PAUSED, RESTARTING)
_SWARM = "com.docker.swarm.task.id"


class Mounted(NamedTuple):
    """A mount of a container; `volume` is "" if it can be none of dvol's volumes."""

    volume: str
    writable: bool


class Container(NamedTuple):
    """What matters of a container that is alive for stopping it and starting it again.

    `needs` are the names of services of its project and the ids of containers that must run before
    it, `healthy` the names of those services that must be healthy before it starts; `stop_timeout`
    is that of its own definition in seconds, -1 if it has none. A container that `removes_itself`
    can't be started again: it was made with --rm, or belongs to Swarm, which replaces it by
    another.
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
    ill: bool = False  # Docker reports it as unhealthy

    def writes_to(self, volumes: frozenset[str]) -> bool:
        """Whether it has one of `volumes` mounted writable."""
        return any(mount.writable and mount.volume in volumes for mount in self.mounts)

    def writes_only_to(self, volumes: frozenset[str]) -> bool:
        """Whether all that it has mounted writable are some of `volumes`, and at least one is."""
        writable = [mount.volume for mount in self.mounts if mount.writable]
        return bool(writable) and volumes.issuperset(writable)


class Suspension(NamedTuple):
    """What a verb does to a container, so that it can be resumed afterwards.

    `action` is "stop", "kill", "pause", or "" for a container that is left alone; `was` is its
    state before, and `started` the time of its start, as Docker writes it. All plain JSON: it is
    recorded on disk before the container is touched.
    """

    id: str
    name: str
    action: str
    was: str
    started: str


def parse(inspected: dict[str, Any]) -> Container:
    """The container that Docker's answer to `inspect` describes."""
    config, host = inspected["Config"], inspected["HostConfig"]
    labels = config.get("Labels") or {}
    timeout = config.get("StopTimeout")
    return Container(
        id=inspected["Id"],
        name=inspected["Name"],
        state=_state(inspected["State"]),
        started=inspected["State"]["StartedAt"],
        mounts=tuple(map(mounted, inspected["Mounts"])),
        removes_itself=bool(host.get("AutoRemove")) or _SWARM in labels,
        stop_timeout=-1 if timeout is None else timeout,
        project=labels.get("com.docker.compose.project", ""),
        service=labels.get("com.docker.compose.service", ""),
        needs=(*_services(labels), *_shares_with(host)),
        ill=(inspected["State"].get("Health") or {}).get("Status") == "unhealthy",
        healthy=tuple(_services(labels, ":service_healthy")),
    )


def mounted(mount: dict[str, Any]) -> Mounted:
    """A mount as Docker lists it. A volume of the built-in `local` driver is none of dvol's; any
    other driver may be dvol's plugin, under whatever name it was installed."""
    ours = mount.get("Type") == "volume" and mount.get("Driver") != "local"
    return Mounted(str(mount.get("Name", "")) if ours else "", bool(mount.get("RW", True)))


def _state(state: dict[str, Any]) -> str:
    """Docker calls a container "running" also while it restarts or is paused."""
    for flag, name in (("Restarting", RESTARTING), ("Paused", PAUSED), ("Running", RUNNING)):
        if state.get(flag):
            return name
    return str(state.get("Status", ""))


def _services(labels: dict[str, str], condition: str = "") -> list[str]:
    """Compose writes `db:service_healthy:false,cache:service_started:false`."""
    listed = labels.get("com.docker.compose.depends_on", "").split(",")
    return [name for one in listed if condition in one and (name := one.partition(":")[0])]


def _shares_with(host: dict[str, Any]) -> list[str]:
    """Containers whose network, processes or memory the container shares."""
    modes = (str(host.get(mode) or "") for mode in ("NetworkMode", "PidMode", "IpcMode"))
    return [mode.removeprefix("container:") for mode in modes if mode.startswith("container:")]
