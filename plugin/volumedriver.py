"""The plugin API: the nine calls of the volume plugin protocol, in Docker's words.

Rules that Docker's behaviour forces (docs/protocol.md has their sources):
- No call here asks Docker anything: Docker waits for our answer, often holding locks.
- No call keeps state: mount ids repeat and get lost, so mounts are not counted.
- Docker may send every call twice, the second time with an empty body.
- `Get` answers an error only if there is no such volume; in doubt it closes the connection.
- `Mount` never answers an empty path: Docker would mount the plugin's own root instead.
- `Get` names no path, unless the kernel has SELinux: Docker would look for it on the host.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bottle import Bottle

from dvol.engine.docker_volumes import DockerVolumes
from dvol.errors import (
    Bug,
    Corrupt,
    Detached,
    DvolError,
    InvalidName,
    InvalidOption,
    InvalidOptionOfRemoved,
    InvalidRequest,
    ReservedName,
    TooManyWaiting,
    VolumeNotFound,
)
from plugin import wire

THREADS = 64
_WAITING = THREADS // 2  # calls that may wait; the other half always answers Get and List
_FILESYSTEMS = Path("/proc/filesystems")

Answer = dict[str, Any]


class VolumeDriver:
    """The calls on one pool. `collect_later` starts the deletion of garbage, after `remove`."""

    def __init__(self, volumes: DockerVolumes, collect_later: Callable[[], None]) -> None:
        self._volumes = volumes
        self._collect_later = collect_later
        self._may_wait = threading.BoundedSemaphore(_WAITING)
        self._detached = False

    def detach(self) -> None:
        """From now on answer as if there were no volumes, so that Docker forgets them: a part of
        uninstalling. The volumes stay as they are; after a restart they are answered again."""
        self._detached = True

    def activate(self, question: Answer) -> Answer:
        return {"Implements": ["VolumeDriver"]}

    def capabilities(self, question: Answer) -> Answer:
        return {"Capabilities": {"Scope": "local"}}

    def create(self, question: Answer) -> Answer:
        volume = _name(question)
        options = question.get("Opts") or {}
        if not isinstance(options, dict):
            raise InvalidRequest("the options of the volume are no JSON object")
        if options:
            option = next(iter(options))
            if self._volumes.is_removed(volume):  # Compose removes it to create it with options
                raise InvalidOptionOfRemoved(option, volume)
            raise InvalidOption(option)
        with self._waiting(volume):
            self._volumes.create(volume)
        return {"Err": ""}

    def remove(self, question: Answer) -> Answer:
        volume = _name(question)
        with self._waiting(volume):
            self._volumes.remove(volume)
        self._collect_later()
        return {"Err": ""}

    def mount(self, question: Answer) -> Answer:
        volume = _name(question)
        with self._waiting(volume):
            return {"Mountpoint": str(self._volumes.mount(volume)), "Err": ""}

    def unmount(self, question: Answer) -> Answer:
        _name(question)
        return {"Err": ""}

    def path(self, question: Answer) -> Answer:
        return {"Mountpoint": str(self._volumes.tree(_name(question))), "Err": ""}

    def get(self, question: Answer) -> Answer:
        with _in_doubt_hang_up():
            volume = _name(question)
            if self._detached:
                raise VolumeNotFound(volume)
            found = {
                "Name": volume,
                "Mountpoint": self._to_relabel(volume),
                "CreatedAt": self._volumes.created(volume),
                "Status": self._status(volume),
            }
            return {"Volume": found, "Err": ""}

    def list(self, question: Answer) -> Answer:
        names = [] if self._detached else self._volumes.names()
        volumes = [{"Name": name, "Mountpoint": self._mountpoint(name)} for name in names]
        return {"Volumes": volumes, "Err": ""}

    def _status(self, volume: str) -> Answer:
        """The `Status` of a volume; of a corrupt one its problem, since it exists."""
        try:
            facts = self._volumes.describe(volume)
        except Corrupt as error:
            return {"Problem": str(error)}
        return {"Branch": facts.branch, "Head": facts.head, "Commits": facts.commits}

    def _to_relabel(self, volume: str) -> str:
        """The path by which Docker up to 25 looks for a volume on the host, if a container has it
        with `:z` or `:Z`. It does not translate the path, as it does those of other calls.

        None: the path is one inside the plugin, and the container would not start where the host
        has no such path, or no longer, because that branch was deleted. With SELinux, Docker
        relabels the path, and without one its own working directory, the root of the host.
        """
        return self._mountpoint(volume) if _has_selinux() else ""

    def _mountpoint(self, volume: str) -> str:
        """For display: Docker mounts what `Mount` answers."""
        try:
            return str(self._volumes.tree(volume))
        except DvolError:
            return ""

    @contextmanager
    def _waiting(self, volume: str) -> Iterator[None]:
        """Around calls that may wait for a lock: half of the threads at most, so that the others
        are left for `Get` and `List`. Raises TooManyWaiting, Detached."""
        if self._detached:
            raise Detached(volume)
        if not self._may_wait.acquire(blocking=False):
            raise TooManyWaiting(volume)
        try:
            yield
        finally:
            self._may_wait.release()


def make_app(driver: VolumeDriver) -> Bottle:
    """Docker's calls as a Bottle app."""
    app = wire.new_app()
    calls = (
        ("/Plugin.Activate", driver.activate, _no_body),
        ("/VolumeDriver.Capabilities", driver.capabilities, _no_body),
        ("/VolumeDriver.List", driver.list, _no_body),
        ("/VolumeDriver.Create", driver.create, wire.body),
        ("/VolumeDriver.Remove", driver.remove, wire.body),
        ("/VolumeDriver.Mount", driver.mount, wire.body),
        ("/VolumeDriver.Unmount", driver.unmount, wire.body),
        ("/VolumeDriver.Path", driver.path, wire.body),
        ("/VolumeDriver.Get", driver.get, _body_or_hang_up),
    )
    for path, call, read in calls:
        app.post(path, callback=_answering(path, call, read))
    return app


def _answering(
    path: str, call: Callable[[Answer], Answer], read: Callable[[], Answer]
) -> Callable[[], Any]:
    def answer() -> Any:
        began, question = time.monotonic(), {}
        try:
            question = read()
            found, outcome = call(question), "ok"
        except DvolError as error:
            # always 500: neither Docker nor Podman tells other error statuses apart
            found, outcome = wire.refusal(error, 500), f"refused: {error}"
        except wire.HangUp:
            raise
        except Exception as error:
            wire.log.exception("a bug in %s", path)
            found, outcome = wire.refusal(Bug(repr(error)), 500), "a bug"
        wire.log_call(path, str(question.get("Name", "")), began, outcome)
        return found

    return answer


def _has_selinux() -> bool:
    """Whether the kernel was booted with SELinux: it knows selinuxfs only then."""
    return "selinuxfs" in _FILESYSTEMS.read_text().split()


def _no_body() -> Answer:
    return {}


def _body_or_hang_up() -> Answer:
    with _in_doubt_hang_up():
        return wire.body()


@contextmanager
def _in_doubt_hang_up() -> Iterator[None]:
    """For `Get`, which may answer an error only if the volume does not exist: any other error
    becomes HangUp."""
    try:
        yield
    except (VolumeNotFound, InvalidName, ReservedName):
        raise
    except Exception as error:
        raise wire.HangUp(str(error)) from error


def _name(question: Answer) -> str:
    name = question.get("Name")
    if not isinstance(name, str):
        raise InvalidRequest("the request names no volume")
    return name
