"""An older build to a newer one, a pool of the original, and removal: the data stays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.published import NAME, SOURCE, Published, push
from tests.acceptance.stranger import MOUNTING, STAYING, WAITS, Stranger
from tests.lab.bootstrap import BUILD

OLDER = "5fabf37"  # a build of before there were containers, with the first format of a pool
LAYERS = "docker plugin inspect -f '{{.Config.Rootfs.DiffIds}}' dvol"
ONE, TWO = "1" * 40, "2" * 40
ORIGINAL = f"""\
set -e; mkdir -p /var/lib/dvol/volumes; cd /var/lib/dvol/volumes
mkdir -p -m 777 foo/branches/master foo/commits/{ONE} foo/commits/{TWO}
echo 1 > foo/commits/{ONE}/file; echo 2 > foo/commits/{TWO}/file
echo live > foo/branches/master/file
echo '[{{"id": "{ONE}", "message": "one"}}, {{"id": "{TWO}", "message": "two"}}]' \
 > foo/branches/master.json
echo '{{"current_volume": "foo"}}' > current_volume.json
"""


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory, published: Published) -> str:
    """The tag of an older build, made from its own sources; the latest is today's all the same."""
    place = tmp_path_factory.mktemp("older")
    archive = subprocess.run(["git", "archive", OLDER], cwd=SOURCE, capture_output=True, check=True)
    subprocess.run(["tar", "-x"], cwd=place, input=archive.stdout, check=True)
    (place / "build").mkdir()
    for base in BUILD.glob("base-*.tar"):
        (place / "build" / base.name).symlink_to(base)
    push(published.registry, place, "older")
    published.registry.retag(NAME, "today", "latest")
    return "older"


@pytest.fixture
def bare(machine: Stranger) -> Iterator[Stranger]:
    """Docker, and no trace of dvol."""
    if machine.installed():
        machine.clear()
        machine.sh("dvol gc --now")  # what is on btrfs no `find` could delete
        machine.sh("docker plugin disable -f dvol; docker plugin rm -f dvol")
    machine.sh("find /var/lib/dvol /srv -mindepth 1 -delete; docker system prune -f", "root")
    yield machine
    machine.clear()


def furnish(stranger: Stranger) -> None:
    """A commit, what is not committed, and a container."""
    stranger.sh("dvol init shop_db")
    stranger.sh(f"docker run --rm {MOUNTING} busybox sh -c 'echo committed > /data/file'")
    stranger.sh("dvol commit -m one")
    stranger.sh(f"docker run --rm {MOUNTING} busybox sh -c 'echo uncommitted > /data/file'")
    stranger.sh(f'docker run -d --name app {MOUNTING} busybox sh -c "{STAYING}"')


def require_all(stranger: Stranger) -> None:
    """Of what `furnish` has made."""
    assert stranger.sh(f"docker run --rm {MOUNTING} busybox cat /data/file") == "uncommitted\n"
    assert stranger.sh("dvol log").count("commit ") == 1
    stranger.sh("docker start app; dvol reset --hard HEAD")
    assert stranger.sh("docker exec app cat /data/file") == "committed\n"
    assert stranger.sh("dvol fsck") == ""


def test_disabled_removed_and_installed_again(bare: Stranger) -> None:
    bare.install()
    furnish(bare)
    bare.sh("docker stop app; docker plugin disable -f dvol")
    refused = bare.result("docker plugin rm dvol", check=False)
    assert "is in use" in refused.stderr  # by volumes; of a plugin that has seen boots not always
    bare.sh("docker plugin rm -f dvol")
    bare.install()
    require_all(bare)


def test_removed_by_force_under_a_running_container_and_installed_again(
    stranger: Stranger,
) -> None:
    furnish(stranger)
    stranger.sh("docker plugin rm -f dvol")
    assert stranger.sh("docker exec app cat /data/file") == "uncommitted\n"
    stranger.install()
    stranger.sh("docker stop app")
    require_all(stranger)


def test_uninstalling_leaves_the_data_and_nothing_else(stranger: Stranger) -> None:
    """No mount, no socket, and no volume that Docker's next start would wait for."""
    furnish(stranger)
    uninstall = clone(stranger)
    refused = stranger.result(uninstall, "root", check=False)
    assert refused.rc != 0
    assert "containers refer to volumes of the plugin" in refused.stderr
    assert "app" in refused.stderr
    assert stranger.sh("docker plugin inspect -f '{{.Enabled}}' dvol") == "true\n"
    assert stranger.sh("docker exec app cat /data/file") == "uncommitted\n"
    stranger.sh("docker rm -f app")
    stranger.sh(uninstall, "root")
    assert stranger.sh("docker volume ls -q; docker plugin ls -q") == ""
    assert stranger.sh("grep -c dvol /proc/self/mountinfo", "root") == "1\n"  # the disk itself
    assert stranger.sh("find /run -path '*dvol*' -type s", "root") == ""
    stranger.guest.reboot()
    log = stranger.sh("journalctl -b -u docker --no-pager", "root")
    assert not [words for words in WAITS if words in log]
    stranger.install()
    stranger.sh(f'docker run -d --name app {MOUNTING} busybox sh -c "{STAYING}"; docker stop app')
    require_all(stranger)


def clone(stranger: Stranger) -> str:
    """What runs `make uninstall` in a clone, with the Python that dvol's command has."""
    venv = Path(stranger.python()).parent.parent
    stranger.sh(f"mkdir /opt/clone; ln -s {venv} /opt/clone/.venv", "root")
    for part in ("Makefile", "pyproject.toml", "dvol", "plugin"):
        stranger.guest.copy_in(SOURCE / part, "/opt/clone/")
    stranger.sh("touch /opt/clone/.venv/.ready", "root")
    return "make -C /opt/clone uninstall PREFIX=/tmp"


def test_a_pool_of_the_original_opens_as_it_is(bare: Stranger) -> None:
    bare.sh(ORIGINAL, "root")
    bare.install()
    assert "* foo" in bare.sh("dvol list")
    assert [line for line in bare.sh("dvol log").splitlines() if "commit" in line] == [
        f"commit {TWO}",
        f"commit {ONE}",
    ]
    run = "docker run --rm --network none --volume-driver dvol -v foo:/data busybox cat /data/file"
    assert bare.sh(run) == "live\n"
    bare.sh("dvol commit -m three; dvol reset --hard HEAD~2")
    assert bare.sh(run) == "1\n"
    assert bare.sh("dvol fsck") == ""


def test_an_older_build_becomes_a_newer_one(
    bare: Stranger, older: str, published: Published
) -> None:
    """Docker forgets the settings on the way; the pool is neither moved nor lost for that."""
    published.registry.retag(NAME, older, "latest")
    try:
        bare.sh("mkdir -p /srv/big", "root")
        bare.install("data.source=/srv/big")
        furnish(bare)
        bare.sh("docker stop app; docker plugin disable -f dvol")
    finally:
        published.registry.retag(NAME, "today", "latest")
    before = bare.sh(LAYERS)
    bare.sh("docker plugin upgrade --grant-all-permissions dvol")
    assert bare.sh(LAYERS) != before
    refused = bare.result("docker plugin enable dvol", check=False)
    assert refused.rc != 0
    assert "is the plugin enabled" in bare.result("dvol list", check=False).stderr
    assert bare.sh("ls -A /var/lib/dvol | grep -v lost+found | wc -l", "root") == "0\n"
    assert "data.source" in bare.sh("journalctl -b -u docker --no-pager", "root")
    bare.sh("docker plugin set dvol data.source=/srv/big; docker plugin enable dvol")
    require_all(bare)
