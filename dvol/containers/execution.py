"""Running a command in a container, by Docker's `exec`, and ending it when it takes too long.

Docker has no call that ends what `exec` has started: what hangs is found in the container by a mark
in its environment, and killed from within. Which command, and what its exit code means, is decided
elsewhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

FAILED = 1  # also where Docker does not say the exit code
CANNOT_RUN = (126, 127)  # exit codes: not to be executed, not found
NOT_BEGUN, KILLED, HANGS = -1, -2, -3  # in the place of exit codes; none is one of a process
_POLL_INTERVAL = 0.005  # seconds between two questions whether a command has ended
_SLOW_POLL = 0.05  # seconds, the same for a command that takes longer
_SLOW = 1.0  # seconds
_END_WITHIN = 5.0  # seconds for a killed command to end, or for a kill
_MOST = 65_536  # bytes of output
_HEADER = 8  # bytes
_MARK = "DVOL_EXEC"
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


class Execution:
    """Commands in one container. `api` is the SDK's client for the Docker Engine, whose failures
    are raised, but for those that a container which restarts or ends may cause."""

    def __init__(self, api: Any, id: str) -> None:
        self._api = api
        self._id = id

    def run(self, command: Sequence[str], timeout: float, environment: Sequence[str] = ()) -> int:
        """The exit code of a command. NOT_BEGUN if the container does not run, or is paused; KILLED
        if the command took longer than `timeout` seconds; HANGS if it could not be killed then."""
        from docker.errors import APIError

        mark, execution = f"{_MARK}={os.urandom(8).hex()}", ""
        marked = [*environment, mark]
        try:
            execution = self._api.exec_create(self._id, command, environment=marked)["Id"]
            self._api.exec_start(execution, detach=True)  # what hangs must not block dvol
        except APIError:  # it restarts, or has just ended, or its image has no such program
            return self._refused(execution)
        try:
            code = self._exit_code(execution, timeout)
        except KeyboardInterrupt:
            self._is_killed(mark, execution)
            raise
        return KILLED if code == HANGS and self._is_killed(mark, execution) else code

    def output(self, command: Sequence[str], timeout: float = 5.0) -> str | None:
        """What a short command prints in `timeout` seconds, 64 KiB at most; None if the image has
        no such program, "" if the container does not run."""
        from docker.errors import APIError

        mark, execution, printed = f"{_MARK}={os.urandom(8).hex()}", "", b""
        with suppress(APIError):
            execution = self._api.exec_create(self._id, command, environment=[mark])["Id"]
            stream = self._api.exec_start(execution, socket=True)
            printed, ended = _read(stream, timeout)
            if not ended:
                self._is_killed(mark, execution)
        return None if self._cannot_run(execution) else printed.decode(errors="replace")

    def state(self) -> dict[str, Any]:
        """The state of the container; {} if it no longer exists."""
        from docker.errors import NotFound

        try:
            state: dict[str, Any] = self._api.inspect_container(self._id)["State"]
        except NotFound:
            return {}
        return state

    def _refused(self, execution: str) -> int:
        """What to return for a command that Docker did not start."""
        if code := self._cannot_run(execution):
            return code
        state = self.state()
        return FAILED if state.get("Running") and not state.get("Paused") else NOT_BEGUN

    def _cannot_run(self, execution: str) -> int:
        """126 or 127 if a command could not be executed, else 0: Docker keeps these as the exit
        code."""
        from docker.errors import APIError

        try:
            code = self._api.exec_inspect(execution)["ExitCode"] if execution else None
        except APIError:
            code = None
        return int(code) if code in CANNOT_RUN else 0

    def _exit_code(self, execution: str, timeout: float) -> int:
        from docker.errors import APIError

        began = time.monotonic()
        try:
            while (seen := self._api.exec_inspect(execution))["Running"]:
                taken = time.monotonic() - began
                if taken > timeout:
                    return HANGS
                time.sleep(_POLL_INTERVAL if taken < _SLOW else _SLOW_POLL)
        except APIError:  # the container is gone
            return FAILED
        code = seen["ExitCode"]
        return FAILED if code is None else int(code)

    def _is_killed(self, mark: str, execution: str) -> bool:
        """Kill what has the mark in its environment. Only its own user can see that, so it is that
        user who looks for it."""
        from docker.errors import APIError

        try:
            kill = ("/bin/sh", "-c", _KILL.format(mark=mark))
            killing = self._api.exec_create(self._id, kill)["Id"]
            self._api.exec_start(killing, detach=True)
        except APIError:  # the image has no shell; or the container has ended, and the command too
            return not self.state().get("Running")
        ended = self._exit_code(killing, _END_WITHIN) == 0
        return ended and self._exit_code(execution, _END_WITHIN) != HANGS


def _read(stream: Any, timeout: float) -> tuple[bytes, bool]:
    """What Docker sends of the output of a command, and whether that was all. Each piece has eight
    bytes before it, with its length at the end (moby: pkg/stdcopy)."""
    deadline, received = time.monotonic() + timeout, b""
    socket = getattr(stream, "_sock", stream)
    try:
        while len(received) < _MOST and (left := deadline - time.monotonic()) > 0:
            socket.settimeout(left)
            if not (piece := socket.recv(_MOST)):
                return _unpacked(received), True
            received += piece
    except TimeoutError:
        pass
    finally:
        stream.close()
    return _unpacked(received), False


def _unpacked(received: bytes) -> bytes:
    text = b""
    while len(received) >= _HEADER:
        size = int.from_bytes(received[4:_HEADER], "big")
        text += received[_HEADER : _HEADER + size]
        received = received[_HEADER + size :]
    return text
