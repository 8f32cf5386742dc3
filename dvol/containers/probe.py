"""Running a ready check in a container, by Docker's `exec`, until it passes.

Docker's own first run of a health check comes only after a whole interval, so dvol runs it itself.
Docker has no call that ends what `exec` has started: a check that hangs is found in the container
by a mark in its environment, and killed from within. Which check, is decided in `readiness`.
"""

from __future__ import annotations

import os
import time
from typing import Any

from dvol.containers.readiness import Check

_INTERVAL = 0.1  # seconds between two runs of a check
_POLL_INTERVAL = 0.005  # seconds between two questions whether a run has ended
_SLOW_POLL = 0.05  # seconds, the same for a run that takes longer
_SLOW = 1.0  # seconds
_END_WITHIN = 5.0  # seconds for a killed run to end, or for a kill
_LEAST = 1.0  # seconds that a run may take, however late it is
_FAILED, _HANGS = 1, -1  # exit codes; the second is none of a process
_CANNOT_RUN = (126, 127)  # exit codes: not to be executed, not found
_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp (linux: include/net/tcp_states.h)
_FILES = ("/proc/net/tcp", "/proc/net/tcp6")
_MARK = "DVOL_READY"
# Children inherit the mark; those that have changed their user hide it, but share the session that
# `exec` begins (runc: nsexec.c). Exit 0 means that none is left. It needs only a shell and `cat`.
_KILL = """
mine=' '
for round in 1 2 3 4 5 6 7 8 9; do
  found=
  for at in /proc/[0-9]*; do
    stat=$(cat "$at/stat" 2>/dev/null) || continue
    set -- ${{stat##*) }}
    [ "$1" != Z ] || continue
    case "$(cat "$at/environ" 2>/dev/null)" in
      *{mark}*) [ "$4" -le 1 ] || mine="$mine$4 ";;
      *) case "$mine" in *" $4 "*) ;; *) continue;; esac;;
    esac
    found=1
    kill -9 "${{at#/proc/}}"
  done
  [ "$found" ] || exit 0
done
exit 1
"""


class Probe:
    """The check of one container. `api` is the SDK's client for the Docker Engine, whose failures
    are raised, but for those that a container which restarts or ends may cause."""

    def __init__(self, api: Any, id: str, check: Check | None) -> None:
        self._api = api
        self._id = id
        self._check = check
        self._untried = list(check.commands) if check else []  # which programs the image may have
        self._cannot = 0  # the exit code of the last that it has not

    def await_ready(self, limit: float = -1) -> str:
        """Wait until the container passes its check; returns "", or the reason why it does not. A
        container without a check must only run.

        `limit` is in seconds, -1 stands for the check's own. A check that hangs is killed, and
        run again; if it can't be killed, no other run is begun.
        """
        limit = (self._check or Check("")).limit if limit < 0 else limit
        deadline = time.monotonic() + limit
        while True:
            found = self._inspected()
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
        code = self._run(self._untried[0], check, deadline)
        if code in _CANNOT_RUN:
            self._cannot = code
            self._untried.pop(0)
            return None if self._untried else self._unknown(check)
        return {0: "", _HANGS: f"{check.name} hangs, and its process could not be killed"}.get(code)

    def _unknown(self, check: Check) -> str:
        return f"it may not answer yet: {check.name} cannot be run (exit code {self._cannot})"

    # -- running -------------------------------------------------------------------------------

    def _run(self, command: tuple[str, ...], check: Check, deadline: float) -> int:
        """The exit code of one run of a command, which is killed at the deadline."""
        from docker.errors import APIError

        mark, execution = f"{_MARK}={os.urandom(8).hex()}", ""
        environment = [*check.environment, mark]
        try:
            execution = self._api.exec_create(self._id, command, environment=environment)["Id"]
            self._api.exec_start(execution, detach=True)  # a check that hangs must not block dvol
        except APIError:  # it restarts, or has just ended, or its image has no such program
            return self._refused(execution)
        try:
            code = self._exit_code(
                execution, min(check.timeout, max(_LEAST, deadline - time.monotonic()))
            )
        except KeyboardInterrupt:
            self._is_killed(mark, execution)
            raise
        return _FAILED if code == _HANGS and self._is_killed(mark, execution) else code

    def _exit_code(self, execution: str, timeout: float) -> int:
        from docker.errors import APIError

        began = time.monotonic()
        try:
            while (seen := self._api.exec_inspect(execution))["Running"]:
                taken = time.monotonic() - began
                if taken > timeout:
                    return _HANGS
                time.sleep(_POLL_INTERVAL if taken < _SLOW else _SLOW_POLL)
        except APIError:  # the container is gone
            return _FAILED
        code = seen["ExitCode"]
        return _FAILED if code is None else int(code)

    def _refused(self, execution: str) -> int:
        """Docker keeps 126 or 127 as the exit code of what it could not execute."""
        from docker.errors import APIError

        try:
            code = self._api.exec_inspect(execution)["ExitCode"] if execution else None
        except APIError:
            code = None
        return int(code) if code in _CANNOT_RUN else _FAILED

    def _is_killed(self, mark: str, execution: str) -> bool:
        """Kill what has the mark in its environment. Only its own user can see that, so it is that
        user who looks for it."""
        from docker.errors import APIError

        try:
            kill = ("/bin/sh", "-c", _KILL.format(mark=mark))
            killing = self._api.exec_create(self._id, kill)["Id"]
            self._api.exec_start(killing, detach=True)
        except APIError:  # the image has no shell; or the container has ended, and the run with it
            return not self._inspected().get("Running")
        ended = self._exit_code(killing, _END_WITHIN) == 0
        return ended and self._exit_code(execution, _END_WITHIN) != _HANGS

    # -- ports ---------------------------------------------------------------------------------

    def _listens(self, port: int) -> str | None:
        """As `_failure`: the container's own tables are asked, since the plugin is in another
        network. They are those of the host, or of another container, where it shares these."""
        from docker.errors import APIError

        execution = ""
        try:
            execution = self._api.exec_create(self._id, ("cat", *_FILES))["Id"]
            table = self._api.exec_start(execution)
        except APIError:
            table = b""
        if is_listening(table.decode(errors="replace"), port):
            return ""
        if self._refused(execution) in _CANNOT_RUN:
            return f"it is not known whether it listens on port {port}: its image has no 'cat'"
        return None

    def _inspected(self) -> dict[str, Any]:
        """The state of the container; {} if it no longer exists."""
        from docker.errors import NotFound

        try:
            state: dict[str, Any] = self._api.inspect_container(self._id)["State"]
        except NotFound:
            return {}
        return state


def is_listening(table: str, port: int) -> bool:
    """Whether a socket listens on the port, by the contents of /proc/net/tcp and tcp6."""
    lines = (line.split() for line in table.splitlines())
    return any(
        len(words) > 3 and words[3] == _LISTENING and words[1].endswith(f":{port:04X}")
        for words in lines
    )
