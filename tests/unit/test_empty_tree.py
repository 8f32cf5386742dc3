"""To whom a new, empty tree belongs, by what is mounted where."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvol.fs.mountinfo import Mount
from dvol.pool.empty_tree import remapped_root

POOL = Path("/var/lib/dvol/volumes")
PLUGIN = f"plugins/{'0' * 64}/propagated-mount"
BIND = ("/var/lib/dvol", "/var/lib/dvol")


def mounts(*lines: tuple[str, str]) -> list[Mount]:
    return [Mount("8:1", Path(root), Path(point)) for root, point in lines]


@pytest.mark.parametrize(
    ("root", "owner"),
    [
        (f"/var/lib/docker/100000.200000/{PLUGIN}", (100000, 200000)),
        (f"/100000.200000/{PLUGIN}", (100000, 200000)),
        (f"/var/lib/docker/{PLUGIN}", None),
        ("/var/lib/docker/100000.200000/plugins/dvol/propagated-mount", None),
        (f"/var/lib/docker/100000.200000/{PLUGIN}/volumes", None),
        ("/var/lib/docker/100000.200000", None),
    ],
)
def test_a_plugin_reads_the_remapped_root_from_its_propagated_mount(
    root: str, owner: tuple[int, int] | None
) -> None:
    assert remapped_root(mounts(("/", "/"), (root, "/var/lib/dvol"), BIND), POOL) == owner


def test_another_plugins_mount_says_nothing() -> None:
    other = (f"/var/lib/docker/100000.200000/{PLUGIN}", "/mnt/volumes")
    assert remapped_root(mounts(other, BIND), POOL) is None


@pytest.mark.parametrize(("bound", "owner"), [("pool", (100000, 200000)), ("other", None)])
def test_on_the_host_the_pool_is_bound_over_dockers_directory(
    tmp_path: Path, bound: str, owner: tuple[int, int] | None
) -> None:
    for name in ("pool", "other"):
        (tmp_path / name / "volumes").mkdir(parents=True)
    point = tmp_path / "100000.200000" / PLUGIN
    point.parent.mkdir(parents=True)
    point.symlink_to(tmp_path / bound)  # stands for the bind
    seen = mounts(("/", "/"), (str(tmp_path / bound), str(point)))
    assert remapped_root(seen, tmp_path / "pool" / "volumes") == owner
