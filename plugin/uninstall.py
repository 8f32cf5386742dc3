"""Take the plugin out of Docker and leave the data: what `make uninstall` runs.

Docker remembers the volumes of a plugin that is gone, and waits 15 s for each of them at every
start of its daemon. So it is made to forget them first: the server is told to answer as if it
had none, and Docker, asking for each, drops it. `docker volume rm` would trash the data.

Usage: dvol-uninstall [--run=DIR] PLUGIN

Options:
  --run=DIR   the plugin's run directory, for its control socket [default: /run]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import docker
from docopt import docopt

from dvol.client import posting
from dvol.errors import Conflict, DvolError


class Refused(Conflict):
    """{0}"""


def main() -> int:
    """Exit code 4 if containers still refer to volumes of the plugin, 0 if it is gone."""
    options = docopt(__doc__ or "")
    try:
        _uninstall(docker.from_env().api, options["PLUGIN"], options["--run"])
    except DvolError as error:
        print(f"dvol: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _uninstall(api: Any, name: str, run: str) -> None:
    plugin = _plugin(api, name)
    if plugin is None:
        print(f"no plugin {name} is installed")
        return
    canonical = plugin["Name"]
    volumes = _volumes(api, canonical)
    users = sorted({user for volume in volumes for user in _users(api, volume, canonical)})
    if users:
        raise Refused(
            f"containers refer to volumes of {canonical}: {', '.join(users)}; "
            "'docker rm' them first (their data stays)"
        )
    if volumes:
        _forget(api, volumes, Path(run) / "dvol" / "control.sock")
    api.disable_plugin(canonical, force=True)
    api.remove_plugin(canonical, force=True)
    print(f"removed plugin {canonical}; the volumes stay on disk: {', '.join(volumes) or 'none'}")


def _plugin(api: Any, name: str) -> dict[str, Any] | None:
    """The plugin, enabled: a disabled one hides its volumes from Docker."""
    try:
        plugin: dict[str, Any] = api.inspect_plugin(name)
    except docker.errors.NotFound:
        return None
    if not plugin["Enabled"]:
        api.enable_plugin(plugin["Name"], timeout=0)
    return plugin


def _volumes(api: Any, driver: str) -> list[str]:
    """By name. The filter of some Engines matches parts of a driver's name, so look again."""
    listed = api.volumes(filters={"driver": driver})["Volumes"] or []
    return sorted(volume["Name"] for volume in listed if volume["Driver"] == driver)


def _users(api: Any, volume: str, driver: str) -> list[str]:
    found = api.containers(all=True, filters={"volume": [volume]})
    return [
        one["Names"][0].lstrip("/")
        for one in found
        if any(m.get("Name") == volume and m.get("Driver") == driver for m in one["Mounts"])
    ]


def _forget(api: Any, volumes: list[str], control: Path) -> None:
    """Docker drops what its driver says does not exist; then it must be gone from its list."""
    with posting(f"unix://{control}", "/docker/detach", {}) as lines:
        list(lines)
    for volume in volumes:
        _wait_until_forgotten(api, volume)


def _wait_until_forgotten(api: Any, volume: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            api.inspect_volume(volume)
        except docker.errors.NotFound:
            return
        time.sleep(0.1)
    raise Refused(f"Docker does not forget the volume {volume}")


if __name__ == "__main__":
    sys.exit(main())
