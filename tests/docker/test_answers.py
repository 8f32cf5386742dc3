"""Docker gets its answers at once, whatever dvol is at."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.docker.installed import Installed

ON_IT = "run on it"  # waits at the gate, as it should


class Verbs(threading.Thread):
    """Long verbs, one after the other: twenty thousand files take seconds to compare."""

    def __init__(self, installed: Installed, volume: str) -> None:
        super().__init__()
        self.installed = installed
        self.volume = volume
        self.begun = 0
        self.refused: list[str] = []

    def run(self) -> None:
        try:
            for number in range(3):
                self._dvol("commit", "-m", str(number), "--full")
                self._dvol("commit", "--pause", "-m", "x", "--full")
                command = "rm -rf /data/1?; echo new > /data/2/2"
                self.installed.engine.docker("exec", "app", "sh", "-c", command)
                self._dvol("reset", "--hard", "HEAD")
        except Exception as error:
            self.refused.append(repr(error))

    def _dvol(self, *words: str) -> None:
        self.begun += 1
        done = self.installed.dvol(*words, self.volume, check=False)
        self.refused.extend([done.stderr] if done.returncode else [])


@pytest.fixture
def verbs(installed: Installed, volume: str) -> Iterator[Verbs]:
    fill = "for d in $(seq 200); do mkdir /data/$d; for f in $(seq 100); do echo $f > /data/$d/$f; "
    installed.container(volume, f"{fill} done; done")
    installed.start(volume, "app")
    installed.dvol("init", "other")
    verbs = Verbs(installed, volume)
    verbs.start()
    yield verbs
    verbs.join()


@pytest.mark.slow
def test_docker_is_answered_in_the_midst_of_long_verbs(
    installed: Installed, volume: str, verbs: Verbs
) -> None:
    """Each question is answered while the verb goes on in which it was asked."""
    answered = set()
    asked = questions(volume)
    while verbs.is_alive():
        for name, words in asked.items():
            verb = verbs.begun
            done = installed.engine.docker(*words, check=False, timeout=60)
            # one that runs on the volume may be ended by a reset
            fine = (0, 137, 143) if name == ON_IT else (0,)
            assert done.returncode in fine, (name, done.stderr)
            if verbs.begun == verb and verbs.is_alive():
                answered.add(name)
    assert verbs.refused == []
    assert asked.keys() - answered <= {ON_IT}
    assert installed.engine.docker("exec", "app", "cat", "/data/2/2").stdout == "2\n"


def questions(volume: str) -> dict[str, tuple[str, ...]]:
    run = ("run", "--network", "none", "--volume-driver", "dvol", "-v")
    return {
        "volume ls": ("volume", "ls"),
        "volume inspect": ("volume", "inspect", volume),
        "system df": ("system", "df"),
        "ps": ("ps", "-a"),
        "run beside it": (*run, "other:/data", "--rm", "busybox", "true"),
        ON_IT: (*run, f"{volume}:/data:ro", "busybox", "true"),
        "volume create": ("volume", "create", "-d", "dvol", "passing"),
        "volume rm": ("volume", "rm", "passing"),
    }
