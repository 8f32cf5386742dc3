"""dvol as people have it: the managed plugin in a real Engine, and the command on a PATH."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import images
from tests.lab.engine import Engine

SOURCE = Path(__file__).parents[2]
TIMEOUT = 60.0  # seconds that anything may take to come about
SETTLED = 4.0  # seconds; the Engine dials a plugin after 0.5 s, and after 3.5 if that was too early


@dataclass
class Installed:
    """An Engine with dvol installed in it by `make install`."""

    engine: Engine
    driver: str = "dvol"

    @property
    def env(self) -> dict[str, str]:
        """What a person's shell would have: the command on the PATH, and where its server is."""
        prefix = self.engine.root / "usr"
        env = self.engine.env
        return env | {
            "PREFIX": str(prefix),
            "PATH": f"{prefix}/bin:{env['PATH']}",
            "DVOL_HOST": f"unix://{self.engine.run}/dvol/control.sock",
        }

    @property
    def pool(self) -> Path:
        return self.engine.data / "dvol" / "volumes"

    def make(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a make target against this Engine."""
        return run(["make", "-s", "-C", str(SOURCE), *words], self.env, check)

    def dvol(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command."""
        return run(["dvol", *words], self.env | env, check)

    def container(self, volume: str, command: str, *options: str) -> str:
        """Run a shell command in a container that has `volume` at /data; returns its output."""
        return self.engine.docker(
            "run", "--rm", *self.mounting(volume), *options, images.SHELL, "sh", "-c", command
        ).stdout

    def start(self, volume: str, name: str, *options: str, command: str = "") -> str:
        """Start a container that stays, under `name`; returns its name."""
        shell = command or "trap 'exit 0' TERM; while :; do sleep 0.1; done"
        options = ("-d", "--name", name, *self.mounting(volume), *options)
        self.engine.docker("run", *options, images.SHELL, "sh", "-c", shell)
        return name

    def mounting(self, volume: str) -> tuple[str, ...]:
        return ("--network", "none", "--volume-driver", self.driver, "-v", f"{volume}:/data")

    def state(self, name: str) -> dict[str, Any]:
        """The `State` of a container."""
        shown = self.engine.docker("inspect", "-f", "{{json .State}}", name).stdout
        found: dict[str, Any] = json.loads(shown)
        return found

    def started(self, name: str) -> str:
        """When a container was started."""
        return str(self.state(name)["StartedAt"])

    def read(self, name: str) -> str:
        """What a container finds in its file /data/file."""
        return self.engine.docker("exec", name, "cat", "/data/file").stdout

    def write(self, name: str, text: str) -> None:
        """Write that file in a container."""
        self.engine.docker("exec", name, "sh", "-c", f"echo {text} > /data/file")

    def inspect(self, volume: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.engine.docker("volume", "inspect", volume).stdout)[
            0
        ]
        return found

    def listed(self) -> list[str]:
        """What `docker volume ls` shows of any driver, by name."""
        return self.engine.docker("volume", "ls", "-q").stdout.split()

    def clear(self) -> None:
        """Remove all containers and volumes."""
        containers = self.engine.docker("ps", "-aq").stdout.split()
        if containers:
            self.engine.docker("rm", "-f", "-v", *containers)
        for volume in self.listed():
            self.engine.docker("volume", "rm", volume)


@dataclass
class InstalledAt(Installed):
    """dvol with its data in `place`, and not where the Engine's own are."""

    place: Path = Path()

    @property
    def env(self) -> dict[str, str]:
        return super().env | {"DATA": str(self.place)}

    @property
    def pool(self) -> Path:
        return self.place / "dvol" / "volumes"

    def leave(self) -> None:
        """Let go of the disk."""
        self.clear()
        self.make("uninstall")


def run(
    command: list[str], env: dict[str, str], check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command; a failure shows what it said."""
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
    )
    if check:
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def wait_for(what: Callable[[], bool], told: str) -> None:
    """Poll until `what` holds."""
    deadline = time.monotonic() + TIMEOUT
    while not what():
        assert time.monotonic() < deadline, f"never came about: {told}"
        time.sleep(0.02)


def server_pid(installed: Installed) -> int:
    """The server's process, as the runtime knows it."""
    id = installed.engine.docker("plugin", "inspect", "-f", "{{.Id}}", "dvol").stdout.strip()
    root = installed.engine.exec_root / "runtime-runc" / "plugins.moby"
    state = run(["runc", "--root", str(root), "state", id], installed.env).stdout
    return int(json.loads(state)["pid"])


def await_docker(installed: Installed) -> None:
    """Until the Engine has reached the server it has started: 20.10 gives up a plugin that dies
    before, and disables it."""
    time.sleep(max(0.0, SETTLED - age(server_pid(installed))))


def age(pid: int) -> float:
    """Seconds that a process has run (proc_pid_stat(5))."""
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return float(Path("/proc/uptime").read_text().split()[0]) - int(started) / os.sysconf(
        "SC_CLK_TCK"
    )
