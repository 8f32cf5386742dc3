"""The engine that asks a server: each verb is a request.

`POST /dvol/<verb>` over the control socket; the answer is a stream of JSON lines, of which the
last is the result or the error. docs/protocol.md describes the protocol.
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
    DEFAULTS,
    Branch,
    Commit,
    ContainerOptions,
    Discarded,
    Finding,
    Freed,
    Pruned,
    ReflogEntry,
    Restored,
    Tag,
    Version,
    Volume,
    writers_in,
)

_SILENCE = 5.0  # seconds without an answer, until `version` is asked beside it
_PIECE = 65536  # bytes


class RemoteEngine:
    """The server at a socket (`unix:///run/dvol/control.sock`, or just its path).

    `on_progress` is called with one line of text for each step of the server's that takes a while.
    With `docker` off, the server asks Docker nothing.
    """

    def __init__(
        self,
        url: str,
        on_progress: Callable[[str], None] = silent,
        docker: bool = True,
        options: ContainerOptions = DEFAULTS,
    ) -> None:
        self.url = url
        self.on_progress = on_progress
        self.docker = docker
        self.options = options

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
        fields = {"volume": volume, "message": message, "author": author, "date": date}
        return _fact(Commit, self._ask("commit", **fields, full=full))

    def commit_group(
        self,
        volumes: list[str],
        project: str,
        message: str,
        author: str,
        date: str = "",
        full: bool = False,
    ) -> dict[str, Commit]:
        fields = {"message": message, "author": author, "date": date, "project": project}
        done = self._ask("commit_group", volumes=volumes, **fields, full=full)
        return {name: _fact(Commit, each) for name, each in done.items()}

    def log(self, volume: str, revision: str = "HEAD") -> list[Commit]:
        return [_fact(Commit, each) for each in self._ask("log", volume=volume, revision=revision)]

    def reflog(self, volume: str, branch: str = "") -> list[ReflogEntry]:
        found = self._ask("reflog", volume=volume, branch=branch)
        return [_fact(ReflogEntry, each) for each in found]

    def reset(self, volume: str, revision: str = "HEAD", discard: bool = False) -> Commit:
        done = self._ask("reset", volume=volume, revision=revision, discard=discard)
        return _fact(Commit, done)

    def reset_group(
        self, volumes: list[str], project: str, revision: str = "HEAD", discard: bool = False
    ) -> dict[str, Commit]:
        which = {"project": project, "revision": revision}
        done = self._ask("reset_group", volumes=volumes, **which, discard=discard)
        return {name: _fact(Commit, each) for name, each in done.items()}

    def undo(self, volume: str, count: int = 1) -> Commit:
        return _fact(Commit, self._ask("undo", volume=volume, count=count))

    def undo_group(self, volumes: list[str], project: str) -> dict[str, Commit]:
        done = self._ask("undo_group", volumes=volumes, project=project)
        return {name: _fact(Commit, each) for name, each in done.items()}

    def config(self, volume: str, key: str, value: str = "", unset: bool = False) -> str:
        return str(self._ask("config", volume=volume, key=key, value=value, unset=unset))

    def branches(self, volume: str) -> list[Branch]:
        return [_fact(Branch, each) for each in self._ask("branches", volume=volume)]

    def branch(self, volume: str, name: str, revision: str = "HEAD") -> Branch:
        return _fact(Branch, self._ask("branch", volume=volume, name=name, revision=revision))

    def checkout(self, volume: str, name: str) -> Branch:
        return _fact(Branch, self._ask("checkout", volume=volume, name=name))

    def delete_branch(self, volume: str, name: str) -> None:
        self._ask("delete_branch", volume=volume, name=name)

    def stash(
        self, volumes: list[str], branch: str, message: str, author: str
    ) -> dict[str, Commit]:
        fields = {"branch": branch, "message": message, "author": author}
        done = self._ask("stash", volumes=volumes, **fields)
        return {name: _fact(Commit, each) for name, each in done.items()}

    def tag(self, volume: str, name: str, revision: str = "HEAD") -> Tag:
        return _fact(Tag, self._ask("tag", volume=volume, name=name, revision=revision))

    def tags(self, volume: str) -> list[Tag]:
        return [_fact(Tag, each) for each in self._ask("tags", volume=volume)]

    def delete_tag(self, volume: str, name: str) -> Tag:
        return _fact(Tag, self._ask("delete_tag", volume=volume, name=name))

    def drop(self, volume: str, revision: str) -> Commit:
        return _fact(Commit, self._ask("drop", volume=volume, revision=revision))

    def prune(
        self,
        volume: str,
        last: int = 0,
        hourly: int = 0,
        daily: int = 0,
        weekly: int = 0,
        tags: str = "",
        groups: bool = False,
        dry_run: bool = False,
    ) -> list[Pruned]:
        numbers = {"last": last, "hourly": hourly, "daily": daily, "weekly": weekly}
        more = {"groups": groups, "dry_run": dry_run}
        judged = self._ask("prune", volume=volume, **numbers, tags=tags, **more)
        return [_fact(Pruned, each) for each in judged]

    def discarded(self, sizes: bool = False) -> list[Discarded]:
        return [_fact(Discarded, each) for each in self._ask("discarded", sizes=sizes)]

    def restore(self, entry: str, name: str = "") -> Restored:
        return _fact(Restored, self._ask("restore", entry=entry, name=name))

    def gc(
        self,
        now: bool = False,
        dry_run: bool = False,
        entry: str = "",
        volume: str = "",
        older_than: str = "",
    ) -> list[Freed]:
        which = {"entry": entry, "volume": volume, "older_than": older_than}
        freed = self._ask("gc", now=now, dry_run=dry_run, **which)
        return [_fact(Freed, each) for each in freed]

    def fsck(self, volume: str = "", repair: bool = False, data: bool = False) -> list[Finding]:
        found = self._ask("fsck", volume=volume, repair=repair, data=data)
        return [_fact(Finding, each) for each in found]

    def _ask(self, verb: str, **arguments: str | bool | int | list[str]) -> Any:
        question = {"protocol": PROTOCOL, "docker": self.docker, "arguments": arguments}
        question["options"] = self.options._asdict()
        with posting(self.url, f"/dvol/{verb}", question, self.on_progress) as lines:
            for line in lines:
                document = json.loads(line)
                if not isinstance(document, dict):
                    raise ValueError(f"no answer of dvol's: {line[:80]!r}")
                if "error" in document:
                    raise from_document(document["error"])
                if "result" in document:
                    return document["result"]
                self.on_progress(str(document.get("progress", "")))
            raise ServerGone(self.url)


Fact = TypeVar(
    "Fact",
    Version,
    Volume,
    Branch,
    Commit,
    ReflogEntry,
    Discarded,
    Restored,
    Freed,
    Finding,
    Tag,
    Pruned,
)


def _fact(kind: type[Fact], answer: dict[str, Any]) -> Fact:
    """The result in an answer. Fields that this client does not know, from a newer server, are left
    out."""
    known = {name: value for name, value in answer.items() if name in kind._fields}
    if "writers" in known:  # of a commit
        known["writers"] = writers_in(known["writers"])
    return kind(**known)


@contextmanager
def posting(
    url: str, path: str, question: object, on_progress: Callable[[str], None] = silent
) -> Iterator[Iterable[bytes]]:
    """Post a JSON document to the socket at `url`; yields the lines of the answer as they come.

    HTTP/1.0, so that the lines come without chunked encoding and end with the connection;
    `http.client` would cost a short command a third of its time. No timeout: a long commit is no
    failure. `on_progress` is called with a line of text if the server does not answer. Raises
    NotAllowed, NoServer, ServerGone, Interrupted.
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
            answer = _lines(_received(connection, url, on_progress))
            while next(answer, b"").strip():
                pass  # the headers, and the status: the last line of the answer has the error
            yield answer
        except (OSError, ValueError, RecursionError) as error:  # the last two: it is no JSON
            raise ServerGone(url) from error
        except KeyboardInterrupt:
            raise Interrupted("; the server goes on with the command: see 'dvol log'") from None


def _request(path: str, question: object) -> bytes:
    body = json.dumps(question).encode()
    return f"POST {path} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _received(
    connection: socket.socket, url: str, on_progress: Callable[[str], None]
) -> Iterator[bytes]:
    """The answer, piece by piece; `on_progress` is called once if the server hangs."""
    hangs = False
    while True:
        while not hangs and not _readable(connection):
            if hangs := _hangs(connection, url):
                see = "'docker plugin ls' and the log of Docker's daemon"
                on_progress(f"the server at {url} does not answer; still waiting, see {see}")
        if not (piece := connection.recv(_PIECE)):
            return
        yield piece


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The lines in the pieces. A line may have megabytes, so no byte is searched twice."""
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
    """Whether a second request, `version`, which takes no time, gets no answer either, and still
    nothing comes at the first."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.settimeout(_SILENCE)
        try:
            other.connect(url.removeprefix("unix://"))
            other.sendall(_request("/dvol/version", {"protocol": PROTOCOL}))
        except OSError:
            return True
        return not _readable(connection, other)


def _readable(*connections: socket.socket) -> bool:
    """Whether bytes, or the end of the stream, come from a connection within five seconds."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return bool(poll.poll(_SILENCE * 1000))
