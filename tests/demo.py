"""`make demo`: dvol's main job, played from nothing on a real Docker Engine.

A container writes `hello` to a volume, we commit it, another overwrites it with `world`, we
reset, and a third reads `hello` again. As root the Engine is a private, throw-away one that
meets no installed Docker or dvol; else the machine's own serves, under a name and in a
directory of the demo's own. Without any Engine the same is played on the engine of dvol alone.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lab import Unavailable, images
from tests.lab.engine import Engine

VOLUME = "frob_mysql"
OWN = f"dvol-demo-{os.getpid()}"  # on an Engine that others use: plugin, volume and image
Write = Callable[[str], None]
Read = Callable[[], str]
Dvol = Callable[..., None]


class Surprise(Exception):
    """The demo did not show what it should."""


def main() -> int:
    """0 if everything was as told, 1 if anything differed."""
    try:
        _choose_stage()
    except Surprise as error:
        print(f"\nNot as it should be: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"\nFailed: {error}", file=sys.stderr)
        return 1
    print("\nhello, world, and back to hello: that is dvol.")
    return 0


def _choose_stage() -> None:
    try:
        with Engine() as engine:
            say("A private Docker Engine is running; your own, if any, stays untouched.")
            on_docker(Stage(engine.env, engine.data, engine.run))
        return
    except Unavailable as error:
        reason = str(error)
    if _docker_answers():
        say(f"No private Engine ({reason}): using the machine's own, under the name {OWN}.")
        on_machine()
    else:
        say(f"No Docker Engine can be had here ({reason}).")
        say("So this plays on dvol's storage engine alone, without containers.")
        embedded()


@dataclass(frozen=True)
class Stage:
    """An Engine, directories for data and sockets, and the names to use there."""

    env: dict[str, str]
    data: Path
    run: Path
    driver: str = "dvol"
    volume: str = VOLUME
    image: str = images.SHELL


def on_machine() -> None:
    """On the Engine that people use, beside a dvol that may be installed, touching nothing that
    is not the demo's own."""
    place = Path(tempfile.mkdtemp(prefix="dvol-demo-"))
    stage = Stage(dict(os.environ), place / "data", place / "run", OWN, OWN, OWN)
    for directory in (stage.data, stage.run):
        directory.mkdir()
    try:
        on_docker(stage)
    finally:
        _quietly("docker", "volume", "rm", "-f", OWN)
        _quietly("docker", "plugin", "rm", "-f", OWN)
        # what the plugin wrote is root's, so root in a container takes it away
        mount = f"type=bind,source={place},target=/demo"
        rm = ["rm", "-rf", "/demo/data", "/demo/run"]
        _quietly("docker", "run", "--rm", "--mount", mount, OWN, *rm)
        _quietly("docker", "rmi", OWN)
        shutil.rmtree(place, ignore_errors=True)


def on_docker(stage: Stage) -> None:
    """Build and install the plugin, then play with containers."""
    say("Building the plugin and installing it (make install) ...")
    prefix = stage.data / "prefix"
    settings = {"DATA": stage.data, "RUN": stage.run, "PREFIX": prefix, "PLUGIN": stage.driver}
    words = [f"{name}={value}" for name, value in settings.items()]
    subprocess.run(["make", "-s", "install", *words], env=stage.env, check=True)
    env = stage.env | {
        "PATH": f"{prefix}/bin:{stage.env['PATH']}",
        "DVOL_HOST": f"unix://{stage.run}/dvol/control.sock",
    }
    images.busybox(_Client(env), stage.image)  # type: ignore[arg-type]

    def container(command: str) -> list[str]:
        mount = ["--volume-driver", stage.driver, "-v", f"{stage.volume}:/data"]
        return [
            "docker",
            "run",
            "--rm",
            "--network",
            "none",
            *mount,
            stage.image,
            "sh",
            "-c",
            command,
        ]

    play(
        stage.volume,
        dvol=lambda *words: show(["dvol", *words], env),
        write=lambda text: show(container(f"echo {text} > /data/file"), env),
        read=lambda: shown(container("cat /data/file"), env),
    )


def embedded() -> None:
    """The same without Docker: the storage engine in our own process, plain files."""
    with tempfile.TemporaryDirectory(prefix="dvol-demo-") as place:
        file = Path(place) / "volumes" / VOLUME / "branches/master/file"
        prefix = [sys.executable, "-m", "dvol", "-p", f"{place}/volumes"]
        alone = "--disable-docker-integration"
        env = dict(os.environ)
        play(
            VOLUME,
            dvol=lambda *words: show([*prefix, alone, *words], env),
            write=lambda text: show(["sh", "-c", f"echo {text} > {file}"], env),
            read=lambda: shown(["cat", str(file)], env),
        )


def play(volume: str, dvol: Dvol, write: Write, read: Read) -> None:
    """The walk-through, told step by step."""
    say("Make a volume.")
    dvol("init", volume)
    say("A container writes hello into it.")
    write("hello")
    say("Keep that state.")
    dvol("commit", "-m", "Hello", volume)
    dvol("log", volume)
    say("A container overwrites it with world.")
    write("world")
    expect("world", read())
    say("Go back to the last commit.")
    dvol("reset", "--hard", "HEAD", volume)
    expect("hello", read())


def say(text: str) -> None:
    print(f"\n# {text}", flush=True)


def show(command: list[str], env: dict[str, str]) -> None:
    """Run a command as a person would see it."""
    print(f"$ {shlex.join(command)}", flush=True)
    subprocess.run(command, env=env, check=True)


def shown(command: list[str], env: dict[str, str]) -> str:
    """The same, returning what it printed."""
    print(f"$ {shlex.join(command)}", flush=True)
    answer = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    print(answer.stdout, end="", flush=True)
    return answer.stdout.strip()


def expect(expected: str, actual: str) -> None:
    if expected != actual:
        raise Surprise(f"expected {expected!r}, read {actual!r}")


class _Client:
    """The docker client with an environment, as far as `images` asks for an engine."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env

    def docker(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *args], env=self.env, check=check, capture_output=True, text=True
        )


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True).returncode == 0


def _quietly(*command: str) -> None:
    subprocess.run(command, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
