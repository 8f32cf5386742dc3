"""What a stranger installs: the plugin in a registry, the command's packages in a directory."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.docker.installed import Installed
from tests.lab.engine import Engine
from tests.lab.images import BUILD

SOURCE = Path(__file__).parents[2]
NAME = "clusterhq/dvol"
# as they are for every Python and machine; pipx wants the last two for what it installs into
EVERYWHERE = ("--only-binary=:all:", "--implementation=py", "--abi=none", "--platform=any")
FOR_PIPX = ("pip", "setuptools", "wheel")


@dataclass(frozen=True)
class Published:
    """Where both are."""

    registry: str  # HOST:PORT
    wheels: Path

    @property
    def name(self) -> str:
        """What to give to `docker plugin install`."""
        return f"{self.registry}/{NAME}"


def publish(registry: str, source: Path = SOURCE) -> Published:
    """Push the plugin that `source` makes, and pack its command."""
    with Engine() as engine:
        Installed(engine).make("push", f"REGISTRY={registry}")
    return Published(registry, _wheels(source))


def _wheels(source: Path) -> Path:
    place = BUILD / "acceptance" / "wheels"
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    _run([*pip, "wheel", "--no-deps", "--wheel-dir", str(place), str(source)])
    [wheel] = place.glob("dvol-*.whl")
    _run([*pip, "download", *EVERYWHERE, "--dest", str(place), str(wheel), *FOR_PIPX])
    return place


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
