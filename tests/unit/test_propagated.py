"""Where the plugin looks for the host's side of its propagated mount."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvol.fs.mountinfo import Mount
from plugin.propagated import host_sides

SHOWN, PROPAGATED = Path("/host/data"), Path("/var/lib/dvol")
DISK, OTHER = "254:0", "254:16"
ID = "plugins/0123"


def mounts(*lines: tuple[str, str, str]) -> list[Mount]:
    return [Mount(device, Path(root), Path(point)) for device, root, point in lines]


def mounted(device: str, root: str) -> tuple[str, str, str]:
    """What Docker mounts in the plugin, of its own directory at `root` of a device."""
    return device, f"{root}/{ID}/propagated-mount", str(PROPAGATED)


LIBRARY = (DISK, "/var/lib", str(SHOWN))
ON_ONE_DISK = (mounted(DISK, "/var/lib/docker"), LIBRARY)
OWN_ROOT = (*ON_ONE_DISK[0][:2], f"/host/data/docker/{ID}/rootfs/var/lib/dvol")
FOUND = f"docker/{ID}/propagated-mount"


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(
            [*ON_ONE_DISK, (DISK, "/var/lib/dvol", "/var/lib/dvol")], [FOUND], id="all on one disk"
        ),
        pytest.param(
            [mounted(OTHER, ""), LIBRARY, (OTHER, "/", "/host/data/docker")],
            [FOUND],
            id="a disk for Docker",
        ),
        pytest.param([*ON_ONE_DISK, OWN_ROOT], [FOUND], id="and the plugin's own root"),
        pytest.param([mounted(DISK, "/srv/docker"), LIBRARY], [], id="Docker is elsewhere"),
        pytest.param([LIBRARY], [], id="no mount of Docker's"),
    ],
)
def test_the_hosts_side_is_found_by_what_is_mounted(
    seen: list[tuple[str, str, str]], found: list[str]
) -> None:
    assert host_sides(mounts(*seen), SHOWN, PROPAGATED) == [SHOWN / name for name in found]
