"""What is known of a container, and of one that was ended: plain facts, read from Docker's answer.

No call to Docker here, and no decision.
"""

from __future__ import annotations

from typing import Any, NamedTuple

RUNNING, PAUSED, RESTARTING = "running", "paused", "restarting"
ALIVE = (RUNNING, PAUSED, RESTARTING)
_SWARM = "com.docker.swarm.task.id"


class Mounted(NamedTuple):
    """Something mounted into a container; `volume` is "" for what cannot be one of ours."""

    volume: str
    writable: bool


class Container(NamedTuple):
    """A container that lives, as far as it matters for ending it and starting it again.

    `needs` are the names of services of its project and the ids of containers that must run
    before it, `healthy` those of the services that must be well; `stop_timeout` is what its own
    definition says in seconds, -1 if nothing. One that `removes_itself` is not there to be started
    again: it was made with --rm, or belongs to Swarm, which puts another in its place.
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
    ill: bool = False  # its health check does not pass

    def writes_to(self, volumes: frozenset[str]) -> bool:
        """Whether it has one of them writable."""
        return any(mount.writable and mount.volume in volumes for mount in self.mounts)

    def writes_only_to(self, volumes: frozenset[str]) -> bool:
        """Whether it has something writable mounted, and nothing but these."""
        writable = [mount.volume for mount in self.mounts if mount.writable]
        return bool(writable) and volumes.issuperset(writable)


class Ended(NamedTuple):
    """A container that a verb has ended or is about to, so that it can be brought back.

    `how` is "stop", "kill" or "pause", `was` its state before, and `started` when it had been
    started. All plain JSON: it is noted on disk before anything is done.
    """

    id: str
    name: str
    how: str
    was: str
    started: str


def described(inspected: dict[str, Any]) -> Container:
    """From Docker's answer to `inspect`."""
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
        needs=(*_services(labels), *_shared(host)),
        ill=(inspected["State"].get("Health") or {}).get("Status") == "unhealthy",
        healthy=tuple(_services(labels, ":service_healthy")),
    )


def mounted(mount: dict[str, Any]) -> Mounted:
    """A volume of the built-in `local` driver is not ours; any other driver may be us, under
    whatever name the plugin was installed."""
    ours = mount.get("Type") == "volume" and mount.get("Driver") != "local"
    return Mounted(str(mount.get("Name", "")) if ours else "", bool(mount.get("RW", True)))


def _state(state: dict[str, Any]) -> str:
    """One that restarts is "running", too, and so is a paused one."""
    for fact, name in (("Restarting", RESTARTING), ("Paused", PAUSED), ("Running", RUNNING)):
        if state.get(fact):
            return name
    return str(state.get("Status", ""))


def _services(labels: dict[str, str], condition: str = "") -> list[str]:
    """Compose writes `db:service_healthy:false,cache:service_started:false`."""
    listed = labels.get("com.docker.compose.depends_on", "").split(",")
    return [name for one in listed if condition in one and (name := one.partition(":")[0])]


def _shared(host: dict[str, Any]) -> list[str]:
    """Containers whose network, processes or memory it shares."""
    modes = (str(host.get(mode) or "") for mode in ("NetworkMode", "PidMode", "IpcMode"))
    return [mode.removeprefix("container:") for mode in modes if mode.startswith("container:")]
