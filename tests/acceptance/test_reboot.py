"""Switched off and on in order: all is back, without help, and Docker does not wait for it."""

from __future__ import annotations

from tests.acceptance.stranger import Stranger

STAYING = "trap 'exit 0' TERM; cat /data/file > /data/seen; while :; do sleep 0.1; done"


def test_all_that_was_there_is_there_after_a_reboot(stranger: Stranger) -> None:
    mounting = "--network none --volume-driver dvol -v shop_db:/data"
    stranger.sh("dvol init shop_db")
    stranger.sh(f"docker run --rm {mounting} busybox sh -c 'echo committed > /data/file'")
    stranger.sh("dvol commit -m one; dvol checkout -b side")
    stranger.sh(f"docker run --rm {mounting} busybox sh -c 'echo uncommitted > /data/file'")
    stranger.sh(f'docker run -d --name app --restart=always {mounting} busybox sh -c "{STAYING}"')
    stranger.sh("for n in 1 2 3 4; do docker volume create -d dvol idle$n; done")
    before = [stranger.sh(command) for command in ("dvol list", "dvol log", "dvol branch")]
    stranger.guest.reboot()
    log = stranger.sh("journalctl -b -u docker --no-pager", "root")
    assert [stranger.sh(command) for command in ("dvol list", "dvol log", "dvol branch")] == before
    assert stranger.sh("docker exec app cat /data/seen") == "uncommitted\n"
    assert stranger.sh(f"docker run --rm {mounting} busybox cat /data/file") == "uncommitted\n"
    stranger.sh("dvol checkout -f master")
    assert stranger.sh("docker exec app cat /data/seen") == "committed\n"
    # what Docker says where it has to wait for a volume's plugin, 15 s for each
    assert "Unable to connect to plugin" not in log
    assert stranger.sh("dvol fsck").strip() == ""
