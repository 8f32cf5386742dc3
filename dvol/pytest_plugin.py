"""For pytest: volumes that are reset to a commit before each test, module or session.

The first reset of a volume in a test session keeps the state it finds, which may be a day's work,
for `dvol undo`. Later ones discard what tests have left, so that they don't push that state out.

    # conftest.py
    import psycopg
    from dvol.pytest_plugin import volumes

    def answers():
        psycopg.connect("host=127.0.0.1 user=postgres").close()

    database = volumes("shop_db", to="seed", ready=answers)

    # test_orders.py
    def test_an_order_can_be_cancelled(database): ...

pytest loads this module wherever dvol is installed, so nothing that takes time is imported before a
test uses such a fixture.
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
    from dvol.model import Commit

_AUTHOR = "dvol's pytest plugin <pytest@localhost>"
_TIMEOUT = 60.0  # seconds until a service answers
_PAUSE = 0.02  # seconds between two tries to connect
# Seconds in which a proxy closes the connection to a service that does not listen yet. Docker's
# proxy does when its own connection is refused: within 0.003 s on an idle machine; of 300 with
# eight busy processes on two cores, 3 took more than 0.1 s and none 0.2.
_HANGS_UP = 0.3
_FAILED = pytest.StashKey[list[pytest.Item]]()
Kept = set[tuple[str, ...]]  # pool, host and name of the volumes that were reset in this session
_KEPT = pytest.StashKey[Kept]()

Ready = Callable[[], object] | tuple[str, int] | None
Scope = Literal["function", "class", "module", "package", "session"]


class Volumes:
    """Volumes that tests may change, and their engine. `to` is resolved once, at the start: commits
    that tests make do not change which commit it means. `kept` has the volumes whose state before
    the session is kept by now, or was equal to the commit."""

    def __init__(
        self,
        engine: Engine,
        names: tuple[str, ...],
        to: str,
        ready: Ready,
        timeout: float = _TIMEOUT,
        where: tuple[str, ...] = (),
        kept: Kept | None = None,
    ) -> None:
        self.engine = engine
        self.where = where
        self.kept = set() if kept is None else kept
        self.names = names
        self.ready = ready
        self.timeout = timeout
        self._commits = [self._resolved(name, to) for name in names]

    def reset(self) -> None:
        """Reset all volumes, as one if their commits are of one group; returns when the service is
        ready. What a volume held before its first reset of the session is kept for `undo`."""
        groups = {commit.group for commit in self._commits}
        if len(self.names) > 1 and len(groups) == 1 and groups != {""}:
            discard = all(map(self._is_kept, self.names))
            self.engine.reset_group(list(self.names), "", self._commits[0].id, discard)
        else:
            for name, commit in zip(self.names, self._commits, strict=True):
                self.engine.reset(name, commit.id, self._is_kept(name))
        self.kept |= {(*self.where, name) for name in self.names}
        if self.ready is not None:
            try:
                await_ready(self.ready, self.timeout)
            except Exception as error:
                names = ", ".join(self.names)
                late = f"the service was not ready within {self.timeout:g} s"
                pytest.fail(f"after the reset of {names} {late}: {error!r}", pytrace=False)

    def keep(self, name: str) -> str:
        """Commit all volumes as they are on a new branch, whose name is made from `name`, and reset
        their current branches to their last commits; containers are stopped once. Returns the
        branch."""
        taken = {one.name for volume in self.names for one in self.engine.branches(volume)}
        taken |= {one.name for volume in self.names for one in self.engine.tags(volume)}
        branch = _free(_branch_name(name), taken)
        self.engine.stash(list(self.names), branch, name, _AUTHOR)
        return branch

    def _is_kept(self, volume: str) -> bool:
        return (*self.where, volume) in self.kept

    def _resolved(self, volume: str, to: str) -> Commit:
        """The commit that `to` means as a revision, or else the newest whose message begins with
        that line."""
        from dvol.errors import InvalidRequest, NotFound, RevisionNotFound
        from dvol.model import first_line

        with suppress(NotFound, InvalidRequest):
            for commit in self.engine.log(volume, to):
                return commit
        for commit in self.engine.log(volume):
            if first_line(commit.message) == to:
                return commit
        with suppress(NotFound, InvalidRequest):  # an earlier session may have gone back before it
            for commit in self.engine.log(volume, f":/{to}")[:1]:
                if first_line(commit.message) == to:
                    return commit
        raise RevisionNotFound(f"{to} in {volume}, as a revision or a message")


def volumes(
    *names: str,
    to: str = "HEAD",
    scope: Scope = "function",
    ready: Ready = None,
    timeout: float = _TIMEOUT,
    keep_failed: bool = False,
    pool: str = "",
    host: str = "",
) -> Any:
    """A fixture that resets the volumes before each test (or module, or session: `scope`).

    `to` is a revision, or the first line of a commit's message. `ready` is a function that raises
    until the service answers, or a host and a port that must accept connections, which a database
    may do before it answers queries. The fixture waits for it, and the test fails after `timeout`
    seconds. With `keep_failed`, or `--dvol-keep`, the volumes as a failed test has left them are
    committed on a branch named after the test. The fixture's value is the `Volumes`.

    The first reset of a volume in a session keeps the state it finds, for `dvol undo`; later ones
    discard it. Each worker of pytest-xdist is a session of its own.
    """
    where = (os.path.realpath(pool) if pool else "", host)
    opened = cache(lambda: Volumes(_engine(pool, host), names, to, ready, timeout, where))

    @pytest.fixture(scope=scope)
    def fixture(request: pytest.FixtureRequest) -> Iterator[Volumes]:
        found = opened()
        found.kept = request.session.stash.setdefault(_KEPT, set())
        found.reset()
        yield found
        failed = _failed_with(request)
        if failed and (keep_failed or request.config.getoption("--dvol-keep")):
            branch = found.keep(f"failed-{failed[-1].name}")
            text = f"dvol: the volume as the test left it is on branch '{branch}'"
            print(text)  # noqa: T201  pytest shows it

    return fixture


def await_ready(ready: Callable[[], object] | tuple[str, int], timeout: float = _TIMEOUT) -> None:
    """Return when the service is ready; after `timeout` seconds the last try's error is raised."""
    deadline = time.monotonic() + timeout
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
    """Note each failed test, for the fixtures that it uses."""
    report = yield
    if report.when == "call" and report.failed:
        for node in item.listchain():
            node.stash.setdefault(_FAILED, []).append(item)
    return report


def _failed_with(request: pytest.FixtureRequest) -> list[pytest.Item]:
    """The tests that have failed so far and use the fixture of this request."""
    node = request.node  # of scope "function": the test, which may request the fixture late
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
    """Connect, or raise. Docker's proxy accepts connections for a service that does not listen yet,
    and closes them at once: that raises too."""
    import socket

    with socket.create_connection((host, port), timeout=1.0) as connection:
        connection.settimeout(_HANGS_UP)
        try:
            if not connection.recv(1):
                raise ConnectionResetError(f"{host}:{port} hung up")
        except TimeoutError:  # the service waits for the client's first message
            return


def _branch_name(name: str) -> str:
    """A valid name for a branch (see `names`); a test's name may hold any character."""
    return re.sub(r"[^a-zA-Z0-9_]+", "-", name)[:100].strip("-")


def _free(name: str, taken: set[str]) -> str:
    number = 1
    while (found := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return found
