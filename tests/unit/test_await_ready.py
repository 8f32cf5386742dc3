"""A service is waited for: a function that raises until it is there, or a port that is taken."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import pytest

from dvol.pytest_plugin import await_ready

Address = tuple[str, int]
Treat = Callable[[socket.socket], None]


@contextmanager
def listening(treat: Treat) -> Iterator[Address]:
    """Something that takes connections, and treats each in its way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=_serve, args=(server, treat))
        thread.start()
        try:
            yield server.getsockname()
        finally:
            server.shutdown(socket.SHUT_RDWR)  # which ends `accept`
            thread.join()


def _serve(server: socket.socket, treat: Treat) -> None:
    with suppress(OSError):
        while True:
            with server.accept()[0] as connection:
                treat(connection)


def hang_up(connection: socket.socket) -> None:
    pass


def hang_up_late(connection: socket.socket) -> None:
    """As a proxy does on a machine with much to do."""
    time.sleep(0.1)


def wait(connection: socket.socket) -> None:
    """Until the other side hangs up."""
    connection.recv(1)


def greet(connection: socket.socket) -> None:
    connection.sendall(b"hello")
    wait(connection)


@pytest.mark.parametrize("treat", [wait, greet])
def test_a_service_that_stays_is_ready(treat: Treat) -> None:
    with listening(treat) as address:
        await_ready(address)


@pytest.mark.parametrize("treat", [hang_up, hang_up_late])
def test_one_that_hangs_up_is_not(treat: Treat) -> None:
    with listening(treat) as address, pytest.raises(ConnectionResetError, match="hung up"):
        await_ready(address, timeout=0.0)


def test_a_port_that_nobody_has_is_not() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await_ready(free.getsockname(), timeout=0.0)


def test_it_is_waited_for() -> None:
    """A proxy that hangs up until its service is there."""
    seen: list[int] = []

    def treat(connection: socket.socket) -> None:
        seen.append(1)
        if len(seen) > 3:
            wait(connection)

    with listening(treat) as address:
        await_ready(address)
    assert len(seen) == 4


def test_a_function_is_called_until_it_does_not_raise() -> None:
    answers = iter([OSError("one"), ValueError("two")])

    def ready() -> None:
        for error in answers:
            raise error

    await_ready(ready)
    assert list(answers) == []


def test_what_it_said_last_is_raised_in_the_end() -> None:
    def ready() -> None:
        raise ValueError("the database system is starting up")

    with pytest.raises(ValueError, match="starting up"):
        await_ready(ready, timeout=0.0)
