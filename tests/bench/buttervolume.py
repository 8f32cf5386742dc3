"""buttervolume, a Docker plugin that snapshots btrfs subvolumes: its server and its command.

Installed from PyPI into a virtual environment of its own. Docker is not needed: the server
listens on any socket, and its command is the client.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.bench import clock
from tests.bench.clock import Failed, Work, run
from tests.bench.filesystem import Filesystem
from tests.bench.tool import Tool

PLACE = Path(__file__).parents[2] / "build" / "bench" / "buttervolume"
VOLUME = "data"


def install() -> Path:
    """The command, installed unless it is there."""
    command = PLACE / "bin" / "buttervolume"
    if not command.exists():
        run((sys.executable, "-m", "venv", str(PLACE)))
        run((str(PLACE / "bin" / "pip"), "install", "-q", "buttervolume"))
    return command


class Buttervolume(Tool):
    """Snapshots by request to its server; the client is a whole process, as dvol's command is."""

    name = "buttervolume"
    kinds = ("btrfs",)
    how = {
        "commit": "`buttervolume snapshot VOLUME`",
        "reset": "`buttervolume restore SNAPSHOT` (it keeps a snapshot of what it discards)",
        "branch": "`buttervolume clone VOLUME NEW`",
    }

    def __init__(self, filesystem: Filesystem) -> None:
        super().__init__(filesystem)
        self.rooms = filesystem.place / "buttervolume"
        self.live = self.rooms / "volumes" / VOLUME

    def start(self) -> None:
        self.command = str(install())
        for room in ("volumes", "snapshots"):
            (self.rooms / room).mkdir(parents=True)
        self.filesystem.fill(self.live)
        clock.ENVIRONMENT.update(self._settings())
        self.server = subprocess.Popen(
            [self.command, "run"],
            env=clock.ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()
        run((self.command, "snapshot", VOLUME))
        self.snapshot = next((self.rooms / "snapshots").iterdir()).name

    def commit(self) -> Work:
        return [(self.command, "snapshot", VOLUME), self.filesystem.sync]

    def reset(self) -> Work:
        return [(self.command, "restore", self.snapshot), self.filesystem.sync]

    def branch(self) -> Work:
        return [(self.command, "clone", VOLUME, f"turn-{self.turn}"), self.filesystem.sync]

    def stop(self) -> None:
        self.server.kill()  # by its id; on SIGTERM it would wait for its scheduler
        self.server.wait()

    def _settings(self) -> dict[str, str]:
        settings = {
            "VOLUMES_PATH": f"{self.rooms}/volumes/",
            "SNAPSHOTS_PATH": f"{self.rooms}/snapshots/",
            "SCHEDULE": f"{self.rooms}/schedule.csv",
            "SOCKET": f"{self.rooms}/socket",
            "LOGLEVEL": "ERROR",
        }
        return {f"BUTTERVOLUME_{name}": value for name, value in settings.items()}

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while not (self.rooms / "socket").exists():
            if self.server.poll() is not None or time.monotonic() > deadline:
                raise Failed("buttervolume: its server does not start")
            time.sleep(0.05)
