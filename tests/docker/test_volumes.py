"""Containers on dvol's volumes: what a person does every day."""

from __future__ import annotations

import json
import os
from datetime import datetime

import pytest

from tests.docker.installed import Installed, wait_for
from tests.lab import images

pytestmark = pytest.mark.engines


def test_reset_brings_back_what_was_committed(installed: Installed, volume: str) -> None:
    installed.container(volume, "echo hello > /data/file")
    commit = installed.dvol("commit", "-m", "Hello", volume).stdout.strip()
    installed.container(volume, "echo world > /data/file; touch /data/more")
    assert installed.container(volume, "cat /data/file") == "world\n"
    installed.dvol("reset", "--hard", "HEAD", volume)
    assert installed.container(volume, "cat /data/file; ls /data") == "hello\nfile\n"
    assert commit in installed.dvol("log", volume).stdout


def test_each_branch_has_its_own_data(installed: Installed, volume: str) -> None:
    installed.container(volume, "echo one > /data/file")
    installed.dvol("commit", "-m", "one", volume)
    installed.container(volume, "echo uncommitted > /data/file")
    installed.dvol("checkout", "-b", "side", volume)
    assert installed.container(volume, "cat /data/file") == "one\n"
    installed.dvol("checkout", "master", volume)
    assert installed.container(volume, "cat /data/file") == "uncommitted\n"


def test_docker_shows_branch_head_and_date(installed: Installed, volume: str) -> None:
    commit = installed.dvol("commit", "-m", "x", volume).stdout.strip()
    shown = installed.inspect(volume)
    assert shown["Driver"] == "dvol:latest"
    assert shown["Status"] == {"Branch": "master", "Head": commit, "Commits": 1}
    created = datetime.fromisoformat(shown["CreatedAt"])
    assert created.tzinfo is not None
    assert abs((datetime.now(created.tzinfo) - created).total_seconds()) < 3600


def test_volumes_of_either_maker_are_seen_by_both(installed: Installed, volume: str) -> None:
    installed.engine.docker("volume", "create", "-d", "dvol", "made_by_docker")
    installed.container("made_by_run", "true")
    names = ["made_by_docker", "made_by_run", volume]
    assert sorted(installed.listed()) == names
    listed = installed.dvol("list").stdout
    assert [line.split()[-2] for line in listed.splitlines()[1:]] == names
    assert f"* {volume}" in listed  # Docker never makes a volume the active one


def test_a_removed_volume_is_in_the_trash_and_its_name_starts_empty(
    installed: Installed, volume: str
) -> None:
    installed.container(volume, "echo precious > /data/file")
    installed.engine.docker("volume", "rm", volume)
    assert volume not in installed.listed()
    assert installed.container(volume, "ls -A /data") == ""
    trashed = list(installed.pool.glob(".dvol/trash/*/volume/branches/master/file"))
    assert "precious\n" in [path.read_text() for path in trashed]


def test_removing_by_the_command_is_seen_by_docker(installed: Installed, volume: str) -> None:
    installed.dvol("rm", "-f", volume)
    assert installed.listed() == []
    gone = installed.engine.docker("volume", "inspect", volume, check=False)
    assert gone.returncode == 1


def test_prune_leaves_volumes_alone(installed: Installed, volume: str) -> None:
    installed.container(volume, "echo precious > /data/file")
    installed.engine.docker("volume", "prune", "-f")
    installed.engine.docker("system", "prune", "-f", "--volumes")
    assert installed.container(volume, "cat /data/file") == "precious\n"


def test_an_anonymous_volume_leaves_nothing(installed: Installed) -> None:
    options = ("--network", "none", "--volume-driver", "dvol", "-v", "/data")
    installed.engine.docker("run", "--rm", *options, images.SHELL, "touch", "/data/file")
    assert installed.listed() == []
    own = installed.pool / ".dvol"
    wait_for(lambda: not os.listdir(own / "garbage"), "the anonymous volume is deleted")
    noted = [json.loads(path.read_text()) for path in own.glob("trash/*/entry.json")]
    assert not [note for note in noted if len(note["volume"]) == 64]


def test_a_volume_in_use_is_not_removed(installed: Installed, volume: str) -> None:
    installed.start(volume, "writer")
    for state in ("running", "paused", "exited"):
        if state != "running":
            installed.engine.docker({"paused": "pause", "exited": "kill"}[state], "writer")
        refused = installed.dvol("rm", "-f", volume, check=False)
        assert refused.returncode == 4, refused
        assert "'/writer'" in refused.stderr
    installed.engine.docker("rm", "-f", "writer")
    installed.dvol("rm", "-f", volume)


def test_a_volume_of_a_stopped_container_can_be_reset_but_not_removed(
    installed: Installed, volume: str
) -> None:
    installed.dvol("commit", "-m", "empty", volume)
    installed.start(volume, "writer", command="echo dirt > /data/file")
    installed.engine.docker("wait", "writer")
    refused = installed.dvol("rm", "-f", volume, check=False)
    assert (refused.returncode, "'/writer'" in refused.stderr) == (4, True)
    installed.dvol("reset", "--hard", "HEAD", volume)
    assert installed.container(volume, "ls -A /data") == ""


def test_a_container_keeps_its_data_over_stop_reset_and_start(
    installed: Installed, volume: str
) -> None:
    """Docker mounts at start what is then in place, and not the tree that was discarded."""
    installed.container(volume, "echo old > /data/file")
    installed.dvol("commit", "-m", "old", volume)
    installed.start(volume, "app")
    installed.engine.docker("exec", "app", "sh", "-c", "echo new > /data/file")
    installed.engine.docker("stop", "app")
    installed.dvol("reset", "--hard", "HEAD", volume)
    installed.engine.docker("start", "app")
    assert installed.engine.docker("exec", "app", "cat", "/data/file").stdout == "old\n"


def test_a_local_volume_of_the_same_name_is_not_ours(installed: Installed) -> None:
    """Only this one: Docker's names are unique, so a pool of its own tells them apart."""
    installed.engine.docker("volume", "create", "local_one")
    options = ("-d", "--name", "user", "--network", "none", "-v", "local_one:/data")
    installed.engine.docker("run", *options, images.SHELL, "sleep", "1000")
    pool = installed.engine.root / "other-pool"
    alone = {"DVOL_HOST": "", "DOCKER_HOST": installed.engine.host}
    for words in (["init", "local_one"], ["commit", "-m", "x"]):
        installed.dvol("-p", str(pool), *words, **alone)


def test_two_containers_share_one_volume(installed: Installed, volume: str) -> None:
    installed.start(volume, "one")
    installed.start(volume, "two")
    installed.engine.docker("exec", "one", "sh", "-c", "echo shared > /data/file")
    assert installed.engine.docker("exec", "two", "cat", "/data/file").stdout == "shared\n"
    installed.engine.docker("rm", "-f", "one")
    assert installed.engine.docker("exec", "two", "cat", "/data/file").stdout == "shared\n"


def test_copying_in_and_out_leaves_a_running_container_its_volume(
    installed: Installed, volume: str, tmp_path
) -> None:
    """`docker cp` mounts and unmounts under the id that the running container holds."""
    installed.start(volume, "app")
    (tmp_path / "in").write_text("copied")
    installed.engine.docker("cp", str(tmp_path / "in"), "app:/data/in")
    installed.engine.docker("cp", "app:/data/in", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "copied"
    assert installed.engine.docker("exec", "app", "cat", "/data/in").stdout == "copied"
    assert "stopped /app" in installed.dvol("commit", "-m", "x", volume).stderr


def test_an_image_fills_a_new_volume_with_content_owner_and_mode(installed: Installed) -> None:
    image = images.with_content(installed.engine)
    options = ("run", "--rm", *installed.mounting("seeded"), image)
    shown = installed.engine.docker(*options, "stat", "-c", "%a %u:%g", "/data", "/data/seed")
    assert shown.stdout == "700 999:999\n640 999:999\n"
    installed.dvol("commit", "-m", "seeded", "seeded")
    installed.engine.docker(*options, "sh", "-c", "rm -r /data/*; chmod 777 /data")
    installed.dvol("reset", "--hard", "HEAD", "seeded")
    shown = installed.engine.docker(*options, "stat", "-c", "%a %u:%g", "/data", "/data/seed")
    assert shown.stdout == "700 999:999\n640 999:999\n"


def test_an_image_without_root_can_write(installed: Installed) -> None:
    image = images.non_root(installed.engine)
    options = ("run", "--rm", *installed.mounting("unprivileged"), image)
    installed.engine.docker(*options, "sh", "-c", "echo mine > /data/file")
    installed.dvol("commit", "-m", "x", "unprivileged")
    installed.engine.docker(*options, "sh", "-c", "echo other > /data/file")
    installed.dvol("reset", "--hard", "HEAD", "unprivileged")
    assert installed.engine.docker(*options, "cat", "/data/file").stdout == "mine\n"


def test_an_unknown_option_is_refused_by_name(installed: Installed) -> None:
    refused = installed.engine.docker(
        "volume", "create", "-d", "dvol", "-o", "size=3G", "sized", check=False
    )
    assert refused.returncode == 1
    assert "'size'" in refused.stderr
    assert installed.listed() == []


def test_a_bad_name_is_refused_and_makes_nothing(installed: Installed) -> None:
    for name in ("../../evil", "a b", ".hidden", "x" * 300):
        refused = installed.engine.docker("volume", "create", "-d", "dvol", name, check=False)
        assert refused.returncode == 1
        assert "is not a valid name for a volume" in refused.stderr
    assert not list(installed.engine.root.rglob("evil"))


def test_mount_waits_for_a_verb_at_work(installed: Installed, volume: str) -> None:
    """A container started in the midst of commits comes up, and every commit is whole."""
    installed.container(volume, "dd if=/dev/zero of=/data/big bs=1M count=64 2> /dev/null")
    for number in range(5):
        installed.dvol("commit", "-m", str(number), volume)
        assert "big" in installed.container(volume, "ls /data")
    assert installed.inspect(volume)["Status"]["Commits"] == 5
