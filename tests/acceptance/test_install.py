"""A clean machine, the README, and nothing else."""

from __future__ import annotations

import pytest

from tests.acceptance.stranger import POOL, README, Stranger
from tests.docker.readmes import block_with

COMPOSE = """\
services:
  app:
    image: busybox
    network_mode: none
    command: sh -c "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    volumes: ["data:/data"]
volumes:
  data: {driver: dvol}
"""


def test_the_walk_through_by_one_who_may_use_docker(stranger: Stranger) -> None:
    """Not root, no sudo: the lines of the README, as they are typed."""
    printed = [stranger.sh(line) for line in block_with(README, "dvol init frob_mysql")]
    assert printed[-1] == "hello\n"
    assert "* frob_mysql" in stranger.sh("dvol list")


def test_one_who_may_not_use_docker_is_refused(stranger: Stranger) -> None:
    """By the socket; and the data is root's."""
    stranger.sh("dvol init shop_db")
    command = stranger.sh("readlink -f ~/.local/bin/dvol").strip()
    stranger.sh("chmod o+rx /home/dev", "root")
    refused = stranger.result(f"{command} list", user="eve", check=False)
    assert (refused.rc, refused.stdout) == (9, "")
    assert "the group of Docker's socket" in refused.stderr
    for user in ("eve", "dev"):
        refused = stranger.result(f"ls {POOL}", user=user, check=False)
        assert "Permission denied" in refused.stderr


@pytest.mark.kinds(lambda kind: "docker-compose" in kind.packages)
def test_compose_up_and_down_and_up(stranger: Stranger) -> None:
    """Compose 2, which Debian packages since trixie."""
    stranger.sh(f"mkdir -p shop; cat > shop/compose.yaml <<'END'\n{COMPOSE}END")
    stranger.sh(
        "cd shop; docker compose up -d; docker compose exec -T app sh -c 'echo 1 > /data/f'"
    )
    stranger.sh("dvol commit -m one --project shop")
    stranger.sh("cd shop; docker compose exec -T app sh -c 'echo 2 > /data/f'; docker compose down")
    stranger.sh("cd shop; docker compose up -d; dvol reset --hard HEAD --project shop")
    assert stranger.sh("cd shop; docker compose exec -T app cat /data/f") == "1\n"
    stranger.sh("cd shop; docker compose down -v")
    assert "shop_data" not in stranger.sh("dvol list")
