"""The control API: `POST /dvol/<verb>`, every verb of the promise, answered in JSON lines.

The verbs are the methods of `Engine`, so that none can be forgotten. A verb runs in a thread of its
own: it goes on when its client disconnects.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from bottle import Bottle, response

from dvol.engine import PROTOCOL, Engine
from dvol.errors import Bug, DvolError, InvalidRequest, NewerProtocol, UnknownVerb, Unsupported
from dvol.model import DEFAULTS, ContainerOptions, as_plain
from plugin import wire

THREADS = 128  # many, since calls wait for locks and containers, and others must be answered

Progress = Callable[[str], None]
# whether Docker may be asked, options for containers, and what to call with a line for each step
OpenEngine = Callable[[bool, ContainerOptions, Progress], Engine]

VERBS = {
    name: inspect.signature(verb)
    for name, verb in vars(Engine).items()
    if inspect.isfunction(verb) and not name.startswith("_")
}


@dataclasses.dataclass(frozen=True)
class Call:
    """A valid request for a verb; `volume` is for the log."""

    verb: str
    volume: str
    run: Callable[[], Any]

    def outcome(self) -> dict[str, Any]:
        """Run the verb; returns the last line of the answer, and logs how it ended."""
        began = time.monotonic()
        try:
            last, outcome = {"result": as_plain(self.run())}, "ok"
        except DvolError as error:
            last, outcome = _failed(error), f"refused: {error}"
        except Exception as error:
            wire.log.exception("a bug in %s", self.verb)
            last, outcome = _failed(Bug(repr(error))), "a bug"
        wire.log_call(f"/dvol/{self.verb}", self.volume, began, outcome)
        return last


class Control:
    """Answers requests; `open_engine` makes the engine for each."""

    def __init__(self, open_engine: OpenEngine) -> None:
        self._open = open_engine
        self._running: set[threading.Thread] = set()

    def wait(self, seconds: float) -> None:
        """Wait until running verbs finish, for so many seconds at most. After a restart recovery
        completes the others or undoes them."""
        deadline = time.monotonic() + seconds
        for thread in list(self._running):
            thread.join(max(0.0, deadline - time.monotonic()))

    def answer(self, verb: str) -> Iterator[bytes]:
        """The lines of the answer to the current request: progress, and last the outcome. The HTTP
        status is the error's if the error is the first line."""
        response.content_type = "application/x-ndjson"
        lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        try:
            question = wire.body()
            run = self._bound(verb, question, lambda text: lines.put({"progress": text}))
        except DvolError as error:
            wire.log_call(f"/dvol/{verb}", "", time.monotonic(), f"refused: {error}")
            lines.put(_failed(error))
        else:
            self._start(Call(verb, str(question["arguments"].get("volume", "")), run), lines)
        first = lines.get()
        if "error" in first:
            response.status = first.pop("status")
        return _lines(first, lines)

    def _bound(
        self, verb: str, question: dict[str, Any], on_progress: Progress
    ) -> Callable[[], Any]:
        """The verb, bound to the arguments of the request. Raises UnknownVerb, InvalidRequest,
        NewerProtocol, Unsupported."""
        _require_protocol(question.get("protocol"))
        if verb not in VERBS:
            raise UnknownVerb(verb)
        arguments = question.setdefault("arguments", {})
        _require_fitting(verb, arguments)
        options = _options(question.get("options", {}))
        engine = self._open(question.get("docker") is not False, options, on_progress)
        return lambda: getattr(engine, verb)(**arguments)

    def _start(self, call: Call, lines: queue.SimpleQueue[dict[str, Any]]) -> None:
        def work() -> None:
            lines.put(call.outcome())
            self._running.discard(threading.current_thread())

        thread = threading.Thread(target=work, name=f"dvol {call.verb}", daemon=True)
        self._running.add(thread)
        thread.start()


def make_app(control: Control, detach: Callable[[], None]) -> Bottle:
    """The control API as a Bottle app; `detach` makes the plugin API answer as if there were no
    volumes, until the next start."""
    app = wire.new_app()
    app.post("/dvol/<verb>", callback=control.answer)

    def detach_from_docker() -> dict[str, Any]:
        detach()
        wire.log.warning("detached from Docker, until the next start")
        return {"result": None}

    app.post("/docker/detach", callback=detach_from_docker)
    return app


def _failed(error: DvolError) -> dict[str, Any]:
    return {"error": error.as_document(), "status": error.status}


def _lines(line: dict[str, Any], lines: queue.SimpleQueue[dict[str, Any]]) -> Iterator[bytes]:
    while "progress" in line:
        yield json.dumps(line).encode() + b"\n"
        line = lines.get()
    line.pop("status", None)  # the HTTP status was sent with the first line
    yield json.dumps(line).encode() + b"\n"


def _require_protocol(protocol: Any) -> None:
    """Raise InvalidRequest, NewerProtocol or, for an older one, Unsupported, whose exit code an
    older command knows. It has other names for verbs and options, and an unknown option would be
    ignored."""
    if type(protocol) is not int:
        raise InvalidRequest("the request names no protocol version")
    if protocol > PROTOCOL:
        raise NewerProtocol(str(protocol), str(PROTOCOL))
    if protocol < PROTOCOL:
        spoken = f"this dvol command speaks protocol {protocol}, the server {PROTOCOL}"
        raise Unsupported(f"{spoken}; upgrade the command")


def _require_fitting(verb: str, arguments: Any) -> None:
    """Raise InvalidRequest unless the arguments fit the verb's signature, in name and type."""
    if not isinstance(arguments, dict):
        raise InvalidRequest(f"the arguments of '{verb}' must be a JSON object")
    try:
        VERBS[verb].bind(None, **arguments)
    except TypeError as error:
        raise InvalidRequest(f"'{verb}': {error}") from error
    for name, value in arguments.items():
        kind = VERBS[verb].parameters[name].annotation
        if _kind(value) != kind:
            raise InvalidRequest(f"'{verb}': the argument '{name}' must be of type {kind}")


def _kind(value: Any) -> str:
    """The type of a value, as annotations of `Engine` name it."""
    texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return "list[str]" if texts else type(value).__name__


def _options(asked: Any) -> ContainerOptions:
    """The options of a request; those that it does not name have their defaults."""
    if not isinstance(asked, dict):
        raise InvalidRequest("the options must be a JSON object")
    for name, default in DEFAULTS._asdict().items():
        if type(asked.get(name, default)) is not type(default):
            kind = type(default).__name__
            raise InvalidRequest(f"the option '{name}' must be of type {kind}")
    known = {name: value for name, value in asked.items() if name in ContainerOptions._fields}
    return ContainerOptions(**known)
