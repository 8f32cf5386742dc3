"""A warm process in which verbs are run, each in a fork of its own.

A fork starts in milliseconds where an interpreter with its imports takes 70, and it is as
fresh: the stage itself has never opened a pool. What runs there dies with this process.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.contract.places import SOURCE, environment

DIE_WITH_PARENT = 1  # prctl(2)


class Stage:
    """The side of the test. `run` has a function of a module called in a fork of the stage."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.stage", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment(PYTHONDONTWRITEBYTECODE="1"),
                stdin=subprocess.DEVNULL,
                cwd=SOURCE,
            )
        self._line = Connection(ours.detach())

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function(*arguments)` returns there; RuntimeError with its trace if it fails."""
        self._line.send((function, arguments))
        done, result = self._line.recv()
        if not done:
            raise RuntimeError(result)
        return result

    def close(self) -> None:
        self._line.close()
        self._process.wait()


def _serve(line: Connection) -> None:
    while True:
        try:
            function, arguments = line.recv()
        except EOFError:
            return
        child = os.fork()
        if child == 0:
            _answer(line, function, arguments)
        _, status = os.waitpid(child, 0)
        if status != 0:
            line.send((False, f"{function.__name__} ended with status {status}"))


def _answer(line: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    try:
        line.send((True, function(*arguments)))
    except BaseException:
        line.send((False, traceback.format_exc()))
    finally:
        os._exit(0)


def _warm() -> None:
    """Load what forks will need, so that they need not."""
    from docopt import docopt  # noqa: F401

    from dvol import cli, containers, pool  # noqa: F401
    from tests.crash import cutting, faults, killing, verdict  # noqa: F401


if __name__ == "__main__":
    os.chdir(Path("/"))
    _warm()
    _serve(Connection(int(sys.argv[1])))
