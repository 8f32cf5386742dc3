"""Uninstalling waits until Docker has unmounted the data, and does not go on where it stays."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvol.errors import DvolError
from plugin.uninstall import wait_until_unmounted

pytestmark = pytest.mark.root
ID = "0123456789abcdef" * 4


@pytest.fixture
def bound(short_dir: Path) -> Iterator[Path]:
    """What Docker has for the plugin's data, still mounted."""
    place = short_dir / "plugins" / ID / "propagated-mount"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-q", str(place)])


def test_what_docker_is_late_in_unmounting_is_waited_for(bound: Path) -> None:
    """It answers a disable before."""
    late = threading.Timer(0.3, subprocess.run, [["umount", str(bound)]])
    late.start()
    wait_until_unmounted(ID, "dvol:latest", timeout=60)
    assert not bound.is_mount()
    late.join()


def test_data_that_stays_mounted_is_never_deleted_with_the_plugin(bound: Path) -> None:
    with pytest.raises(DvolError, match="is still mounted in Docker's directory"):
        wait_until_unmounted(ID, "dvol:latest", timeout=0.2)
