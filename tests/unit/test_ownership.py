"""Whose a volume is, by what is mounted where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dvol.containers.ownership import ByMounts, ByPlugin, plugin_id
from dvol.fs import mountinfo

OURS, OTHER, UNSEEN, ELSEWHERE = "a" * 64, "b" * 64, "c" * 64, "d" * 64
PLUGINS = "/srv/docker/plugins"
HOST = f"""21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 8:1 {PLUGINS}/{OURS}/propagated-mount {PLUGINS}/{OURS}/propagated-mount rw - ext4 x rw
31 30 8:1 /srv/dvol {PLUGINS}/{OURS}/propagated-mount rw - ext4 x rw
32 21 8:1 {PLUGINS}/{OTHER}/propagated-mount {PLUGINS}/{OTHER}/propagated-mount rw - ext4 x rw
33 32 8:1 /srv/other {PLUGINS}/{OTHER}/propagated-mount rw - ext4 x rw
34 21 8:2 /srv/dvol {PLUGINS}/{ELSEWHERE}/propagated-mount rw - ext4 x rw
"""
CONTAINER = """40 1 0:50 / / rw - overlay overlay rw
41 40 {device} {root} /data rw - ext4 x rw
"""
ID = "e" * 64


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(mountinfo, "_PROC", tmp_path)
    monkeypatch.setattr("dvol.containers.ownership._PROC", tmp_path)
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(HOST)
    return tmp_path


@pytest.mark.parametrize(
    ("id", "ours"),
    [(OURS, True), (OTHER, False), (ELSEWHERE, False), (UNSEEN, None), ("", None)],
)
def test_a_plugin_serves_the_pool_that_its_propagated_mount_shows(
    proc: Path, id: str, ours: bool | None
) -> None:
    assert ByMounts(Path("/srv/dvol/volumes")).of_plugin(id) is ours


@pytest.mark.parametrize(
    ("device", "root", "ours"),
    [
        ("8:1", "/srv/dvol/volumes/db/branches/master", True),
        ("8:1", "/srv/dvol/volumes/db/branches/master/sub/path", True),
        ("8:1", "/srv/dvol/volumes/db2/branches/master", False),
        ("8:1", "/srv/other/volumes/db/branches/master", False),
        ("8:2", "/srv/dvol/volumes/db/branches/master", False),
    ],
)
def test_a_container_has_the_volume_that_its_process_has_mounted(
    proc: Path, device: str, root: str, ours: bool
) -> None:
    (proc / "7").mkdir()
    (proc / "7/cgroup").write_text(f"0::/docker/{ID}\n")
    (proc / "7/mountinfo").write_text(CONTAINER.format(device=device, root=root))
    assert ByMounts(Path("/srv/dvol/volumes")).of_process(ID, 7, "db") is ours


def test_a_process_that_is_not_shown_to_be_the_containers_proves_nothing(proc: Path) -> None:
    """Docker counts processes in a pid namespace of its own, which need not be this one."""
    pool = ByMounts(Path("/srv/dvol/volumes"))
    assert pool.of_process(ID, 7, "db") is None
    (proc / "7").mkdir()
    (proc / "7/cgroup").write_text("0::/user.slice\n")
    (proc / "7/mountinfo").write_text(CONTAINER.format(device="8:1", root="/"))
    assert pool.of_process(ID, 7, "db") is None


def test_a_plugin_knows_its_own_id(proc: Path) -> None:
    """Docker's own directory is beneath the bind of the data."""
    inside = HOST.replace(f"{PLUGINS}/{OURS}/propagated-mount rw", "/var/lib/dvol rw")
    (proc / "self/mountinfo").write_text(inside)
    id = plugin_id(Path("/var/lib/dvol"))
    assert id == OURS
    assert [ByPlugin(id).of_plugin(each) for each in (OURS, OTHER, "")] == [True, False, None]
    assert plugin_id(Path("/elsewhere")) == ""


def test_the_real_mounts_of_this_process_show_where_a_directory_lies(tmp_path: Path) -> None:
    here = mountinfo.place_of(tmp_path, mountinfo.mounts())
    assert here is not None
    assert here.root.name == tmp_path.name
    assert mountinfo.place_of(tmp_path, mountinfo.mounts(os.getpid())) == here
