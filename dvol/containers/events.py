"""What another command has done to a container while a verb worked on it, by Docker's events. Pure.

Docker emits `stop` at the end of each `docker stop` that found the container running, `kill` with
the number of each signal that it sends, and `pause`, `unpause`, `start`. (moby: daemon/stop.go,
daemon/kill.go; a container that is paused when it is stopped also emits `unpause`.) An event says
not who caused it, so only what dvol certainly did not do counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from dvol.containers import PAUSE, STOP
from dvol.containers.container import PAUSED

STOPPED = "stopped"
_TERM, _KILL = "15", "9"
_STATES = {"stop": STOPPED, "pause": PAUSED, "unpause": "", "start": ""}


class Call(NamedTuple):
    """What dvol did to a container, and when it began to, in nanoseconds of the wall clock."""

    action: str
    began: int


def state_by_others(events: Iterable[dict[str, Any]], calls: Sequence[Call]) -> str:
    """STOPPED or PAUSED if another command has certainly made the container so, and none has
    started or unpaused it since; else "". `events` are the container's, in their order."""
    first = min((call.began for call in calls), default=0)
    state = ""
    since: list[dict[str, Any]] = []
    for event in events:
        if event["timeNano"] < first:
            state = _after(event, state)
        elif event["Action"] == "start":
            state, since = "", []
        else:
            since.append(event)
    if _is_stopped(since, calls):
        return STOPPED
    paused = any(event["Action"] == "pause" for event in since)
    return PAUSED if paused and all(call.action != PAUSE for call in calls) else state


def has_run(events: Iterable[dict[str, Any]], since: int) -> bool:
    """Whether a container that was paused after that time has run meanwhile: none of these things
    happens to one that does not run."""
    later = (event["Action"] for event in events if event["timeNano"] > since)
    return any(action in ("unpause", "die", "start") for action in later)


def _after(event: dict[str, Any], before: str) -> str:
    """The state after an event that is not dvol's."""
    if _signal(event) in (_TERM, _KILL):
        return STOPPED
    return _STATES.get(event["Action"], before)


def _is_stopped(events: list[dict[str, Any]], calls: Sequence[Call]) -> bool:
    """Whether the container was stopped more often than dvol can have done it. Docker kills what
    it was asked to stop, some more than once, and dvol may send the signal of a stop twice; so of
    a container that dvol has stopped a SIGKILL says nothing."""
    stops = sum(call.action == STOP for call in calls)
    signals = [_signal(event) for event in events]
    return (
        sum(event["Action"] == "stop" for event in events) > stops
        or signals.count(_TERM) > 2 * stops
        or (not stops and signals.count(_KILL) > len(calls))
    )


def _signal(event: dict[str, Any]) -> str:
    attributes = (event.get("Actor") or {}).get("Attributes") or {}
    return str(attributes.get("signal", "")) if event["Action"] == "kill" else ""
