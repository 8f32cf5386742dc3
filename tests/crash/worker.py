"""A process that runs the verbs, each in a fork of its own.

A fork starts in a few milliseconds; an interpreter with its imports takes 70. The fork is as fresh
as that: the worker itself has never opened a pool. The forks die with the worker.
"""

import ctypes
import importlib
import os
import pkgutil
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
from tests.crash.verbs import OF_A_USER

DIE_WITH_PARENT, DUMPABLE = 1, 4  # prctl(2)
USER = 65534  # whose verbs those of OF_A_USER are


class Worker:
    """The test's end of the worker. `run` calls a function in a fork of it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment(PYTHONDONTWRITEBYTECODE="1"),
                stdin=subprocess.DEVNULL,
                cwd=SOURCE,
            )
        self._line = Connection(ours.detach())

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function(*arguments)` returns there; RuntimeError, with the traceback, if not."""
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
    if any(isinstance(one, str) and one in OF_A_USER for one in arguments):
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        for option, value in ((DIE_WITH_PARENT, signal.SIGKILL), (DUMPABLE, 1)):
            ctypes.CDLL(None).prctl(option, value)  # becoming another user clears both
    try:
        line.send((True, function(*arguments)))
    except BaseException:
        line.send((False, traceback.format_exc()))
    finally:
        os._exit(0)


def _import() -> None:
    """Import the modules that the forks use, so that no fork has to, nor could as another user."""
    import encodings.unicode_escape  # noqa: F401
    import zlib  # noqa: F401

    import dvol

    for module in pkgutil.walk_packages(dvol.__path__, "dvol."):
        if not module.name.endswith(("__main__", "pytest_plugin")):
            importlib.import_module(module.name)
    from docopt import docopt  # noqa: F401

    from tests.crash import check, faults, image, killing  # noqa: F401


if __name__ == "__main__":
    os.chdir(Path("/"))
    _import()
    _serve(Connection(int(sys.argv[1])))
