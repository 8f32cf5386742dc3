"""Where the plugin looks for the host's side of its propagated mount."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin.propagated import Mount, host_sides

SHOWN, PROPAGATED = Path("/host/data"), Path("/var/lib/dvol")
DISK, OTHER = "254:0", "254:16"
ID = "plugins/0123"


def mounts(*lines: tuple[str, str, str]) -> list[Mount]:
    return [Mount(device, Path(root), Path(point)) for device, root, point in lines]


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(
            [
                (DISK, f"/var/lib/docker/{ID}/propagated-mount", "/var/lib/dvol"),
                (DISK, "/var/lib", "/host/data"),
                (DISK, "/var/lib/dvol", "/var/lib/dvol"),
            ],
            [f"docker/{ID}/propagated-mount"],
            id="all on one disk",
        ),
        pytest.param(
            [
                (OTHER, f"/{ID}/propagated-mount", "/var/lib/dvol"),
                (DISK, "/var/lib", "/host/data"),
                (OTHER, "/", "/host/data/docker"),
            ],
            [f"docker/{ID}/propagated-mount"],
            id="a disk for Docker",
        ),
        pytest.param(
            [
                (DISK, f"/var/lib/docker/{ID}/propagated-mount", "/var/lib/dvol"),
                (DISK, "/var/lib", "/host/data"),
                (
                    DISK,
                    f"/var/lib/docker/{ID}/propagated-mount",
                    f"/host/data/docker/{ID}/rootfs/var/lib/dvol",
                ),
            ],
            [f"docker/{ID}/propagated-mount"],
            id="and the plugin's own root",
        ),
        pytest.param(
            [
                (DISK, f"/srv/docker/{ID}/propagated-mount", "/var/lib/dvol"),
                (DISK, "/var/lib", "/host/data"),
            ],
            [],
            id="Docker is elsewhere",
        ),
        pytest.param([(DISK, "/var/lib", "/host/data")], [], id="no mount of Docker's"),
    ],
)
def test_the_hosts_side_is_found_by_what_is_mounted(
    seen: list[tuple[str, str, str]], found: list[str]
) -> None:
    assert host_sides(mounts(*seen), SHOWN, PROPAGATED) == [SHOWN / name for name in found]
