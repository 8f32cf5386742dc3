"""Reading, and Docker's `Mount`, need no file-system probe: a verb that changes a tree makes it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dvol.engine.docker_volumes import DockerVolumes
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from tests.contract.verbs import commit

READING: dict[str, Callable[[LocalEngine], object]] = {
    "list": lambda engine: engine.volumes(),
    "get": lambda engine: engine.get("v"),
    "log": lambda engine: engine.log("v"),
    "branches": lambda engine: engine.branches("v"),
    "config": lambda engine: engine.config("v", "commit.mode"),
    "restore": lambda engine: engine.discarded(),
    "switch": lambda engine: engine.switch("v"),
    "Mount": lambda engine: DockerVolumes(engine.access).mount("v"),
    "Get": lambda engine: DockerVolumes(engine.access).describe("v"),
    "start of the server": lambda engine: list(Recovery(engine.access).complete_journals()),
}


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    engine = LocalEngine(tmp_path / "volumes")
    engine.init("v")
    commit(engine)
    return engine.root


@pytest.mark.parametrize("read", READING.values(), ids=READING)
def test_reading_asks_no_file_system_what_it_is(
    pool: Path, read: Callable[[LocalEngine], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe(path: Path) -> None:
        raise AssertionError(f"{path} was probed")

    monkeypatch.setattr("dvol.pool.files.choose", probe)
    read(LocalEngine(pool))


def test_a_change_asks(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would hold nothing."""
    probed: list[Path] = []
    monkeypatch.setattr("dvol.pool.files.choose", probed.append)
    with pytest.raises(AttributeError):
        commit(LocalEngine(pool))
    assert probed == [pool]
