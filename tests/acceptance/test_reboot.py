"""Switched off and on in order: all is back, without help, and Docker does not wait for it."""

from __future__ import annotations

from tests.acceptance.stranger import MOUNTING, STAYING, WAITS, Stranger

TELLING = f"cat /data/file > /data/seen; {STAYING}"


def test_all_that_was_there_is_there_after_a_reboot(stranger: Stranger) -> None:
    stranger.sh("dvol init shop_db")
    stranger.sh(f"docker run --rm {MOUNTING} busybox sh -c 'echo committed > /data/file'")
    stranger.sh("dvol commit -m one; dvol checkout -b side")
    stranger.sh(f"docker run --rm {MOUNTING} busybox sh -c 'echo uncommitted > /data/file'")
    stranger.sh(f'docker run -d --name app --restart=always {MOUNTING} busybox sh -c "{TELLING}"')
    stranger.sh("for n in 1 2 3 4; do docker volume create -d dvol idle$n; done")
    before = [stranger.sh(command) for command in ("dvol list", "dvol log", "dvol branch")]
    stranger.guest.reboot()
    log = stranger.sh("journalctl -b -u docker --no-pager", "root")
    assert [stranger.sh(command) for command in ("dvol list", "dvol log", "dvol branch")] == before
    await_seen(stranger, "uncommitted")
    assert stranger.sh(f"docker run --rm {MOUNTING} busybox cat /data/file") == "uncommitted\n"
    stranger.sh("dvol checkout -f master")
    await_seen(stranger, "committed")
    assert not [words for words in WAITS if words in log]
    # nor is it taken for hidden where it is not, on a machine whose mounts are shared
    assert "Docker has unmounted the volumes" not in log
    assert stranger.sh("dvol fsck").strip() == ""


def await_seen(stranger: Stranger, what: str) -> None:
    """Until the container has told what it found when it started."""

    def seen() -> bool:
        told = stranger.result("docker exec app cat /data/seen", check=False)
        return bool(told.stdout == f"{what}\n")

    stranger.guest.wait(seen, f"{what} was seen", 60)
