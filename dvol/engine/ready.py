"""When the containers that a verb has resumed are ready: by which check, how long each is waited
for, and what is told of one whose readiness is not known.

The checks themselves are in `containers.readiness`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from dvol.containers import PAUSE
from dvol.containers.container import RUNNING, Container, Suspension
from dvol.containers.readiness import HEALTH_CHECK, Check
from dvol.dates import parse
from dvol.engine.session import Session
from dvol.errors import BadDocument, DvolError
from dvol.layout import VolumeLayout
from dvol.pool import config

_DAY = 86_400  # seconds
_SECONDS = len("2026-01-01T00:00:01")  # Docker adds nanoseconds
_GRACE = 10.0  # seconds after its start


class Ready:
    """Waits for containers of a verb on `volumes`; each is waited for once."""

    def __init__(self, session: Session, volumes: Sequence[VolumeLayout]) -> None:
        self._containers = session.containers
        self._options = session.options
        self._volumes = volumes
        self._reasons: dict[str, str] = {}  # by id: "", or why a container is not ready

    def await_started(self, one: Suspension, container: Container) -> None:
        """Before a stop: wait until a container that was started less than ten seconds ago is
        ready, until then at most. Its first process may drop or swallow the signal before that."""
        left = _GRACE - (time.time() - _moment(one.started))
        check = self._check(container)
        if check and 0 < left <= _GRACE and not self._was_unhealthy(container):
            with suppress(DvolError):
                self._containers.await_ready(one, check, left)

    def note(self, one: Suspension, container: Container) -> str:
        """What is told with the start of a container that will not be known to be ready; "" if it
        is going to be waited for, or the user does not want to wait."""
        if not self._options.wait or not _works_again(one):
            return ""
        if self._was_unhealthy(container):
            return "it was unhealthy before: not waited for"
        return "" if self._check(container) else "no ready check: it may not answer yet"

    def is_ready(self, one: Suspension, container: Container) -> bool:
        """Wait until a container is ready, or will not be."""
        if one.id not in self._reasons:
            waited_for = _works_again(one) and not self._was_unhealthy(container)
            check = self._check(container) if waited_for else None
            try:
                self._reasons[one.id] = self._containers.await_ready(one, check, self._limit())
            except DvolError as error:
                self._reasons[one.id] = f"it is not known whether it is ready: {error}"
        return not self._reasons[one.id]

    def reason(self, one: Suspension) -> str:
        """Why a container that was waited for is not ready, or why that is not known; "" if it is
        ready."""
        return self._reasons[one.id]

    def _check(self, container: Container) -> Check | None:
        return container.readiness.check(*self._settings(container))

    def _settings(self, container: Container) -> tuple[str, str]:
        """`ready.exec` and `ready.port` of the first volume of the verb that the container writes
        to, and that has one of them. Who only reads a volume is not its server."""
        for volume in sorted(self._volumes, key=lambda volume: volume.name):
            if not container.writes_to(frozenset((volume.name,))):
                continue
            with suppress(BadDocument, OSError):  # containers are to be started all the same
                found = config.ready(volume.config, volume.pool.config)
                if any(found):
                    return found
        return "", ""

    def _was_unhealthy(self, container: Container) -> bool:
        """Docker's word counts only where it judges by the same check."""
        check = self._check(container)
        return container.unhealthy and check is not None and check.name == HEALTH_CHECK

    def _limit(self) -> float:
        return min(_DAY, self._options.ready_timeout)


def _moment(started: str) -> float:
    """The time of Docker's text, in seconds since 1970; 0 if it is none."""
    try:
        return parse(started[:_SECONDS] + "Z").timestamp()
    except ValueError:
        return 0.0


def _works_again(one: Suspension) -> bool:
    """Not one that was only paused, is paused again, or exits again and again."""
    return one.action != PAUSE and one.was == RUNNING
