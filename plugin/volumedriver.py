"""Docker's door: the nine calls of the volume plugin protocol, in Docker's words.

Rules that Docker's behaviour forces (docs/protocol.md has their sources):
- No call here asks Docker anything: Docker waits for our answer, often holding locks.
- No call keeps state: mount ids repeat, get lost and come back, so nothing is counted.
- Every call may come twice, and the second time with an empty body.
- `Get` says "no such volume" only when there is none; in doubt it hangs up.
- `Mount` never answers an empty path: Docker would mount the plugin's own root instead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bottle import Bottle

from dvol.errors import (
    Bug,
    Busy,
    Corrupt,
    DvolError,
    InvalidName,
    InvalidOption,
    InvalidRequest,
    ReservedName,
    Unsupported,
    VolumeNotFound,
)
from dvol.pool import Pool
from plugin import wire

THREADS = 64
_WAITING_MOUNTS = THREADS // 2  # the other half always answers Get and List

Answer = dict[str, Any]


class VolumeDriver:
    """The calls on one pool. `discarded` is called when something was doomed by `remove`."""

    def __init__(self, pool: Pool, discarded: Callable[[], None]) -> None:
        self._pool = pool
        self._discarded = discarded
        self._mounts = threading.BoundedSemaphore(_WAITING_MOUNTS)
        self._detached = False

    def detach(self) -> None:
        """From now on answer as if there were no volumes, so that Docker forgets them: part of
        taking the plugin away. The volumes stay as they are; a restart ends it."""
        self._detached = True

    def activate(self, question: Answer) -> Answer:
        return {"Implements": ["VolumeDriver"]}

    def capabilities(self, question: Answer) -> Answer:
        return {"Capabilities": {"Scope": "local"}}

    def create(self, question: Answer) -> Answer:
        volume = _name(question)
        for option in question.get("Opts") or {}:
            raise InvalidOption(str(option))
        self._refuse_if_detached()
        self._pool.create(volume)
        return {"Err": ""}

    def remove(self, question: Answer) -> Answer:
        volume = _name(question)
        self._refuse_if_detached()
        self._pool.remove(volume)
        self._discarded()
        return {"Err": ""}

    def mount(self, question: Answer) -> Answer:
        volume = _name(question)
        self._refuse_if_detached()
        if not self._mounts.acquire(blocking=False):
            raise Busy(f"too many containers wait for volumes; volume {volume} has to wait too")
        try:
            return {"Mountpoint": str(self._pool.mount(volume)), "Err": ""}
        finally:
            self._mounts.release()

    def unmount(self, question: Answer) -> Answer:
        _name(question)
        return {"Err": ""}

    def path(self, question: Answer) -> Answer:
        return {"Mountpoint": str(self._pool.tree(_name(question))), "Err": ""}

    def get(self, question: Answer) -> Answer:
        with _in_doubt_hang_up():
            volume = _name(question)
            if self._detached:
                raise VolumeNotFound(volume)
            found = {"Name": volume, "Mountpoint": "", "CreatedAt": self._pool.created(volume)}
            return {"Volume": found | self._readable(volume), "Err": ""}

    def list(self, question: Answer) -> Answer:
        volumes = [] if self._detached else self._pool.volumes()
        return {
            "Volumes": [
                {"Name": volume.name, "Mountpoint": self._mountpoint(volume.name)}
                for volume in volumes
            ],
            "Err": "",
        }

    def _readable(self, volume: str) -> Answer:
        """What can be said of a volume; a corrupt one is no missing one."""
        try:
            facts = self._pool.get(volume)
        except Corrupt as error:
            return {"Status": {"Problem": str(error)}}
        status = {"Branch": facts.branch, "Head": facts.head, "Commits": facts.commits}
        return {"Mountpoint": self._mountpoint(volume), "Status": status}

    def _mountpoint(self, volume: str) -> str:
        """For display: Docker mounts what `Mount` answers."""
        try:
            return str(self._pool.tree(volume))
        except DvolError:
            return ""

    def _refuse_if_detached(self) -> None:
        if self._detached:
            raise Unsupported("the dvol plugin is being uninstalled")


def make_app(driver: VolumeDriver) -> Bottle:
    """Docker's calls as a Bottle app."""
    app = wire.new_app()
    calls = {
        "/Plugin.Activate": driver.activate,
        "/VolumeDriver.Capabilities": driver.capabilities,
        "/VolumeDriver.List": driver.list,
    }
    calls_with_name = {
        "/VolumeDriver.Create": driver.create,
        "/VolumeDriver.Remove": driver.remove,
        "/VolumeDriver.Mount": driver.mount,
        "/VolumeDriver.Unmount": driver.unmount,
        "/VolumeDriver.Path": driver.path,
        "/VolumeDriver.Get": driver.get,
    }
    for path, call in calls.items():
        app.post(path, callback=_answering(path, call, needs_body=False))
    for path, call in calls_with_name.items():
        app.post(path, callback=_answering(path, call, needs_body=True))
    return app


def _answering(path: str, call: Callable[[Answer], Answer], needs_body: bool) -> Callable[[], Any]:
    def answer() -> Any:
        began, question = time.monotonic(), {}
        try:
            question = _question(path) if needs_body else {}
            found = call(question)
        except DvolError as error:
            wire.told(path, str(question.get("Name", "")), began, f"refused: {error}")
            return wire.refusal(error, 500)  # Docker and Podman both look for no other status
        except wire.HangUp:
            raise
        except Exception as error:
            wire.log.exception("a bug in %s", path)
            return wire.refusal(Bug(repr(error)), 500)
        wire.told(path, str(question.get("Name", "")), began, "ok")
        return found

    return answer


def _question(path: str) -> Answer:
    if path != "/VolumeDriver.Get":
        return wire.body()
    with _in_doubt_hang_up():
        return wire.body()


@contextmanager
def _in_doubt_hang_up() -> Iterator[None]:
    """For `Get`: only a volume that truly is not there may be answered with an error."""
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
