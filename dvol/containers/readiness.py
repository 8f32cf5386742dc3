"""When a container that runs is ready to work: which check tells, and how long it is waited for.

Pure: all is read from Docker's answer to `inspect` and from the settings of a volume. `probe` runs
the check. The first of these counts:

1. the container's labels `dvol.ready.exec` and `dvol.ready.port`,
2. the volume's settings `ready.exec` and `ready.port`, for containers that write to the volume,
3. the health check of the container, or of its image,
4. a check that suits a known image (`known_images`).
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

HEALTH_CHECK, READY_CHECK = "its health check", "its ready check"
LABEL_EXEC, LABEL_PORT = "dvol.ready.exec", "dvol.ready.port"
LIMIT = 60.0  # seconds to wait for a container that says nothing about its start
_TIMEOUT = 30.0  # seconds for one run of a check: Docker's own default
_RETRIES = 3  # Docker's own default, and the same for the next
_INTERVAL = 30.0  # seconds; the longest that counts: longer ones are about load, not about a start
_SECOND = 1_000_000_000  # Docker counts in nanoseconds


class Check(NamedTuple):
    """How to learn whether a container is ready.

    Each of `commands` does the same by another program; the first whose program the image has is
    run in the container, with `environment` besides its own. It passes with exit code 0, and
    can't be run with 126 or 127, as a shell says it. Without commands the container must listen on
    `port`. A run may take `timeout` seconds, and the container `limit` seconds in all. `name` is
    what messages call the check; `problem` says why it can never be made, "" if it can.
    """

    name: str
    commands: tuple[tuple[str, ...], ...] = ()
    port: int = 0
    environment: tuple[str, ...] = ()
    timeout: float = _TIMEOUT
    limit: float = LIMIT
    problem: str = ""


class Readiness(NamedTuple):
    """The checks that a container brings: by its labels, by its definition or image, and one that
    suits a known image. `timeout` and `limit` are those of its health check, and for any
    other check too."""

    label: Check | None = None
    image: Check | None = None
    known: Check | None = None
    timeout: float = _TIMEOUT
    limit: float = LIMIT

    def check(self, command: str = "", port: str = "") -> Check | None:
        """The check that counts, given the settings `ready.exec` and `ready.port` of a volume that
        the container writes to; None if there is none."""
        found = self.label or _asked(command, port) or self.image or self.known
        return found and found._replace(timeout=self.timeout, limit=self.limit)


def parse(inspected: dict[str, Any], known: Check | None) -> Readiness:
    """The checks of the container that Docker's answer to `inspect` describes; `known` is the one
    that suits its image."""
    config = inspected.get("Config") or {}
    labels, health = config.get("Labels") or {}, config.get("Healthcheck") or {}
    return Readiness(
        label=_asked(labels.get(LABEL_EXEC, ""), labels.get(LABEL_PORT, "")),
        image=_health_check(health.get("Test") or [], config.get("Shell") or []),
        known=known,
        timeout=(health.get("Timeout") or 0) / _SECOND or _TIMEOUT,
        limit=_limit(health),
    )


def port_of(text: str) -> int:
    """The port that a text names; 0 if it is none."""
    valid = text.isascii() and text.isdigit() and len(text) < 6
    return int(text) if valid and int(text) < 65536 else 0


def words_of(command: str) -> tuple[str, ...]:
    """The words of a command, given as in a Dockerfile: a JSON list of words, or a line for
    `/bin/sh`."""
    if command.lstrip().startswith("["):
        try:
            words = json.loads(command)
        except (ValueError, RecursionError):
            words = None
        if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
            return tuple(words)
    return ("/bin/sh", "-c", command)


def _asked(command: str, port: str) -> Check | None:
    """The check that labels or settings ask for; the command counts more than the port."""
    if command:
        return Check(READY_CHECK, (words_of(command),))
    if port and not port_of(port):
        return Check(READY_CHECK, problem=f"'{port}' is not a port")
    return Check(READY_CHECK, port=port_of(port)) if port else None


def _health_check(test: list[str], shell: list[str]) -> Check | None:
    """Docker's own: `["NONE"]`, `["CMD", word, ...]` or `["CMD-SHELL", line]`, which runs in the
    image's SHELL (moby: daemon/health.go)."""
    kind, words = (test or ["NONE"])[0], tuple(test[1:])
    if kind == "CMD-SHELL" and words:
        words = (*(shell or ("/bin/sh", "-c")), words[0])
    return Check(HEALTH_CHECK, (words,)) if kind in ("CMD", "CMD-SHELL") and words else None


def _limit(health: dict[str, Any]) -> float:
    """The seconds after which Docker would call a container unhealthy whose check fails at once;
    but an interval counts for 30 s at most, and the sum is a minute at least."""
    start = (health.get("StartPeriod") or 0) / _SECOND
    interval = min(_INTERVAL, (health.get("Interval") or 0) / _SECOND or _INTERVAL)
    retries = health.get("Retries") or _RETRIES
    return float(max(LIMIT, start + retries * interval)) if health.get("Test") else LIMIT
