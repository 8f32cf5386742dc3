"""For pytest: volumes that are put back to a commit before each test, module or session.

    # conftest.py
    import psycopg
    from dvol.pytest_plugin import volumes

    def answers():
        psycopg.connect("host=127.0.0.1 user=postgres").close()

    database = volumes("shop_db", to="seed", ready=answers)

    # test_orders.py
    def test_an_order_can_be_cancelled(database): ...

pytest loads this for whoever has dvol installed, so nothing that takes time is imported before a
fixture of it is used.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from dvol.engine import Engine
    from dvol.model import Branch, Commit

_AUTHOR = "dvol's pytest plugin <pytest@localhost>"
_PATIENCE = 60.0  # seconds until a service answers
_PAUSE = 0.02  # seconds between two tries to connect
# Seconds in which a proxy for a service that is not there hangs up. Docker's does when its own
# connection is refused: within 0.003 s on an idle machine; of 300 with eight busy processes on
# two cores, 3 took more than 0.1 s and none 0.2.
_HANGS_UP = 0.3
_FAILED = pytest.StashKey[list[pytest.Item]]()

Ready = Callable[[], object] | tuple[str, int] | None
Scope = Literal["function", "class", "module", "package", "session"]


class Volumes:
    """Some volumes that tests may do anything to, and the engine that keeps them. What `to` means
    is settled here: a commit that a test makes does not change it."""

    def __init__(
        self,
        engine: Engine,
        names: tuple[str, ...],
        to: str,
        ready: Ready,
        patience: float = _PATIENCE,
    ) -> None:
        self.engine = engine
        self.names = names
        self.ready = ready
        self.patience = patience
        self._commits = [self._resolved(name, to) for name in names]

    def reset(self) -> None:
        """Put them all back, as one if they were committed so; returns when the service answers."""
        groups = {commit.group for commit in self._commits}
        if len(self.names) > 1 and len(groups) == 1 and groups != {""}:
            self.engine.reset_together(list(self.names), "", self._commits[0].id)
        else:
            for name, commit in zip(self.names, self._commits, strict=True):
                self.engine.reset(name, commit.id)
        if self.ready is not None:
            try:
                await_ready(self.ready, self.patience)
            except Exception as error:
                told = f"after the reset of {', '.join(self.names)} it was not ready within"
                pytest.fail(f"{told} {self.patience:g} s: {error!r}", pytrace=False)

    def keep(self, name: str) -> list[str]:
        """Commit the volumes as they are, each on a new branch called after `name`, and put the
        branch it was on back to its newest commit, also where that is refused. Returns the new
        branches."""
        return [self._keep(volume, name) for volume in self.names]

    def _keep(self, volume: str, name: str) -> str:
        branches = {one.name: one for one in self.engine.branches(volume)}
        [current] = [one for one in branches.values() if one.current]
        branch = _free(_branch_name(name), set(branches))
        try:
            self.engine.commit(volume, name, _AUTHOR)
            self.engine.branch(volume, branch)
        finally:
            self._go_back(volume, current)
        return branch

    def _go_back(self, volume: str, branch: Branch) -> None:
        """Where it had no commit there is none to go back to, and it keeps the one it got."""
        self.engine.checkout(volume, branch.name)
        if branch.head:
            self.engine.reset(volume, branch.head)

    def _resolved(self, volume: str, to: str) -> Commit:
        """A revision, or else the newest commit whose message begins with that line."""
        from dvol.errors import InvalidRequest, NotFound, RevisionNotFound

        with suppress(NotFound, InvalidRequest):
            for commit in self.engine.log(volume, to):
                return commit
        for commit in self.engine.log(volume):
            if commit.message.split("\n")[0] == to:
                return commit
        raise RevisionNotFound(f"{to} in {volume}, also as a message")


def volumes(
    *names: str,
    to: str = "HEAD",
    scope: Scope = "function",
    ready: Ready = None,
    patience: float = _PATIENCE,
    keep_failed: bool = False,
    pool: str = "",
    host: str = "",
) -> Any:
    """A fixture that puts the volumes back before each test (or module, or session: `scope`).

    `to` is a revision, or the first line of a commit's message. `ready` is waited for: a function
    that raises until all is well, or a host and a port where connections are to be taken, which a
    database may do before it answers; after `patience` seconds the test fails. With `keep_failed`,
    or `--dvol-keep`, what a failed test has left is committed on a branch named after it. The
    fixture's value is the `Volumes`.
    """
    opened = cache(lambda: Volumes(_engine(pool, host), names, to, ready, patience))

    @pytest.fixture(scope=scope)
    def fixture(request: pytest.FixtureRequest) -> Iterator[Volumes]:
        found = opened()
        found.reset()
        yield found
        failed = _failed_with(request)
        if failed and (keep_failed or request.config.getoption("--dvol-keep")):
            for branch in found.keep(f"failed-{failed[-1].name}"):
                print(f"dvol: what it left is on branch '{branch}'")  # noqa: T201  pytest shows it

    return fixture


def await_ready(ready: Callable[[], object] | tuple[str, int], patience: float = _PATIENCE) -> None:
    """Return when the service answers; what it said last is raised after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            _connect(*ready) if isinstance(ready, tuple) else ready()
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("dvol").addoption(
        "--dvol-keep",
        action="store_true",
        help="commit what failed tests leave in their volumes, each on a branch of its own",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Fixtures learn whether a test of theirs has failed."""
    report = yield
    if report.when == "call" and report.failed:
        for node in item.listchain():
            node.stash.setdefault(_FAILED, []).append(item)
    return report


def _failed_with(request: pytest.FixtureRequest) -> list[pytest.Item]:
    """The failed tests, so far, that use the fixture that asks."""
    node = request.node  # the one test where it is for that alone: it may have asked late
    return [
        item
        for item in node.stash.get(_FAILED, [])
        if item is node or request.fixturename in getattr(item, "fixturenames", ())
    ]


def _engine(pool: str, host: str) -> Engine:
    import dvol

    own = host or ("" if pool else os.environ.get("DVOL_HOST", ""))
    return dvol.open(pool, own, os.environ.get("DOCKER_HOST", ""))


def _connect(host: str, port: int) -> None:
    """Docker's proxy takes connections for a service that is not there yet, and hangs up."""
    import socket

    with socket.create_connection((host, port), timeout=1.0) as connection:
        connection.settimeout(_HANGS_UP)
        try:
            if not connection.recv(1):
                raise ConnectionResetError(f"{host}:{port} hung up")
        except TimeoutError:  # it waits for us to speak
            return


def _branch_name(name: str) -> str:
    """What a branch may be called (see `names`): parameters of a test may hold anything."""
    return re.sub(r"[^a-zA-Z0-9_]+", "-", name)[:100].strip("-")


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while (found := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return found
