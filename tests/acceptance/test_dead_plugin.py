"""A plugin that is dead, hangs or has no room takes nothing else along, and says what is wrong."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.stranger import MOUNTING, POOL, STAYING, Stranger

SERVER = "pgrep -f '[p]ython3 -m plugin'"  # and not the shell that asks
REWRITE = """\
import dvol, time
shop, ids = dvol.open(host="unix:///run/dvol/control.sock"), []
path = "/var/lib/dvol/volumes/shop_db/branches/master/file"
open(path, "w").write("%08d" % 0)
for number in range(60):
    if number == 30:
        time.clock_settime(time.CLOCK_REALTIME, time.time() - 3600)
    with open(path, "r+") as file:
        file.write("%08d" % number)
    ids.append(shop.commit("shop_db", "x", "Ann <ann@example.org>").id)
    with open(path, "r+") as file:  # of the same size, and maybe within the same tick
        file.write("%08d" % (number + 1000))
for number, id in enumerate(ids):
    held = open(f"/var/lib/dvol/volumes/shop_db/commits/{id}/file").read()
    assert held == "%08d" % number, (number, held)
shop.reset("shop_db", ids[0])
assert open(path).read() == "%08d" % 0
print("all as they were")
"""


@pytest.fixture
def running(stranger: Stranger) -> Stranger:
    """A volume with one commit, and a container that has it."""
    stranger.sh("dvol init shop_db")
    stranger.sh(f"docker run --rm {MOUNTING} busybox sh -c 'echo one > /data/file'")
    stranger.sh("dvol commit -m one")
    stranger.sh(f'docker run -d --name app {MOUNTING} busybox sh -c "{STAYING}"')
    return stranger


def all_well(stranger: Stranger) -> None:
    """Docker and dvol do their work, and nothing is left over."""
    assert "/app" in stranger.sh("dvol list")
    stranger.sh("docker exec app sh -c 'echo two > /data/file'; dvol reset --hard HEAD")
    assert stranger.sh(f"docker run --rm {MOUNTING} busybox cat /data/file") == "one\n"
    assert stranger.sh("dvol fsck") == ""


def test_a_killed_server_comes_back_by_itself(running: Stranger) -> None:
    running.sh(f"kill -9 $({SERVER})", "root")
    assert running.sh("docker exec app cat /data/file") == "one\n"
    assert "dvol:latest" in running.sh("docker volume inspect shop_db")
    all_well(running)


def test_a_server_that_hangs_holds_up_nobody_who_does_not_need_it(running: Stranger) -> None:
    running.sh(f"kill -STOP $({SERVER})", "root")
    try:
        assert "app" in running.sh("docker ps")
        assert running.sh("docker exec app cat /data/file") == "one\n"
        assert running.sh("docker run --rm --network none busybox echo hi") == "hi\n"
        told = running.result("timeout 15 dvol list", check=False)
        assert (told.rc, told.stdout) == (124, "")
        assert "does not answer" in told.stderr
        running.sh(f"(docker run --rm {MOUNTING} busybox cat /data/file >/tmp/late 2>&1 &)")
        time.sleep(2)
        assert running.sh("cat /tmp/late") == ""
    finally:
        running.sh(f"kill -CONT $({SERVER})", "root")
    late = "it was started after all"
    running.guest.wait(lambda: running.sh("cat /tmp/late") == "one\n", late, 60)
    all_well(running)


def test_a_plugin_that_is_disabled_under_its_containers(running: Stranger) -> None:
    running.sh("docker plugin disable -f dvol")
    assert running.sh("docker exec app cat /data/file") == "one\n"
    refused = running.result("dvol list", check=False)
    assert refused.rc == 9
    assert "is the plugin enabled" in refused.stderr
    refused = running.result(f"docker run --rm {MOUNTING} busybox true", check=False)
    assert refused.rc != 0
    assert "plugin" in refused.stderr
    assert "dvol" in refused.stderr
    assert running.result("docker restart -t 1 app", check=False).rc != 0
    running.sh("docker plugin enable dvol")
    running.sh("docker start app")
    all_well(running)


def test_a_disk_without_room(running: Stranger) -> None:
    running.sh(f"dd if=/dev/zero of={POOL}/shop_db/branches/master/large bs=1M count=400", "root")
    running.sh("sync; df --output=avail -B1 /var/lib/dvol | tail -1 > /tmp/free", "root")
    running.sh("fallocate -l $(($(cat /tmp/free) - 100000000)) /var/lib/dvol/filler", "root")
    refused = running.result("dvol commit -m large", check=False)
    if running.guest.kind.disk == "ext4":  # XFS and btrfs share what they copy
        assert refused.rc == 7
        assert "free" in refused.stderr
    full = "dd if=/dev/zero of=/data/more bs=1M count=4000"
    assert "No space left" in running.result(f"docker exec app {full}", check=False).stderr
    assert "app" in running.sh("docker ps; docker volume ls")
    commits = running.sh("dvol log").count("commit ")
    tried = running.result("dvol commit -m full", check=False)
    assert tried.rc in (0, 7), tried
    assert running.sh("dvol log").count("commit ") == commits + (tried.rc == 0)
    running.sh("docker exec app rm /data/more /data/large; rm /var/lib/dvol/filler", "root")
    all_well(running)


@pytest.mark.kinds(lambda kind: kind.disk == "ext4")  # the others make them as they need them
def test_a_disk_without_inodes(running: Stranger) -> None:
    running.sh("mkdir /var/lib/dvol/filler", "root")
    running.sh(
        "cd /var/lib/dvol/filler; seq $(df --output=iavail . | tail -1) | xargs touch", "root"
    )
    refused = running.result("dvol commit -m none", check=False)
    assert refused.rc == 7
    assert "No space left" in refused.stderr or "inodes" in refused.stderr
    assert "app" in running.sh("docker ps; docker volume ls")
    running.sh("rm -r /var/lib/dvol/filler", "root")
    all_well(running)


def test_a_clock_that_is_stepped_back_while_a_file_changes(running: Stranger) -> None:
    """On kernels before 6.13, bookworm's for one, times are coarse as well."""
    running.sh("docker stop -t 1 app; docker rm app")
    running.sh(f"cat > /opt/rewrite <<'END'\n{REWRITE}END", "root")
    try:
        printed = running.sh(f"{running.python()} /opt/rewrite", "root")
    finally:
        running.sh(f"date -s @{time.time():.0f}", "root")
    assert printed == "all as they were\n"
    assert running.sh("dvol fsck") == ""
