"""The first process of a container, and whether it would notice the signal that stops it.

The kernel drops a signal to process 1 of a pid namespace that has no handler for it: nothing ends,
and the sender is not told (pid_namespaces(7)). An entrypoint that is still starting has none, so a
stop of a container that has just been started would wait in vain for its whole time.
"""

from __future__ import annotations

import re
import signal
from typing import Any

_OWN_PROCESSES = ("", "private")  # `PidMode`: else process 1 is another's
_CAUGHT = re.compile(r"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)  # proc_pid_status(5)


class InitProcess:
    """Process 1 of a container that runs, by Docker's answer to `inspect`. `api` is the SDK's
    client."""

    def __init__(self, api: Any, inspected: dict[str, Any]) -> None:
        self._api = api
        self._id = inspected["Id"]
        self._private = (inspected["HostConfig"].get("PidMode") or "") in _OWN_PROCESSES
        self.stop_signal = signal_number((inspected.get("Config") or {}).get("StopSignal") or "")

    def catches_stop_signal(self) -> bool | None:
        """Whether it has a handler for the signal now; None if that can't be found out, as in an
        image without `cat`."""
        from docker.errors import APIError
        from requests.exceptions import RequestException

        if not self._private or not self.stop_signal:
            return None
        try:
            execution = self._api.exec_create(self._id, ("cat", "/proc/1/status"))["Id"]
            status = self._api.exec_start(execution).decode(errors="replace")
        except (APIError, RequestException):
            return None
        return catches(status, self.stop_signal)


def signal_number(name: str) -> int:
    """The number of a signal as an image names it: `SIGINT`, `INT`, `2`, `SIGRTMIN+3`; that of
    SIGTERM, Docker's default, for ""; 0 for what is none."""
    if not name:
        return signal.SIGTERM
    if name.isascii() and name.isdigit():
        return int(name)
    base, _, more = name.upper().removeprefix("SIG").partition("+")
    found = getattr(signal, f"SIG{base}", 0)
    return int(found) + int(more or 0) if more.isdigit() or not more else 0


def catches(status: str, number: int) -> bool | None:
    """Whether a process catches a signal, by the contents of its /proc/PID/status; None if that
    does not tell."""
    match = _CAUGHT.search(status)
    return bool(int(match[1], 16) >> (number - 1) & 1) if match else None
