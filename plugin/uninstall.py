"""Remove the plugin from Docker and leave the data on disk: what `make uninstall` runs.

Docker remembers the volumes of a plugin that was removed, and waits 15 s for each of them at every
start of its daemon. So it is made to forget them first: the server is switched to answer as if it
had no volumes, and Docker, which then asks for each, drops it. `docker volume rm` would move the
data to the trash.

Usage: dvol-uninstall PLUGIN
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import docker
import requests
from docopt import docopt

from dvol.engine.remote import posting
from dvol.errors import DvolError, PluginInUse, Unsupported
from dvol.fs.mountinfo import mounts
from dvol.fs.propagated import propagated

UNMOUNTING = 10.0  # seconds that Docker may take to unmount what it has disabled


def main() -> int:
    """Uninstall the plugin. Exit code 0 if it is removed or was not installed, 4 if containers
    still refer to its volumes."""
    name = docopt(__doc__ or "")["PLUGIN"]
    try:
        _uninstall(docker.from_env().api, name)
    except DvolError as error:
        print(f"dvol: {error}", file=sys.stderr)
        return error.exit_code
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        print(f"dvol: cannot uninstall the plugin {name}: {error}", file=sys.stderr)
        return Unsupported.exit_code
    return 0


def wait_until_unmounted(id: str, name: str, timeout: float = UNMOUNTING) -> None:
    """Wait until the data is no longer bound in the directory of a plugin that was disabled. Raise
    DvolError if it still is after `timeout` seconds: Docker deletes that directory also if it could
    not unmount the bind, and would delete the data with it.

    Docker answers a disable when the plugin has ended, and only then unmounts (moby's
    HandleExitEvent): some milliseconds later, seen in 26.1 and 28.5.
    """
    deadline = time.monotonic() + timeout
    while id in (found.plugin for mount in mounts() if (found := propagated(mount.point))):
        if time.monotonic() > deadline:
            raise DvolError(
                f"the data of {name} is still mounted in Docker's directory; the plugin is disabled"
            )
        time.sleep(0.02)


def _uninstall(api: Any, name: str) -> None:
    try:
        plugin = api.inspect_plugin(name)
    except docker.errors.NotFound:
        print(f"no plugin {name} is installed")
        return
    canonical = plugin["Name"]
    volumes = _forget_volumes(api, plugin)
    api.disable_plugin(canonical, force=True)
    wait_until_unmounted(plugin["Id"], canonical)
    api.remove_plugin(canonical, force=True)
    print(f"removed the plugin {canonical}; volumes that stay on disk: {', '.join(volumes) or '-'}")


def _forget_volumes(api: Any, plugin: dict[str, Any]) -> list[str]:
    """Make Docker forget the plugin's volumes; returns their names."""
    name = plugin["Name"]
    if not plugin["Enabled"]:  # a disabled plugin hides its volumes from Docker
        api.enable_plugin(name, timeout=0)
    try:
        volumes = _volumes(api, name)
        users = sorted({user for volume in volumes for user in _users(api, volume, name)})
        if users:
            raise PluginInUse(name, ", ".join(users))
    except DvolError:
        if not plugin["Enabled"]:
            api.disable_plugin(name, force=True)
        raise
    if volumes:
        sources = {mount["Name"]: mount["Source"] for mount in plugin["Settings"]["Mounts"]}
        _detach(Path(sources["run"]) / "dvol" / "control.sock")
        for volume in volumes:
            _wait_until_forgotten(api, volume)
    return volumes


def _volumes(api: Any, driver: str) -> list[str]:
    """The names of the driver's volumes. Some Engines' filter matches a part of a driver's name, so
    the names are compared again."""
    listed = api.volumes(filters={"driver": driver})["Volumes"] or []
    return sorted(volume["Name"] for volume in listed if volume["Driver"] == driver)


def _users(api: Any, volume: str, driver: str) -> list[str]:
    found = api.containers(all=True, filters={"volume": [volume]})
    return [
        (one["Names"] or [one["Id"][:12]])[0].lstrip("/")
        for one in found
        if any(m.get("Name") == volume and m.get("Driver") == driver for m in one["Mounts"])
    ]


def _detach(control: Path) -> None:
    """Make the server answer as if it had no volumes, see `VolumeDriver.detach`."""
    with posting(f"unix://{control}", "/docker/detach", {}) as lines:
        list(lines)


def _wait_until_forgotten(api: Any, volume: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            api.inspect_volume(volume)
        except docker.errors.NotFound:
            return
        time.sleep(0.1)
    raise DvolError(
        f"Docker does not forget the volume {volume}; to keep the plugin, 'docker plugin disable "
        "-f' and 'enable' it"
    )


if __name__ == "__main__":
    sys.exit(main())
