"""The path that `Get` names, by which Docker up to 25 relabels a volume."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvol.engine import silent
from dvol.engine.docker_volumes import DockerVolumes
from dvol.layout import PoolLayout
from dvol.pool import format
from dvol.pool.access import open_pool
from plugin import volumedriver
from plugin.volumedriver import VolumeDriver

FILESYSTEMS = "nodev\tsysfs\nnodev\tproc\n\text4\n"


@pytest.fixture
def driver(tmp_path: Path) -> VolumeDriver:
    """On a pool with the volume `shop_db`."""
    root = tmp_path / "volumes"
    format.ensure(PoolLayout(root))
    driver = VolumeDriver(DockerVolumes(open_pool(root, silent, 1.0)), lambda: None)
    driver.create({"Name": "shop_db"})
    return driver


@pytest.mark.parametrize(
    ("more", "named"), [("", False), ("nodev\tselinuxfs\n", True)], ids=["without", "with SELinux"]
)
def test_get_names_a_path_only_where_docker_may_relabel_it(
    driver: VolumeDriver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: str,
    named: bool,
) -> None:
    """With SELinux and no path, Docker would relabel its own working directory."""
    (tmp_path / "filesystems").write_text(FILESYSTEMS + more)
    monkeypatch.setattr(volumedriver, "_FILESYSTEMS", tmp_path / "filesystems")
    tree = str(tmp_path / "volumes/shop_db/branches/master")
    found = driver.get({"Name": "shop_db"})["Volume"]
    assert found["Mountpoint"] == (tree if named else "")
    assert driver.list({})["Volumes"] == [{"Name": "shop_db", "Mountpoint": tree}]
