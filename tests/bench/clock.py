"""Timing of work: a series of whole processes, or one call inside this process."""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Sequence

Command = Sequence[str]
Work = Sequence[Command] | Callable[[], object]


class Failed(Exception):
    """A command under measurement failed; the text has the command and what it said."""


def timed(work: Work) -> float:
    """Seconds of wall clock from before the first process starts until the last has ended."""
    start = time.perf_counter()
    if callable(work):
        work()
    else:
        for command in work:
            run(command)
    return time.perf_counter() - start


def run(*commands: Command) -> None:
    """Run each to its end, quietly; `Failed` with its words if it fails."""
    for command in commands:
        with tempfile.TemporaryFile() as words:
            if os.waitstatus_to_exitcode(_run(command, words.fileno())):
                words.seek(0)
                said = words.read().decode(errors="replace").strip()[-600:]
                raise Failed(f"{shlex.join(command)}: {said}")


def _run(command: Command, words: int) -> int:
    # posix_spawn rather than subprocess: less of our own time within what is measured
    process = os.posix_spawnp(
        command[0],
        list(command),
        ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, words, 2),
        ],
    )
    try:
        return os.waitpid(process, 0)[1]
    except BaseException:  # interrupted: what holds the file system must not outlive us
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        raise


def _environment() -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("DVOL_")}
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return {**kept, "PATH": path, "LC_ALL": "C"}


ENVIRONMENT = _environment()
