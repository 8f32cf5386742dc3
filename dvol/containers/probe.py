"""Running a ready check in a container until it passes.

Docker's own first run of a health check comes only after a whole interval, so dvol runs it itself.
Which check, is decided in `readiness`; how a command is run and killed, is in `execution`.
"""

from __future__ import annotations

import time
from typing import Any

from dvol.containers.execution import CANNOT_RUN, HANGS, Execution
from dvol.containers.readiness import LIMIT, Check

_INTERVAL = 0.1  # seconds between two runs of a check
_LEAST = 1.0  # seconds that a run may take, however late it is
_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp (linux: include/net/tcp_states.h)
_FILES = ("/proc/net/tcp", "/proc/net/tcp6")


class Probe:
    """The check of one container. `api` is the SDK's client for the Docker Engine, whose failures
    are raised, but for those that a container which restarts or ends may cause."""

    def __init__(self, api: Any, id: str, check: Check | None) -> None:
        self._execution = Execution(api, id)
        self._check = check
        self._untried = list(check.commands) if check else []  # which programs the image may have
        self._cannot = 0  # the exit code of the last that it has not

    def await_ready(self, limit: float = -1) -> str:
        """Wait until the container passes its check; returns "", or the reason why it does not. A
        container without a check must only run.

        `limit` is in seconds, -1 stands for the check's own. A check that hangs is killed, and
        run again; if it can't be killed, no other run is begun.
        """
        limit = (self._check.limit if self._check else LIMIT) if limit < 0 else limit
        deadline = time.monotonic() + limit
        while True:
            found = self._execution.state()
            if not found.get("Running"):
                return f"it has exited ({found.get('ExitCode', 'and is gone')})"
            if not self._check or (reason := self._failure(self._check, deadline)) == "":
                return ""
            if reason:
                return reason
            if time.monotonic() + _INTERVAL > deadline:
                return f"{self._check.name} has not passed for {limit:.0f} s"
            time.sleep(_INTERVAL)

    def _failure(self, check: Check, deadline: float) -> str | None:
        """Run the check once: "" if it passes, None if it may still pass, or the reason why it is
        of no use to run it again."""
        if check.problem:
            return f"it is not known whether it is ready: {check.problem}"
        if check.port:
            return self._listens(check.port)
        timeout = min(check.timeout, max(_LEAST, deadline - time.monotonic()))
        code = self._execution.run(self._untried[0], timeout, check.environment)
        if code in CANNOT_RUN:
            self._cannot = code
            self._untried.pop(0)
            return None if self._untried else self._unknown(check)
        return {0: "", HANGS: f"{check.name} hangs, and its process could not be killed"}.get(code)

    def _unknown(self, check: Check) -> str:
        return f"it may not answer yet: {check.name} cannot be run (exit code {self._cannot})"

    def _listens(self, port: int) -> str | None:
        """As `_failure`: the container's own tables are asked, since the plugin is in another
        network. They are those of the host, or of another container, where it shares these."""
        table = self._execution.output(("cat", *_FILES))
        if table is None:
            return f"it is not known whether it listens on port {port}: its image has no 'cat'"
        return "" if is_listening(table, port) else None


def is_listening(table: str, port: int) -> bool:
    """Whether a socket listens on the port, by the contents of /proc/net/tcp and tcp6."""
    lines = (line.split() for line in table.splitlines())
    return any(
        len(words) > 3 and words[3] == _LISTENING and words[1].endswith(f":{port:04X}")
        for words in lines
    )
