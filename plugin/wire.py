"""Bodies in, JSON out, refusals to status: what both doors share of HTTP and Bottle.

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

_LINE = 2000  # characters

Wsgi = Callable[..., Iterable[bytes]]


class HangUp(Exception):
    """Close the connection without a word.

    Docker takes any error from `Get` for "no such volume" and forgets the volume for good; only
    an answer that never comes means "cannot tell".
    """


class ShortLines(logging.Formatter):
    """Docker's daemon ends the log of a plugin at its first line of 64 KiB, and once the pipe is
    full whoever logs waits for ever: no line may be long, whatever is in it."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{record.levelname} {record.getMessage()}"
        return line if len(line) <= _LINE else f"{line[:_LINE]} ..."


def new_app() -> Bottle:
    """An app whose unexpected errors reach `door`, and whose expected ones are JSON."""
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
    """The one body that both doors send for a refusal."""
    return HTTPResponse(
        json.dumps(error.as_document()), status, headers={"Content-Type": "application/json"}
    )


def door(app: Bottle) -> Wsgi:
    """The app as waitress serves it: every connection is closed after its answer.

    A kept connection that we closed just as Docker sends its next request would make Docker
    retry with an empty body. Without a Content-Length waitress closes, hence the generator.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return _unsized(app(environ, _without_length(start_response)))
        except HangUp as error:
            log.error("%s: no answer (%s)", environ["PATH_INFO"], error)
            raise ClientDisconnected from error

    return serve


def told(path: str, subject: str, began: float, outcome: str) -> None:
    """One line a request. Names and outcomes only: no messages, no options, no secrets."""
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
