"""Client: the keeper of the promise that asks a server for it.

`POST /dvol/<verb>` over the control socket; the answer is a stream of JSON lines, of which the
last is the result or the refusal. docs/protocol.md has the whole of it.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from dvol.engine import PROTOCOL, silent
from dvol.errors import Interrupted, NoServer, NotAllowed, ServerGone, from_document
from dvol.model import (
    AS_USUAL,
    Branch,
    Commit,
    Discarded,
    Finding,
    Freed,
    Restored,
    Version,
    Volume,
    Wishes,
)

_SILENCE = 5.0  # seconds
_PIECE = 65536  # bytes
_CURE = "'docker plugin ls' and what Docker's daemon logs"


class Client:
    """The server at a socket (`unix:///run/dvol/control.sock`, or just its path).

    `tell` hears what the server waits for, and does to containers. With `docker` off, it asks
    Docker nothing.
    """

    def __init__(
        self,
        url: str,
        tell: Callable[[str], None] = silent,
        docker: bool = True,
        wishes: Wishes = AS_USUAL,
    ) -> None:
        self.url = url
        self.tell = tell
        self.docker = docker
        self.wishes = wishes

    def version(self) -> Version:
        return _fact(Version, self._ask("version"))

    def volumes(self) -> list[Volume]:
        return [_fact(Volume, each) for each in self._ask("volumes")]

    def get(self, volume: str) -> Volume:
        return _fact(Volume, self._ask("get", volume=volume))

    def active(self) -> str:
        return str(self._ask("active"))

    def init(self, volume: str) -> Volume:
        return _fact(Volume, self._ask("init", volume=volume))

    def switch(self, volume: str) -> Volume:
        return _fact(Volume, self._ask("switch", volume=volume))

    def rm(self, volume: str) -> None:
        self._ask("rm", volume=volume)

    def commit(
        self, volume: str, message: str, author: str, date: str = "", full: bool = False
    ) -> Commit:
        words = {"volume": volume, "message": message, "author": author, "date": date}
        return _fact(Commit, self._ask("commit", **words, full=full))

    def commit_together(
        self,
        volumes: list[str],
        project: str,
        message: str,
        author: str,
        date: str = "",
        full: bool = False,
    ) -> dict[str, Commit]:
        words = {"message": message, "author": author, "date": date, "project": project}
        done = self._ask("commit_together", volumes=volumes, **words, full=full)
        return {name: _fact(Commit, each) for name, each in done.items()}

    def log(self, volume: str, revision: str = "HEAD") -> list[Commit]:
        return [_fact(Commit, each) for each in self._ask("log", volume=volume, revision=revision)]

    def reset(self, volume: str, revision: str = "HEAD") -> Commit:
        return _fact(Commit, self._ask("reset", volume=volume, revision=revision))

    def reset_together(
        self, volumes: list[str], project: str, revision: str = "HEAD"
    ) -> dict[str, Commit]:
        which = {"project": project, "revision": revision}
        done = self._ask("reset_together", volumes=volumes, **which)
        return {name: _fact(Commit, each) for name, each in done.items()}

    def undo(self, volume: str) -> Commit:
        return _fact(Commit, self._ask("undo", volume=volume))

    def config(self, volume: str, key: str, value: str = "", unset: bool = False) -> str:
        return str(self._ask("config", volume=volume, key=key, value=value, unset=unset))

    def branches(self, volume: str) -> list[Branch]:
        return [_fact(Branch, each) for each in self._ask("branches", volume=volume)]

    def branch(self, volume: str, name: str) -> Branch:
        return _fact(Branch, self._ask("branch", volume=volume, name=name))

    def checkout(self, volume: str, name: str) -> Branch:
        return _fact(Branch, self._ask("checkout", volume=volume, name=name))

    def delete_branch(self, volume: str, name: str) -> None:
        self._ask("delete_branch", volume=volume, name=name)

    def discarded(self) -> list[Discarded]:
        return [_fact(Discarded, each) for each in self._ask("discarded")]

    def restore(self, entry: str, name: str = "") -> Restored:
        return _fact(Restored, self._ask("restore", entry=entry, name=name))

    def gc(self, now: bool = False, dry_run: bool = False) -> list[Freed]:
        return [_fact(Freed, each) for each in self._ask("gc", now=now, dry_run=dry_run)]

    def fsck(self, volume: str = "", repair: bool = False) -> list[Finding]:
        return [_fact(Finding, each) for each in self._ask("fsck", volume=volume, repair=repair)]

    def _ask(self, verb: str, **arguments: str | bool | list[str]) -> Any:
        question = {"protocol": PROTOCOL, "docker": self.docker, "arguments": arguments}
        question["wishes"] = self.wishes._asdict()
        with posting(self.url, f"/dvol/{verb}", question, self.tell) as lines:
            for line in lines:
                document = json.loads(line)
                if not isinstance(document, dict):
                    raise ValueError(f"no answer of dvol's: {line[:80]!r}")
                if "error" in document:
                    raise from_document(document["error"])
                if "result" in document:
                    return document["result"]
                self.tell(str(document.get("tell", "")))
            raise ServerGone(self.url)


Fact = TypeVar("Fact", Version, Volume, Branch, Commit, Discarded, Restored, Freed, Finding)


def _fact(kind: type[Fact], answer: dict[str, Any]) -> Fact:
    """A newer server may say more than this client knows."""
    return kind(**{name: value for name, value in answer.items() if name in kind._fields})


@contextmanager
def posting(
    url: str, path: str, question: object, tell: Callable[[str], None] = silent
) -> Iterator[Iterable[bytes]]:
    """Post a JSON document to the socket at `url`; yields the lines of the answer as they come.

    HTTP/1.0, so that they come unwrapped and end with the connection; `http.client` would cost
    a short command a third of its time. No time-out: a long commit is no failure. `tell` hears of
    a server that answers nobody.
    """
    request = _request(path, question)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(url.removeprefix("unix://"))
        except PermissionError as error:
            raise NotAllowed(url) from error
        except OSError as error:
            raise NoServer(url, error.strerror or str(error)) from error
        try:
            connection.sendall(request)
            answer = _lines(_heard(connection, url, tell))
            while next(answer, b"").strip():
                pass  # the status, which the last line of the answer says better, and headers
            yield answer
        except (OSError, ValueError, RecursionError) as error:  # or what is no JSON
            raise ServerGone(url) from error
        except KeyboardInterrupt:
            raise Interrupted("; the server goes on with what it began: see 'dvol log'") from None


def _request(path: str, question: object) -> bytes:
    body = json.dumps(question).encode()
    return f"POST {path} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _heard(connection: socket.socket, url: str, tell: Callable[[str], None]) -> Iterator[bytes]:
    """All that comes, piece by piece; `tell` hears, once, of a server that answers nobody."""
    hangs = False
    while True:
        while not hangs and not _speaks(connection):
            if hangs := _hangs(connection, url):
                tell(f"the server at {url} does not answer; still waiting for it, see {_CURE}")
        if not (piece := connection.recv(_PIECE)):
            return
        yield piece


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """An answer may be one line of megabytes, so nothing is looked at twice."""
    rest = bytearray()
    for piece in pieces:
        *ends, begun = piece.split(b"\n")
        for end in ends:
            yield bytes(rest + end)
            rest.clear()
        rest += begun
    if rest:
        yield bytes(rest)


def _hangs(connection: socket.socket, url: str) -> bool:
    """Whether, while nothing comes here, a question that takes no time gets no answer either."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.settimeout(_SILENCE)
        try:
            other.connect(url.removeprefix("unix://"))
            other.sendall(_request("/dvol/version", {"protocol": PROTOCOL}))
        except OSError:
            return True
        return not _speaks(connection, other)


def _speaks(*connections: socket.socket) -> bool:
    """Whether something comes from one of them soon."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return bool(poll.poll(_SILENCE * 1000))
