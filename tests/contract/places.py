"""Where a pool lies in these tests, and who keeps it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dvol.engine import Engine
from dvol.tree.delete import delete_tree

SOURCE = Path(__file__).parents[2]
TIMEOUT = 30.0  # seconds that a server may take to listen


def emptied(pool: Path) -> Path:
    """The pool with nothing in it. A verb whose client went away in the test before may still
    be at work in it: try again until that has ended."""
    deadline = time.monotonic() + TIMEOUT
    while left := list(pool.iterdir()):
        try:
            for path in left:
                delete_tree(path)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    return pool


@dataclass(frozen=True)
class Keeper:
    """An engine, the pool it keeps, and the options by which the command reaches the same."""

    name: str
    engine: Engine
    pool: Path
    options: list[str]

    def tree(self, volume: str, branch: str = "master") -> Path:
        return self.pool / volume / "branches" / branch

    def frozen(self, volume: str, commit_id: str) -> Path:
        return self.pool / volume / "commits" / commit_id


@dataclass
class Server:
    """`python -m plugin` as a process, with its two sockets and its log."""

    socket: Path
    run: Path
    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None

    @property
    def control(self) -> Path:
        return self.run / "dvol" / "control.sock"

    @property
    def pool(self) -> Path:
        return self.data / "volumes"

    @property
    def log(self) -> Path:
        return self.run / "log"

    def start(self) -> "Server":
        self.launch()
        self.wait_until_listening()
        return self

    def launch(self) -> None:
        """Start the process; it need not listen yet, or ever."""
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "plugin", *self.arguments()],
                env=environment(**self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
            )

    def arguments(self) -> list[str]:
        return [f"--socket={self.socket}", f"--run={self.run}", f"--data={self.data}"]

    def wait_until_listening(self) -> None:
        for path in (self.socket, self.control):
            eventually(lambda path=path: self.answers(path), lambda: self.log.read_text())

    def answers(self, path: Path) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.log.read_text()}")
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
        return True

    def stop(self) -> int:
        """Ask it to end; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(TIMEOUT)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def serving(place: Path, data: Path, **variables: str) -> Iterator[Server]:
    """A server whose sockets lie in the (short) `place`, and its pool in `data`."""
    server = Server(place / "dvol.sock", place / "run", data, variables)
    try:
        yield server.start()
    finally:
        server.kill()


def environment(**variables: str) -> dict[str, str]:
    """What a process of ours gets: the scrubbed environment, and where the source is."""
    path = os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **variables}


def eventually(condition, explain=lambda: "", timeout: float = TIMEOUT) -> None:
    """Wait until `condition()` is true; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {timeout} s: {explain()}")
        time.sleep(0.005)
