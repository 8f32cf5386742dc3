"""What both APIs share of HTTP and Bottle: reading bodies, JSON answers, errors, logging.

What the calls mean is in `volumedriver` and `control`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bottle import Bottle, HTTPResponse, request
from waitress.channel import ClientDisconnected

from dvol.errors import DvolError, InvalidRequest, printable

log = logging.getLogger("dvol")

_LINE = 2000  # characters of a line of the log

Wsgi = Callable[..., Iterable[bytes]]


class HangUp(Exception):
    """Close the connection without an answer.

    Docker takes any error from `Get` for "no such volume" and forgets the volume for good; only a
    missing answer means that the volume's state is not known.
    """


class ShortLines(logging.Formatter):
    """Cuts long lines. Docker's daemon stops reading a plugin's log at its first line of 64 KiB,
    and once the pipe is full each process that logs waits for ever."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{record.levelname} {record.getMessage()}"
        return line if len(line) <= _LINE else f"{line[:_LINE]} ..."


def new_app() -> Bottle:
    """An app whose unexpected errors reach `without_keep_alive`, and whose expected ones are
    JSON."""
    app = Bottle(catchall=False)
    app.default_error_handler = lambda error: json.dumps({"Err": error.body})
    return app


def body() -> dict[str, Any]:
    """The body as a JSON object, whatever its Content-Type: Docker sends none at all.

    Raises InvalidRequest for anything else, such as the empty body of Docker's own retries.
    """
    raw = request.body.read()
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidRequest("the request has no JSON object for a body")
    return document


def refusal(error: DvolError, status: int) -> HTTPResponse:
    """The answer for an error: both APIs send the same body."""
    return HTTPResponse(
        json.dumps(error.as_document()), status, headers={"Content-Type": "application/json"}
    )


def without_keep_alive(app: Bottle) -> Wsgi:
    """The app as waitress serves it: every connection is closed after its answer.

    If a kept connection were closed just as Docker sends its next request, Docker would retry that
    with an empty body. waitress closes a connection whose answer has no Content-Length: so that
    header is dropped, and the body is a generator.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return _unsized(app(environ, _without_length(start_response)))
        except HangUp as error:
            log.error("%s: connection closed without an answer (%s)", environ["PATH_INFO"], error)
            raise ClientDisconnected from error

    return serve


def log_call(path: str, subject: str, began: float, outcome: str) -> None:
    """Log a request, in one line: its path, volume, duration and outcome. No other arguments, which
    may hold secrets."""
    spent = (time.monotonic() - began) * 1000
    log.info("%s %s %.1f ms %s", path, printable(subject[:200]) or "-", spent, outcome)


def _unsized(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    finally:
        if hasattr(chunks, "close"):
            chunks.close()


def _without_length(start_response: Callable[..., Any]) -> Callable[..., Any]:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        kept = [(key, value) for key, value in headers if key.lower() != "content-length"]
        return start_response(status, kept, *rest)

    return start
