"""What a stranger installs: the plugin in a registry, the command's packages in a directory."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.docker.installed import Installed, run
from tests.lab.bootstrap import BUILD
from tests.lab.engine import Engine
from tests.lab.registry import Registry

SOURCE = Path(__file__).parents[2]
NAME = "clusterhq/dvol"
# as they are for every Python and machine; pipx wants the last two for what it installs into
EVERYWHERE = ("--only-binary=:all:", "--implementation=py", "--abi=none", "--platform=any")
FOR_PIPX = ("pip", "setuptools", "wheel")


@dataclass(frozen=True)
class Published:
    """Where both are."""

    registry: Registry
    wheels: Path

    @property
    def name(self) -> str:
        """What to give to `docker plugin install`."""
        return f"{self.registry.address}/{NAME}"


def publish(registry: Registry) -> Published:
    """Push the plugin, and pack the command."""
    push(registry, SOURCE, "today")
    return Published(registry, _wheels())


def push(registry: Registry, source: Path, tag: str) -> None:
    """Publish the plugin that these sources make, as the latest and under a tag that stays."""
    with Engine() as engine:
        words = ["make", "-s", "-C", str(source), "push", f"REGISTRY={registry.address}"]
        run(words, Installed(engine).env)
    registry.retag(NAME, "latest", tag)


def _wheels() -> Path:
    place = BUILD / "acceptance" / "wheels"
    shutil.rmtree(place, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    environment = dict(os.environ)
    run([*pip, "wheel", "--no-deps", "--wheel-dir", str(place), str(SOURCE)], environment)
    [wheel] = place.glob("dvol-*.whl")
    run([*pip, "download", *EVERYWHERE, "--dest", str(place), str(wheel), *FOR_PIPX], environment)
    return place
