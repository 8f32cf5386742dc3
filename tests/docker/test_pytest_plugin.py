"""What the pytest plugin does to volumes that running containers use."""

from __future__ import annotations

import time

import pytest

import dvol
from dvol.errors import WouldBeRemoved
from dvol.pytest_plugin import Volumes
from tests.docker.installed import Installed


@pytest.fixture
def seeded(installed: Installed, volume: str) -> Volumes:
    installed.container(volume, "echo seed > /data/file")
    installed.dvol("commit", "-m", "seed", volume)
    return Volumes(dvol.open(host=installed.env["DVOL_HOST"]), (volume,), "HEAD", None)


def test_a_ruin_is_kept_while_a_container_runs(installed: Installed, seeded: Volumes) -> None:
    """It is stopped once."""
    [volume] = seeded.names
    before = seeded.engine.log(volume)
    installed.start(volume, "app")
    ask = ("exec", "app", "cat", "/data/file")
    installed.engine.docker("exec", "app", "sh", "-c", "echo ruin > /data/file")
    began = time.time()
    assert seeded.keep("failed") == "failed"
    assert deaths(installed, began) == ["die"]
    assert [one.state for one in seeded.engine.log(volume, "failed")] == ["stopped", ""]
    assert seeded.engine.log(volume) == before
    assert installed.engine.docker(*ask).stdout == "seed\n"
    seeded.engine.checkout(volume, "failed")
    assert installed.engine.docker(*ask).stdout == "ruin\n"


def deaths(installed: Installed, since: float) -> list[str]:
    window = ("--since", f"{since:.6f}", "--until", f"{time.time():.6f}")
    words = ("events", *window, "--filter", "event=die", "--format", "{{.Action}}")
    return installed.engine.docker(*words).stdout.split()


def test_one_that_must_not_be_ended_does_not_spoil_the_tests_after_it(
    installed: Installed, seeded: Volumes
) -> None:
    """Its end would remove it, so that neither a new branch nor a reset is possible before it."""
    [volume] = seeded.names
    before = seeded.engine.log(volume)
    installed.start(volume, "app", "--rm")
    installed.engine.docker("exec", "app", "sh", "-c", "echo ruin > /data/file")
    with pytest.raises(WouldBeRemoved):
        seeded.keep("failed")
    installed.engine.docker("rm", "-f", "app")
    seeded.reset()
    assert seeded.engine.log(volume) == before
    assert installed.container(volume, "cat /data/file") == "seed\n"
