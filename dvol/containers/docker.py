"""Docker itself: which containers use a volume, and suspending and resuming them.

Besides `execution`, the only module of the engine that imports the Docker SDK, and late: that takes
a quarter of a second.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from dvol.containers import DOWN, GONE, KILL, PAUSE, STOP
from dvol.containers.container import (
    ALIVE,
    PAUSED,
    RESTARTING,
    RUNNING,
    Container,
    Mounted,
    Suspension,
    parse,
    shares,
    volume_name,
)
from dvol.containers.events import Call, has_run, state_by_others
from dvol.containers.execution import NOT_BEGUN, Execution
from dvol.containers.hooks import POST_COMMIT, Owed, failure
from dvol.containers.init_process import STATUS, catches, stop_signal
from dvol.containers.ownership import Ownership
from dvol.containers.readiness import Check
from dvol.containers.start_order import in_order
from dvol.errors import CannotSuspend, ContainerStarting, DockerUnusable, UnclearPool

_TIMEOUT = 10  # seconds for an answer to a query
_EVENTS_WITHIN = 2  # seconds for the list of what has happened
_CALL_TIMEOUT = 90  # seconds for an operation, besides the time that a container takes to stop
_ANSWERS_WITHIN = 0.5  # seconds for an answer about a container that is not just being started
_START_TIMEOUT = 15.0  # seconds for all starts; less than a mount waits at the gate
_PAUSES = (0, 1, 2, 3)  # seconds before each try: a start may find another volume's gate closed
_STOPS_WITHIN = 0.3  # seconds without a stop after which process 1 is looked at
_LONGEST_PAUSE = 2.0  # seconds between two looks at it
_KILLED = 137  # exit code after SIGKILL
_RESTART_TIMEOUT = 60  # seconds to stop a container that Docker may be stopping already
_DIGESTS_WITHIN = 1.0  # seconds for the answers about all images
_AT_ONCE = 8  # parallel calls
_LOOKS = 5  # at a container whose mounts are not clear: it may be about to end
_LOOK_INTERVAL = 0.1  # seconds
_STARTING = object()
_LABEL = "com.docker.compose.project"


class Docker:
    """The Docker Engine at `url` (`unix:///...`). DockerUnusable if it can't be asked."""

    certain = True

    def __init__(
        self,
        url: str,
        ownership: Ownership,
        plugin: bool = False,
        sharers: dict[str, bool] | None = None,
    ) -> None:
        """`ownership` knows the pool's volumes; `plugin` if this is the server, so that the plugin
        is known to be enabled. `sharers` keeps for later calls of the server whether a container
        shares namespaces, by id: that never changes."""
        self.url = url
        self._ownership = ownership
        self._drivers: dict[str, bool | None] = {}  # whether a driver serves this pool
        self._plugin = plugin
        self._sharers = {} if sharers is None else sharers
        self._clients = threading.local()  # a client of the SDK is for one thread
        self._version = "auto"

    # -- asking --------------------------------------------------------------------------------

    def using(self, volumes: Collection[str], at_gate: Callable[[], int]) -> list[Container]:
        with self._asking(", ".join(volumes)):
            found = {listed["Id"]: listed for listed in self._having(volumes)}
            alive, starting = self._inspect_all(list(found))
            deadline = time.monotonic() + _START_TIMEOUT
            while len(starting) > at_gate() or any(_runs(found[id]) for id in starting):
                if time.monotonic() > deadline:
                    raise ContainerStarting(_name(found[starting[0]]))
                more, starting = self._inspect_all(starting)
                alive += more
                # one that ran when it was listed may have ended since, and wait at the gate
                found |= {listed["Id"]: listed for listed in self._having(volumes)}
            wanted = set(volumes)
            alive = [self._cleared(one, wanted) for one in alive]
        return in_order(one for one in alive if wanted & {mount.volume for mount in one.mounts})

    def sharers(self, owners: Collection[Container]) -> list[Container]:
        known = {one.id for one in owners}
        with self._asking(", ".join(one.name for one in owners)):
            listed = [one["Id"] for one in self._api().containers(filters={"status": list(ALIVE)})]
            asked = [id for id in listed if id not in known and self._sharers.get(id, True)]
            found, silent = self._inspect_all(asked)
            deadline = time.monotonic() + _START_TIMEOUT
            while silent:  # each may share, and would be forgotten
                if time.monotonic() > deadline:
                    raise ContainerStarting(silent[0][:12])
                more, silent = self._inspect_all(silent)
                found += more
        self._sharers.update({one.id: bool(one.shares) for one in found})
        for id in list(self._sharers):
            if id not in listed:
                self._sharers.pop(id, None)
        return in_order(one for one in found if one.shares)

    def running(self) -> dict[str, list[str]]:
        users: dict[str, list[str]] = {}
        with self._asking("the volumes"):
            for listed in self._api().containers(filters={"status": ["running", "paused"]}):
                for volume in self._volumes_in(listed):
                    users.setdefault(volume, []).append(_name(listed))
        return {volume: sorted(names) for volume, names in users.items()}

    def having(self, volumes: Collection[str], running: bool = False) -> dict[str, str]:
        with self._asking(", ".join(volumes)):
            found = self._having(volumes)
        return {listed["Id"]: _name(listed) for listed in found if not running or _runs(listed)}

    def volumes_of(self, project: str, names: Collection[str]) -> list[str]:
        projects: dict[str, set[str]] = {}  # of each volume
        with self._asking(f"the project {project}"):
            for one in self._api().containers(all=True, filters={"label": [_LABEL]}):
                for volume in self._volumes_in(one):
                    projects.setdefault(volume, set()).add(_project(one))
            # after `down` there are no containers, but the volumes keep Compose's labels
            for made in self._api().volumes(filters={"label": [_LABEL]})["Volumes"] or []:
                if made["Driver"] != "local":
                    projects.setdefault(made["Name"], set()).add(_project(made))
        known = {volume for volume, of in projects.items() if project in of}
        # a restored volume has lost its labels, and keeps the name that Compose gave it
        named = {name for name in names if name.startswith(f"{project}_")} - projects.keys()
        return sorted(known | named)

    def local(self) -> set[str]:
        if not self._plugin:  # without a plugin Docker has no part in the pool's names
            return set()
        with self._asking("the volumes"):
            listed = self._api().volumes(filters={"driver": "local"})["Volumes"] or []
        return {one["Name"] for one in listed}

    def digests(self, images: Collection[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        deadline = time.monotonic() + _DIGESTS_WITHIN
        with suppress(DockerUnusable), self._asking("the images"):
            api = self._api()
            for id in images:
                left = max(0.01, deadline - time.monotonic())
                answer = api.get(api._url("/images/{0}/json", id), timeout=left)
                found[id] = list(map(str, answer.json().get("RepoDigests") or []))
        return found

    def _having(self, volumes: Collection[str]) -> list[dict[str, Any]]:
        """Each container that has one of the volumes, or may have it. Docker's own filter also
        matches a bind mount whose source or target is that text, so the mounts are looked at
        again."""
        found = self._api().containers(all=True, filters={"volume": list(volumes)})
        return [listed for listed in found if self._volumes_in(listed).intersection(volumes)]

    def _volumes_in(self, listed: dict[str, Any]) -> set[str]:
        """The names of the volumes of a container that are, or may be, this pool's."""
        return {
            volume
            for mount in listed["Mounts"]
            if (volume := volume_name(mount))
            and self._serves(str(mount.get("Driver", ""))) is not False
        }

    def _serves(self, driver: str) -> bool | None:
        """Whether a driver serves this pool, None if that can't be said; asked once."""
        if driver not in self._drivers:
            answer = self._plugin_named(driver)
            id = str(answer.json()["Id"]) if answer.ok else ""
            self._drivers[driver] = self._ownership.of_plugin(id)
        return self._drivers[driver]

    def _plugin_named(self, driver: str) -> Any:
        """Docker's answer about a plugin that it manages; not `ok` if the driver is none."""
        api = self._api()
        return api.get(api._url("/plugins/{0}/json", driver), timeout=_TIMEOUT)

    def _mounted_in(self, inspected: dict[str, Any], mount: dict[str, Any]) -> Mounted:
        writable = bool(mount.get("RW", True))
        volume = volume_name(mount)
        ours = self._serves(str(mount.get("Driver", ""))) if volume else False
        pid = inspected["State"].get("Pid", 0)
        if ours is None and pid:
            ours = self._ownership.of_process(inspected["Id"], pid, volume)
        path = str(mount.get("Destination") or "")
        elsewhere = bool(volume) and ours is False
        return Mounted("" if ours is False else volume, writable, path, ours is None, elsewhere)

    def _cleared(self, one: Container, volumes: Collection[str]) -> Container:
        """The container, looked at again until it is clear whether it has one of the volumes, or
        until it has ended; raises UnclearPool."""
        for _ in range(_LOOKS):
            doubtful = [
                mount.volume for mount in one.mounts if mount.doubtful and mount.volume in volumes
            ]
            if not doubtful or one.state not in ALIVE:
                return one
            time.sleep(_LOOK_INTERVAL)
            again = self._inspect(one.id)
            if again is None:
                return one._replace(mounts=())
            one = again if isinstance(again, Container) else one
        raise UnclearPool(one.name, doubtful[0])

    def _inspect_all(self, ids: list[str]) -> tuple[list[Container], list[str]]:
        """The containers that are alive, and the ids of the containers that are still starting:
        `inspect` waits for a start, which holds the container's lock in Docker. All are inspected
        at the same time."""
        if len(ids) < 2:  # mostly there is one: no need for a thread with a client of its own
            found = list(map(self._inspect, ids))
        else:
            with ThreadPoolExecutor(min(len(ids), _AT_ONCE)) as pool:
                found = list(pool.map(self._inspect, ids))
        alive = [one for one in found if isinstance(one, Container)]
        starting = [id for id, one in zip(ids, found, strict=True) if one is _STARTING]
        return [one for one in alive if one.state in ALIVE], starting

    def _inspect(self, id: str) -> Container | object | None:
        import requests

        try:
            inspected = self._inspected(id, _ANSWERS_WITHIN)
        except requests.exceptions.Timeout:
            return _STARTING
        return parse(inspected, partial(self._mounted_in, inspected)) if inspected else None

    def _inspected(self, id: str, timeout: float = _TIMEOUT) -> dict[str, Any] | None:
        """Docker's answer to `inspect`; None if the container no longer exists."""
        api = self._api()
        answer = api.get(api._url("/containers/{0}/json", id), timeout=timeout)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def require_startable(self, suspensions: Collection[Suspension]) -> None:
        for suspension in suspensions if not self._plugin else ():
            with self._asking(suspension.name):
                mounts = (self._inspected(suspension.id) or {"Mounts": []})["Mounts"]
                for driver in {each["Driver"] for each in mounts if volume_name(each)}:
                    if not self._enabled(driver):
                        reason = f"it could not start again: enable the plugin {driver} first"
                        raise CannotSuspend(suspension.action, suspension.name, reason)

    def _enabled(self, driver: str) -> bool:
        """True also if the driver is no plugin that Docker manages."""
        answer = self._plugin_named(driver)
        return not answer.ok or bool(answer.json()["Enabled"])

    # -- doing ---------------------------------------------------------------------------------

    def suspend(self, suspension: Suspension, timeout: float) -> bool:
        from docker.errors import APIError

        api = self._api(_CALL_TIMEOUT)
        with self._asking(suspension.name):
            try:
                if suspension.action == PAUSE:
                    api.pause(suspension.id)
                elif suspension.action == KILL:
                    api.kill(suspension.id)
                else:
                    self._stop(suspension.id, int(timeout))
            except APIError as error:
                # by itself, or by another command, which may have started it again since
                if not (_did_not_run(error) or self._has_ended(suspension)):
                    reason = str(error.explanation or error)
                    raise CannotSuspend(suspension.action, suspension.name, reason) from error
            stopped = suspension.action == STOP
            state = (self._inspected(suspension.id) or {}).get("State", {}) if stopped else {}
        return bool(state.get("ExitCode") == _KILLED)

    def _stop(self, id: str, timeout: int) -> None:
        """Stop a container, and meanwhile see to it that process 1 gets the signal."""
        ended = threading.Event()
        threading.Thread(target=self._repeat_stop_signal, args=(id, ended), daemon=True).start()
        try:
            self._api(_CALL_TIMEOUT).stop(id, timeout=timeout)
        finally:
            ended.set()

    def _repeat_stop_signal(self, id: str, ended: threading.Event) -> None:
        """Repeat the signal of a stop once, as soon as process 1 catches it, if it did not at
        first: then it certainly has not got the first one. Several servers exit hard at the second
        signal, so in doubt none is sent."""
        if ended.wait(_STOPS_WITHIN):
            return
        with suppress(DockerUnusable), self._asking(id):
            number = stop_signal(self._inspected(id) or {"HostConfig": {}})
            pause, dropped = _STOPS_WITHIN, False
            while (caught := self._catches(id, number)) is False:
                if ended.wait(pause):
                    return
                pause, dropped = min(2 * pause, _LONGEST_PAUSE), True
            if caught and dropped and not ended.is_set():
                self._api().kill(id, number)

    def _catches(self, id: str, number: int) -> bool | None:
        """Whether process 1 catches a signal; None if that can't be found out."""
        status = Execution(self._api(), id).output(("cat", STATUS)) if number else None
        return catches(status or "", number)

    def _has_ended(self, suspension: Suspension) -> bool:
        """Or is paused already; or is between two runs, and has no process to pause: then the next
        look at the containers finds that out."""
        state = (self._inspected(suspension.id) or {}).get("State", {})
        still = state.get("Paused") or state.get("Restarting")
        return not state.get("Running") or (suspension.action == PAUSE and bool(still))

    def resume(self, suspension: Suspension, recorded_in: str = "") -> str:
        from docker.errors import APIError

        reason = ""
        with self._asking(suspension.name):
            for pause in (0,) if recorded_in else _PAUSES:
                time.sleep(pause)
                found = self._inspected(suspension.id, _CALL_TIMEOUT)
                if found is None or (
                    recorded_in and not self._is_recorded(suspension, found, recorded_in)
                ):
                    return GONE
                if recorded_in and _was_started_since(suspension, found["State"]):
                    return ""
                try:
                    self._start_again(suspension, found)
                    return ""
                except APIError as error:
                    reason = str(error.explanation or error)
                    if self._is_vain(suspension, found):
                        return reason
        return reason

    def _is_vain(self, suspension: Suspension, tried: dict[str, Any]) -> bool:
        """Whether another try to start a container would fail as the last one: it is to share with
        one that does not run, or it still runs, since Docker could not end it."""
        owners = map(self._inspected, shares(tried["HostConfig"]))
        if not all(owner is not None and owner["State"]["Running"] for owner in owners):
            return True
        now = self._inspected(suspension.id) if tried["State"]["Running"] else None
        return now is not None and now["State"]["Running"] and suspension.action != PAUSE

    def changed_by_others(self, calls: Mapping[str, Sequence[Call]], since: int) -> dict[str, str]:
        with suppress(DockerUnusable), self._asking("the containers"):
            events = self._events(list(calls), since)
            return {id: state_by_others(events[id], calls[id]) for id in calls}
        return dict.fromkeys(calls, "")  # in doubt nobody has

    def woken(self, paused: Collection[tuple[Container, int]]) -> list[str]:
        if not paused:
            return []
        with self._asking(", ".join(one.name for one, _ in paused)):
            found = [one.id for one, _ in paused if not self._is_still_paused(one)]
            events = self._events([one.id for one, _ in paused], min(since for _, since in paused))
        return found + [one.id for one, since in paused if has_run(events[one.id], since)]

    def _is_still_paused(self, one: Container) -> bool:
        state = (self._inspected(one.id) or {}).get("State", {})
        return bool(state.get("Paused")) and state["StartedAt"] == one.started

    def _events(self, ids: list[str], since: int) -> dict[str, list[dict[str, Any]]]:
        """What has happened to containers, by id, as far as Docker remembers."""
        filters = json.dumps({"type": ["container"], "container": ids})
        span = {"since": _seconds(since), "until": _seconds(time.time_ns()), "filters": filters}
        api = self._api()
        answer = api.get(api._url("/events"), params=span, timeout=_EVENTS_WITHIN)
        events = list(map(json.loads, answer.text.splitlines())) if answer.ok else []
        return {id: [one for one in events if _is_about(one, id)] for id in ids}

    def _is_recorded(self, suspension: Suspension, inspected: dict[str, Any], volume: str) -> bool:
        """Whether a record in that volume can be about this container: it has the volume, or shares
        namespaces with another container, as the record says."""
        if suspension.sharing_with:
            owner = self._inspected(suspension.sharing_with)
            names = (owner["Id"], owner["Name"].removeprefix("/")) if owner else ()
            return any(name.startswith(shares(inspected["HostConfig"])) for name in names)
        return volume in self._volumes_in(inspected)

    def _start_again(self, suspension: Suspension, inspected: dict[str, Any]) -> None:
        api, state = self._api(_CALL_TIMEOUT), inspected["State"]
        if suspension.action == PAUSE:
            if state["Paused"]:
                api.unpause(suspension.id)
            return
        paused = state["Paused"]
        if not state["Running"]:
            api.start(suspension.id)
        elif state["StartedAt"] == suspension.started:  # Docker may still be stopping it
            own = inspected["Config"].get("StopTimeout")
            timeout = _RESTART_TIMEOUT if own is None or own < 0 else min(own, _RESTART_TIMEOUT)
            api.restart(suspension.id, timeout=0 if suspension.action == KILL else timeout)
            paused = False
        if suspension.was == PAUSED and not paused:
            api.pause(suspension.id)

    def await_ready(self, suspension: Suspension, check: Check | None, limit: float = -1) -> str:
        from dvol.containers.probe import Probe

        with self._asking(suspension.name):
            return Probe(self._api(), suspension.id, check).await_ready(limit)

    def run_hook(self, container: Container, label: str) -> str:
        hooks = container.hooks
        with self._asking(container.name):
            running = Execution(self._api(), container.id)
            code = running.run(hooks.command(label), hooks.timeout)
        return DOWN if code == NOT_BEGUN else failure(code, hooks.timeout)

    def run_owed(self, owed: Owed, recorded_in: str, ready: tuple[str, str]) -> str:
        from dvol.containers.probe import Probe

        with self._asking(owed.name):
            found = self._inspected(owed.id)
            if found is None or recorded_in not in self._volumes_in(found):
                return GONE
            one = parse(found, partial(self._mounted_in, found))
            if one.state != RUNNING:
                return DOWN
            if not one.unhealthy:
                Probe(self._api(), one.id, one.readiness.check(*ready)).await_ready()
        return self.run_hook(one, POST_COMMIT) if one.hooks.post else ""

    # ------------------------------------------------------------------------------------------

    def _api(self, timeout: int = _TIMEOUT) -> Any:
        clients, name = vars(self._clients), f"within {timeout} s"
        if name not in clients:
            import docker

            clients[name] = docker.APIClient(self.url, version=self._version, timeout=timeout)
            self._version = clients[name].api_version  # so that only the first client asks for it
        return clients[name]

    @contextmanager
    def _asking(self, subject: str) -> Iterator[None]:
        """Every failure of a call to Docker in the block becomes DockerUnusable."""
        import docker
        import requests

        odd_answer = (KeyError, TypeError, AttributeError, ValueError)  # or an odd DOCKER_HOST
        refused = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
        try:
            yield
        except (*refused, *odd_answer) as error:
            raise DockerUnusable(subject, _reason(error)) from error


def _was_started_since(suspension: Suspension, state: dict[str, Any]) -> bool:
    """Whether the container was started since it was recorded. A container in a restart loop may
    have started just before it was stopped: that does not count."""
    since = state["StartedAt"] != suspension.started
    return since and not (suspension.was == RESTARTING and not state["Running"])


def _project(listed: dict[str, Any]) -> str:
    return str((listed.get("Labels") or {}).get(_LABEL, ""))


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"


def _is_about(event: dict[str, Any], id: str) -> bool:
    return bool(event.get("Actor", {}).get("ID") == id)


def _did_not_run(error: Any) -> bool:
    """Whether Docker refused to kill or pause a container since it did not run in that instant
    (moby: errNotRunning in daemon/errors.go)."""
    conflict = error.response is not None and error.response.status_code == 409
    return conflict and "is not running" in str(error.explanation)


def _runs(listed: dict[str, Any]) -> bool:
    """A container that restarts may wait at the gate; one that runs or is paused does not."""
    return listed["State"] in (RUNNING, PAUSED)


def _name(listed: dict[str, Any]) -> str:
    return str((listed.get("Names") or [listed["Id"][:12]])[0])


def _reason(error: BaseException) -> str:
    """The innermost cause: the SDK wraps a refused connection four times over."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return getattr(cause, "strerror", None) or str(cause)
