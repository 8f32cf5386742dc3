"""A server for each test file, with an empty pool for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dvol.engine.local import LocalEngine
from tests.cli.conftest import filesystem
from tests.contract.conftest import server as session_server
from tests.contract.places import Server, emptied
from tests.protocol.wire import Answer, ask

__all__ = ["filesystem", "session_server"]

ANN = "Ann <ann@example.org>"
Ask = Callable[..., Answer]


@pytest.fixture
def server(session_server: Server) -> Iterator[Server]:
    """A server whose pool is empty. No test may bring it down, nor make it meet a bug."""
    emptied(session_server.pool)
    said = session_server.log.stat().st_size
    yield session_server
    assert session_server.process is not None
    assert session_server.process.poll() is None
    assert "Traceback" not in session_server.log.read_text()[said:]


@pytest.fixture
def docker(server: Server) -> Ask:
    """Docker's side of the dialogue: `docker("VolumeDriver.Get", Name="v")`."""

    def ask_server(method: str, body: bytes | None = None, **question: object) -> Answer:
        return ask(server.socket, method, question if body is None else body)

    return ask_server


@pytest.fixture
def pool(server: Server) -> LocalEngine:
    """The server's pool, with a volume `v` of one commit."""
    pool = LocalEngine(server.pool)
    pool.init("v")
    (tree(server) / "file").write_text("committed")
    pool.commit("v", "a message", ANN)
    return pool


def tree(server: Server, volume: str = "v", branch: str = "master") -> Path:
    return server.pool / volume / "branches" / branch
