"""Take the plugin out of Docker and leave the data: what `make uninstall` runs.

Docker remembers the volumes of a plugin that is gone, and waits 15 s for each of them at every
start of its daemon. So it is made to forget them first: the server is told to answer as if it
had none, and Docker, asking for each, drops it. `docker volume rm` would trash the data.

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


def main() -> int:
    """Exit code 4 if containers still refer to volumes of the plugin, 0 if it is gone."""
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


def _uninstall(api: Any, name: str) -> None:
    try:
        plugin = api.inspect_plugin(name)
    except docker.errors.NotFound:
        print(f"no plugin {name} is installed")
        return
    canonical = plugin["Name"]
    volumes = _forgotten(api, plugin)
    api.disable_plugin(canonical, force=True)
    _refuse_if_bound(plugin["Id"], canonical)
    api.remove_plugin(canonical, force=True)
    print(f"removed the plugin {canonical}; volumes that stay on disk: {', '.join(volumes) or '-'}")


def _forgotten(api: Any, plugin: dict[str, Any]) -> list[str]:
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
        mounts = {mount["Name"]: mount["Source"] for mount in plugin["Settings"]["Mounts"]}
        _detach(Path(mounts["run"]) / "dvol" / "control.sock")
        for volume in volumes:
            _wait_until_forgotten(api, volume)
    return volumes


def _refuse_if_bound(id: str, name: str) -> None:
    """Docker deletes the plugin's directories, and does not mind a bind that it could not undo
    before: what is still bound there would go with them."""
    if f"/plugins/{id}/propagated-mount" in Path("/proc/self/mountinfo").read_text():
        raise DvolError(f"the data of {name} is still mounted in Docker's directory; disabled only")


def _volumes(api: Any, driver: str) -> list[str]:
    """By name. The filter of some Engines matches parts of a driver's name, so look again."""
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
    """From now on the server answers as if it had no volumes."""
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
        f"Docker does not forget the volume {volume}; 'docker plugin disable -f' and 'enable' "
        "put everything back"
    )


if __name__ == "__main__":
    sys.exit(main())
