"""Docker's side of the dialogue, and people's, on a raw socket."""

import json
import socket
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from dvol.engine import PROTOCOL

TIMEOUT = 25.0  # seconds: what Docker allows any answer, with some to spare


@dataclass(frozen=True)
class Answer:
    """A response; `document` is its body as JSON."""

    status: int
    document: Any
    body: bytes


def dial(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(TIMEOUT)
    client.connect(str(path))
    return client


def as_docker(method: str, body: bytes, host: str = "") -> bytes:
    """A request as Docker 20.10 sends it: an empty Host, no Content-Type, an odd Accept."""
    return (
        f"POST /{method} HTTP/1.1\r\n"
        f"Host: {host}\r\n"
        "User-Agent: Go-http-client/1.1\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Accept: application/vnd.docker.plugins.v1.2+json\r\n"
        "Accept-Encoding: gzip\r\n"
        "\r\n"
    ).encode() + body


def exchange(path: Path, request: bytes) -> bytes:
    """Send a request; return all bytes that come until the server closes the connection."""
    with dial(path) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def parsed(raw: bytes) -> Answer:
    """The one response in `raw`, with nothing after it."""
    status, body = _response(raw)
    return Answer(status, json.loads(body), body)


def _response(raw: bytes) -> tuple[int, bytes]:
    reader, writer = socket.socketpair()
    with reader, writer, closing(HTTPResponse(reader, method="POST")) as response:
        writer.sendall(raw)
        writer.shutdown(socket.SHUT_WR)
        response.begin()
        return response.status, response.read()


def ask(path: Path, method: str, question: object = None) -> Answer:
    """One of Docker's calls. A question of bytes is sent as it is."""
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    return parsed(exchange(path, as_docker(method, body)))


def post(path: Path, verb: str, question: object) -> list[dict[str, Any]]:
    """One of people's calls; the lines of the answer."""
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    raw = exchange(path, as_docker(f"dvol/{verb}", body, "dvol"))
    return lines(raw)


def lines(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _response(raw)[1].splitlines()]


def question(**arguments: object) -> dict[str, object]:
    return {"protocol": PROTOCOL, "docker": True, "arguments": arguments}
