"""Docker itself: who uses a volume, and having containers ended and started.

The only module of the engine that knows the Docker SDK, which it imports late: that costs a
quarter of a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from dvol.containers import GONE, KILL, PAUSE, STOP
from dvol.containers.container import (
    ALIVE,
    PAUSED,
    RESTARTING,
    RUNNING,
    Container,
    Ended,
    described,
    mounted,
)
from dvol.containers.start_order import in_order
from dvol.errors import CannotEnd, ContainerStarting, DockerUnusable

_PATIENCE = 10  # seconds for an answer
_DOING = 90  # seconds for what Docker does, besides the time that a container takes to stop
_START = 3.0  # seconds that a start takes which has passed the gate
_START_PATIENCE = 15.0  # seconds for one that has; less than those at the gate wait
_PAUSES = (0, 1, 2, 3)  # seconds before each try: a start may find another volume's gate closed
_PROBE = 0.1  # seconds between two questions for health
_LOOK = 0.005  # seconds between two looks whether one is answered
_KILLED = 137  # exit code
_RESTART = 60  # seconds for one whose end may be under way
_HEALTH_PATIENCE = 60.0  # seconds
_AT_ONCE = 8  # questions
_STARTING = object()
_LABEL = "com.docker.compose.project"


class Docker:
    """The Docker Engine at `url` (`unix:///...`). DockerUnusable if that can't be asked."""

    certain = True

    def __init__(self, url: str, plugin: bool = False) -> None:
        """`plugin` where this is the server, so that it is known to be enabled."""
        self.url = url
        self._plugin = plugin
        self._clients = threading.local()  # the SDK's are for one thread each
        self._version = "auto"

    # -- asking --------------------------------------------------------------------------------

    def using(self, volumes: Collection[str], at_gate: Callable[[], int]) -> list[Container]:
        with self._asking(", ".join(volumes)):
            found = {one["Id"]: one for one in self._having(volumes)}
            alive, starting = self._looked_at(list(found))
            deadline = time.monotonic() + _START_PATIENCE
            while len(starting) > at_gate() or any(_runs(found[id]) for id in starting):
                if time.monotonic() > deadline:
                    raise ContainerStarting(_name(found[starting[0]]))
                more, starting = self._looked_at(starting)
                alive += more
        return in_order(alive)

    def running(self) -> dict[str, list[str]]:
        users: dict[str, list[str]] = {}
        with self._asking("the volumes"):
            for one in self._api().containers(filters={"status": ["running", "paused"]}):
                for volume in {mount.volume for mount in map(mounted, one["Mounts"])} - {""}:
                    users.setdefault(volume, []).append(_name(one))
        return {volume: sorted(names) for volume, names in users.items()}

    def having(self, volumes: Collection[str], running: bool = False) -> dict[str, str]:
        with self._asking(", ".join(volumes)):
            found = self._having(volumes)
        return {one["Id"]: _name(one) for one in found if not running or _runs(one)}

    def volumes_of(self, project: str) -> list[str]:
        with self._asking(f"the project {project}"):
            label = [f"{_LABEL}={project}"]
            found = self._api().containers(all=True, filters={"label": label})
            mounts = [mounted(mount) for one in found for mount in one["Mounts"]]
            # after `down` there are no containers; Docker keeps the labels of what Compose made
            listed = self._api().volumes(filters={"label": label})["Volumes"] or []
        made = {one["Name"] for one in listed if one["Driver"] != "local"}
        return sorted({mount.volume for mount in mounts} - {""} | made)

    def local(self, volume: str) -> bool:
        if not self._plugin:  # the names in a pool of one's own are one's own
            return False
        with self._asking(volume):
            listed = self._api().volumes(filters={"driver": "local"})["Volumes"] or []
        return any(one["Name"] == volume for one in listed)

    def _having(self, volumes: Collection[str]) -> list[dict[str, Any]]:
        """Each container that has one of the volumes. Docker's own filter also matches a bind
        mount's source or a target of that text, so look again."""
        found = self._api().containers(all=True, filters={"volume": list(volumes)})
        wanted = set(volumes)
        return [one for one in found if wanted & {mounted(each).volume for each in one["Mounts"]}]

    def _looked_at(self, ids: list[str]) -> tuple[list[Container], list[str]]:
        """Those that are alive, and the ids of those that have not come up yet: `inspect` waits
        for a start, which holds the container's lock. All are asked at the same time."""
        if len(ids) < 2:  # mostly there is one, which needs no thread and no client of its own
            found = list(map(self._alive, ids))
        else:
            with ThreadPoolExecutor(min(len(ids), _AT_ONCE)) as pool:
                found = list(pool.map(self._alive, ids))
        alive = [one for one in found if isinstance(one, Container)]
        starting = [id for id, one in zip(ids, found, strict=True) if one is _STARTING]
        return [one for one in alive if one.state in ALIVE], starting

    def _alive(self, id: str) -> Container | object | None:
        import requests

        try:
            inspected = self._inspected(id, _START)
        except requests.exceptions.Timeout:
            return _STARTING
        return described(inspected) if inspected else None

    def _inspected(self, id: str, patience: float = _PATIENCE) -> dict[str, Any] | None:
        """None if it is gone."""
        api = self._api()
        answer = api.get(api._url("/containers/{0}/json", id), timeout=patience)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def require_startable(self, ended: Collection[Ended]) -> None:
        for one in ended if not self._plugin else ():
            with self._asking(one.name):
                mounts = (self._inspected(one.id) or {"Mounts": []})["Mounts"]
                for driver in {each["Driver"] for each in mounts if mounted(each).volume}:
                    if not self._enabled(driver):
                        reason = f"it could not start again: enable the plugin {driver} first"
                        raise CannotEnd(one.how, one.name, reason)

    def _enabled(self, driver: str) -> bool:
        """Also where it is no plugin that Docker manages."""
        api = self._api()
        answer = api.get(api._url("/plugins/{0}/json", driver), timeout=_PATIENCE)
        return not answer.ok or bool(answer.json()["Enabled"])

    # -- doing ---------------------------------------------------------------------------------

    def end(self, one: Ended, patience: float) -> bool:
        from docker.errors import APIError

        began = time.monotonic()
        api = self._api(_DOING)
        with self._asking(one.name):
            try:
                if one.how == PAUSE:
                    api.pause(one.id)
                elif one.how == KILL:
                    api.kill(one.id)
                else:
                    api.stop(one.id, timeout=int(patience))
            except APIError as error:
                if not self._has_ended(one):  # by itself, or by somebody else
                    reason = str(error.explanation or error)
                    raise CannotEnd(one.how, one.name, reason) from error
            late = one.how == STOP and time.monotonic() - began >= patience
            state = (self._inspected(one.id) or {}).get("State", {}) if late else {}
        return bool(state.get("ExitCode") == _KILLED)

    def _has_ended(self, one: Ended) -> bool:
        state = (self._inspected(one.id) or {}).get("State", {})
        return not state.get("Running") or (one.how == PAUSE and bool(state.get("Paused")))

    def bring_back(self, one: Ended, noted_in: str = "") -> str:
        from docker.errors import APIError

        reason = ""
        with self._asking(one.name):
            for pause in (0,) if noted_in else _PAUSES:
                time.sleep(pause)
                found = self._inspected(one.id, _DOING)
                if found is None or (noted_in and not _has(found, noted_in)):
                    return GONE
                if noted_in and _is_anothers(one, found["State"]):
                    return ""
                try:
                    self._bring_back(one, found["State"])
                    return ""
                except APIError as error:
                    reason = str(error.explanation or error)
        return reason

    def _bring_back(self, one: Ended, state: dict[str, Any]) -> None:
        api = self._api(_DOING)
        if one.how == PAUSE:
            if state["Paused"]:
                api.unpause(one.id)
            return
        paused = state["Paused"]
        if not state["Running"]:
            api.start(one.id)
        elif state["StartedAt"] == one.started:  # it was asked to end, and may yet
            api.restart(one.id, timeout=0 if one.how == KILL else _RESTART)
            paused = False
        if one.was == PAUSED and not paused:
            api.pause(one.id)

    def await_health(self, one: Ended) -> str:
        """By running the check itself every 100 ms: Docker's own first probe comes only after
        its whole interval."""
        deadline = time.monotonic() + _HEALTH_PATIENCE
        with self._asking(one.name):
            while time.monotonic() < deadline:
                found = self._inspected(one.id) or {}
                state, check = found.get("State", {}), _health_check(found)
                if not state.get("Running"):
                    return f"it has exited ({state.get('ExitCode', 'and is gone')})"
                if one.how == PAUSE or one.was == PAUSED or not check:
                    return ""
                if self._passes(one.id, check, deadline):
                    return ""
                time.sleep(_PROBE)
        return f"its health check has not passed for {_HEALTH_PATIENCE:.0f} s"

    def _passes(self, id: str, check: list[str], deadline: float) -> bool:
        from docker.errors import APIError

        api = self._api()
        try:
            execution = api.exec_create(id, check)["Id"]
            api.exec_start(execution, detach=True)  # else a check that hangs would hang us
            while (seen := api.exec_inspect(execution))["Running"]:
                if time.monotonic() > deadline:
                    return False
                time.sleep(_LOOK)
            return bool(seen["ExitCode"] == 0)
        except APIError:  # it restarts, or has just ended
            return False

    # ------------------------------------------------------------------------------------------

    def _api(self, patience: int = _PATIENCE) -> Any:
        clients, name = vars(self._clients), f"within {patience} s"
        if name not in clients:
            import docker

            clients[name] = docker.APIClient(self.url, version=self._version, timeout=patience)
            self._version = clients[name].api_version  # so that only the first one has to ask
        return clients[name]

    @contextmanager
    def _asking(self, subject: str) -> Iterator[None]:
        """Whatever goes wrong between Docker and us is one refusal."""
        import docker
        import requests

        odd_answer = (KeyError, TypeError, AttributeError, ValueError)  # or an odd DOCKER_HOST
        refused = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
        try:
            yield
        except (*refused, *odd_answer) as error:
            raise DockerUnusable(subject, _reason(error)) from error


def _has(inspected: dict[str, Any], volume: str) -> bool:
    return volume in {mounted(mount).volume for mount in inspected["Mounts"]}


def _is_anothers(one: Ended, state: dict[str, Any]) -> bool:
    """Somebody has started it since it was noted, or it has itself, unless it is in a restart loop
    that was ended: then it had, just before."""
    since = state["StartedAt"] != one.started
    return since and not (one.was == RESTARTING and not state["Running"])


def _runs(listed: dict[str, Any]) -> bool:
    """One that restarts may wait at the gate; one that runs does not."""
    return listed["State"] in (RUNNING, PAUSED)


def _name(listed: dict[str, Any]) -> str:
    return str((listed.get("Names") or [listed["Id"][:12]])[0])


def _health_check(inspected: dict[str, Any]) -> list[str]:
    """The command, [] if there is none."""
    test = (inspected.get("Config", {}).get("Healthcheck") or {}).get("Test") or ["NONE"]
    kind, *words = test
    if kind == "CMD":
        return words
    return ["/bin/sh", "-c", words[0]] if kind == "CMD-SHELL" and words else []


def _reason(error: BaseException) -> str:
    """The innermost cause: the SDK wraps a refused connection four times over."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return getattr(cause, "strerror", None) or str(cause)
