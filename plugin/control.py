"""People's door: `POST /dvol/<verb>`, every verb of the promise, answered in JSON lines.

The verbs are taken from `Engine` itself, so that none can be forgotten. A verb runs in a
thread of its own: a client that goes away leaves it running.
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
from dvol.errors import Bug, DvolError, InvalidRequest, NewerProtocol, UnknownVerb
from dvol.model import AS_USUAL, Wishes
from plugin import wire

THREADS = 128  # most of them wait, for locks or for containers; none may keep readers out

Tell = Callable[[str], None]
# whether Docker may be asked, what is wished of containers, who hears of it
OpenEngine = Callable[[bool, Wishes, Tell], Engine]

VERBS = {
    name: inspect.signature(verb)
    for name, verb in vars(Engine).items()
    if inspect.isfunction(verb) and not name.startswith("_")
}


@dataclasses.dataclass(frozen=True)
class Call:
    """A verb that was understood, and the volume it is about, for the log."""

    verb: str
    volume: str
    run: Callable[[], Any]

    def outcome(self) -> dict[str, Any]:
        """The last line of the answer; logged, whatever it is."""
        began = time.monotonic()
        try:
            last, said = {"result": _plain(self.run())}, "ok"
        except DvolError as error:
            last, said = _refused(error), f"refused: {error}"
        except Exception as error:
            wire.log.exception("a bug in %s", self.verb)
            last, said = _refused(Bug(repr(error))), "a bug"
        wire.told(f"/dvol/{self.verb}", self.volume, began, said)
        return last


class Control:
    """Answers verbs; `open_engine` makes the keeper for one call."""

    def __init__(self, open_engine: OpenEngine) -> None:
        self._open = open_engine
        self._running: set[threading.Thread] = set()

    def wait(self, seconds: float) -> None:
        """Give verbs under way a moment to end; what is cut off, recovery completes."""
        deadline = time.monotonic() + seconds
        for thread in list(self._running):
            thread.join(max(0.0, deadline - time.monotonic()))

    def answer(self, verb: str) -> Iterator[bytes]:
        """The stream of lines for the request at hand: what is told, last the outcome."""
        response.content_type = "application/x-ndjson"
        words: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        try:
            question = wire.body()
            run = self._understood(verb, question, lambda text: words.put({"tell": text}))
        except DvolError as error:
            wire.told(f"/dvol/{verb}", "", time.monotonic(), f"refused: {error}")
            words.put(_refused(error))
        else:
            self._start(Call(verb, str(question["arguments"].get("volume", "")), run), words)
        first = words.get()
        if "error" in first:
            response.status = first.pop("status")
        return _lines(first, words)

    def _understood(self, verb: str, question: dict[str, Any], tell: Tell) -> Callable[[], Any]:
        """The call that was asked for, bound to the verb's own signature."""
        if verb not in VERBS:
            raise UnknownVerb(verb)
        protocol = question.get("protocol")
        if not isinstance(protocol, int):
            raise InvalidRequest("the request names no protocol version")
        if protocol > PROTOCOL:
            raise NewerProtocol(str(protocol), str(PROTOCOL))
        arguments = question.setdefault("arguments", {})
        _require_fitting(verb, arguments)
        wishes = _wishes(question.get("wishes", {}))
        engine = self._open(question.get("docker") is not False, wishes, tell)
        return lambda: getattr(engine, verb)(**arguments)

    def _start(self, call: Call, words: queue.SimpleQueue[dict[str, Any]]) -> None:
        def work() -> None:
            words.put(call.outcome())
            self._running.discard(threading.current_thread())

        thread = threading.Thread(target=work, name=f"dvol {call.verb}", daemon=True)
        self._running.add(thread)
        thread.start()


def make_app(control: Control, detach: Callable[[], None]) -> Bottle:
    """People's calls as a Bottle app; `detach` is Docker's door closing for good."""
    app = wire.new_app()
    app.post("/dvol/<verb>", callback=control.answer)

    def detach_from_docker() -> dict[str, Any]:
        detach()
        wire.log.warning("detached from Docker, until the next start")
        return {"result": None}

    app.post("/docker/detach", callback=detach_from_docker)
    return app


def _plain(result: Any) -> Any:
    if isinstance(result, list):
        return [_plain(each) for each in result]
    if isinstance(result, dict):
        return {name: _plain(each) for name, each in result.items()}
    return result._asdict() if hasattr(result, "_asdict") else result


def _refused(error: DvolError) -> dict[str, Any]:
    return {"error": error.as_document(), "status": error.status}


def _lines(word: dict[str, Any], words: queue.SimpleQueue[dict[str, Any]]) -> Iterator[bytes]:
    while "tell" in word:
        yield json.dumps(word).encode() + b"\n"
        word = words.get()
    word.pop("status", None)  # too late to be one
    yield json.dumps(word).encode() + b"\n"


def _require_fitting(verb: str, arguments: Any) -> None:
    """Raise InvalidRequest unless the arguments are the verb's, each of the kind it says."""
    if not isinstance(arguments, dict):
        raise InvalidRequest(f"the arguments of '{verb}' are not given by name")
    try:
        VERBS[verb].bind(None, **arguments)
    except TypeError as error:
        raise InvalidRequest(f"'{verb}': {error}") from error
    for name, value in arguments.items():
        kind = VERBS[verb].parameters[name].annotation
        if _kind(value) != kind:
            raise InvalidRequest(f"'{verb}': the argument '{name}' is no {kind}")


def _kind(value: Any) -> str:
    """As the signatures name it."""
    texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return "list[str]" if texts else type(value).__name__


def _wishes(asked: Any) -> Wishes:
    """What a client that knows of fewer does not say is as if nothing were wished."""
    if not isinstance(asked, dict):
        raise InvalidRequest("the wishes are no JSON object")
    for name, usual in AS_USUAL._asdict().items():
        if type(asked.get(name, usual)) is not type(usual):
            raise InvalidRequest(f"the wish '{name}' is no {type(usual).__name__}")
    return Wishes(**{name: value for name, value in asked.items() if name in Wishes._fields})
