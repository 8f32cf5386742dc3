"""A stand-in for the Docker Engine: answers the few questions that dvol asks of it.

The docker ring asks a real one; this shows what dvol does with each answer, anywhere. A container
here is stopped, started, paused at once; what it was asked is kept in `done`.
"""

import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from dvol.containers.docker import Docker
from dvol.containers.ownership import ByPlugin

Container = dict[str, Any]
PLUGIN, OTHER_PLUGIN = "9" * 64, "8" * 64
FIRST = "2026-01-01T00:00:01Z"
ALIVE = ("running", "paused", "restarting")


def container(name: str, volume: str, state: str = "running", **mount: object) -> Container:
    """A container that has a volume, as `GET /containers/json` tells of it."""
    return {
        "Id": name.encode().hex().ljust(64, "0"),
        "Names": [f"/{name}"],
        "State": state,
        "StartedAt": FIRST,
        "Mounts": [{"Type": "volume", "Name": volume, "Driver": "dvol:latest", "RW": True} | mount],
    }


@dataclass
class Exec:
    """A command that was executed in a container: its last word."""

    container: Container
    line: str
    killed: bool = False


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Holds the containers; where it is told to hang, it answers when `free` is set."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        self.containers: list[Container] = []
        self.asked: list[str] = []
        self.done: list[str] = []  # "stop db"
        self.refuses: set[str] = set()  # the same words, answered by 500
        self.deaf: set[str] = set()  # the same words, of what takes its time
        self.late: set[str] = set()  # the same words, answered by 500 since it is so already
        self.restarts: set[str] = set()  # the same words, told once between two runs: it runs since
        self.sick: set[str] = set()  # the ids of those whose health checks fail
        self.cannot: set[str] = set()  # the ids of those that lack the program of their check
        self.fails: set[str] = set()  # the lines for a shell that exit with 1
        self.endless: set[str] = set()  # those that end only when they are killed
        self.immortal: set[str] = set()  # the ids of those in which nothing can be killed
        self.execs: list[Exec] = []  # what was executed
        self.events: list[dict[str, Any]] = []
        self.local: list[str] = []  # the volumes that it keeps itself
        self.before: dict[str, Callable[[], None]] = {}  # the same words: what happens first
        self.images: dict[str, list[str]] = {}  # the digests of each, by its id
        self.enabled = True  # the plugin
        self.on_image: Callable[[], None] = lambda: None  # is called when asked about an image
        self.hangs = False
        self.hangs_at = "\n"  # at questions whose path holds that
        self.free = threading.Event()
        super().__init__(str(path), Handler)

    def asked_by(self, plugin: bool = False) -> Docker:
        """How the pool of the plugin here asks it."""
        return Docker(f"unix://{self.server_address}", ByPlugin(PLUGIN), plugin)


class Handler(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        self.server.asked.append(unquote(self.path))
        if self.server.hangs or self.server.hangs_at in self.path:
            self.server.free.wait()
        address = urlparse(self.path)
        path = re.sub(r"^/v[\d.]+", "", address.path)
        if path == "/containers/json":
            query = parse_qs(address.query)
            self._answer(self._listed(query.get("all") == ["1"], json.loads(query["filters"][0])))
        elif path == "/events":
            self._answer_lines(self.server.events)
        elif path in (constant := self._constant()):
            self._answer(constant[path])
        else:
            self._about(*path.split("/")[1:3])

    def _constant(self) -> dict[str, object]:
        local = [{"Name": name, "Driver": "local"} for name in self.server.local]
        return {
            "/version": {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"},
            "/volumes": {"Volumes": local},
        }

    def _about(self, kind: str, id: str) -> None:
        if kind == "plugins":
            ids = {"dvol:latest": PLUGIN, "other": OTHER_PLUGIN}
            found = {"Id": ids.get(id), "Enabled": self.server.enabled}
            self._answer(found, 200 if id in ids else 404)
        elif kind == "images":
            self.server.on_image()
            known = id in self.server.images
            self._answer({"RepoDigests": self.server.images.get(id)}, 200 if known else 404)
        elif kind == "exec":
            self._executed(self.server.execs[int(id)])
        else:
            self._inspected(id)

    def _executed(self, one: "Exec") -> None:
        missing = one.container["Id"] in self.server.cannot
        failed = one.container["Id"] in self.server.sick or one.line in self.server.fails
        running = one.line in self.server.endless and not one.killed
        self._answer({"Running": running, "ExitCode": 127 if missing else int(failed)})

    def _listed(self, all_states: bool, filters: dict[str, Any]) -> list[Container]:
        """Docker's filter also finds a bind mount's source of that name."""
        wanted = set(filters.get("volume", ()))
        return [
            one
            for one in self.server.containers
            if (all_states or one["State"] in ALIVE)
            and (not wanted or any(wanted & {m["Name"], m.get("Source")} for m in one["Mounts"]))
        ]

    def do_POST(self) -> None:
        path = re.sub(r"^/v[\d.]+", "", urlparse(self.path).path)
        _, kind, id, verb = path.split("/")
        if kind == "exec":
            self._answer({})
            return
        for one in self.server.containers:
            if one["Id"] == id:
                self._act(one, verb)
                return
        self._answer({"message": f"No such container: {id}"}, 404)

    def _act(self, one: Container, verb: str) -> None:
        told = f"{verb} {one['Names'][0][1:]}"
        self.server.done.append(told)
        self.server.before.get(told, lambda: None)()
        if told in self.server.late:
            one["State"] = BECOMES[verb]
        if told in self.server.refuses | self.server.late:
            self._answer({"message": "it cannot be done"}, 500)
            return
        if told in self.server.restarts:
            self.server.restarts.remove(told)
            one["StartedAt"] = _later(one["StartedAt"])
            self._answer({"message": f"Container {one['Id']} is not running"}, 409)
            return
        if verb == "exec":
            self._execute(one)
            return
        if told not in self.server.deaf:
            one["State"] = BECOMES[verb]
        if verb in ("start", "restart"):
            one["StartedAt"] = _later(one["StartedAt"])
        self.send_response(204)
        self.end_headers()

    def _execute(self, one: Container) -> None:
        if one["State"] != "running":
            self._answer({"message": "it does not run"}, 409)
            return
        words = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Cmd"]
        if "kill -9" in words[-1]:
            for other in self.server.execs:
                other.killed |= one["Id"] not in self.server.immortal
        self.server.execs.append(Exec(one, words[-1]))
        self._answer({"Id": str(len(self.server.execs) - 1)}, 201)

    def _inspected(self, id: str) -> None:
        for one in self.server.containers:
            if one["Id"] == id:
                self._answer(inspected(one))
                return
        self._answer({"message": f"No such container: {id}"}, 404)

    def _answer(self, document: object, status: int = 200) -> None:
        self._answer_lines([document], status)

    def _answer_lines(self, documents: list[Any], status: int = 200) -> None:
        body = b"".join(json.dumps(one).encode() + b"\n" for one in documents)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        pass


def _later(moment: str) -> str:
    return moment[:-2] + f"{int(moment[-2]) + 1}Z"


BECOMES = {"stop": "exited", "kill": "exited", "pause": "paused"} | dict.fromkeys(
    ("start", "restart", "unpause"), "running"
)


def inspected(one: Container) -> dict[str, Any]:
    """The same container, as `GET /containers/ID/json` tells of it."""
    state = {
        "Running": one["State"] in ALIVE,
        "Paused": one["State"] == "paused",
        "Restarting": one["State"] == "restarting",
        "StartedAt": one["StartedAt"],
        "ExitCode": 0,
        "Health": {"FailingStreak": 0} | one.get("Health", {"Status": "healthy"}),
    }
    config = {name: one.get(name) for name in ("Labels", "Healthcheck", "Env", "Image")}
    host = {"HostConfig": {"AutoRemove": False} | one.get("HostConfig", {})}
    image = {"Image": one.get("ImageID")}
    return {**one, "Name": one["Names"][0], "State": state, "Config": config, **host, **image}


@contextmanager
def standing_in(path: Path) -> Iterator[Engine]:
    """The stand-in at a socket."""
    engine = Engine(path)
    thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield engine
    finally:
        engine.free.set()
        engine.shutdown()
        thread.join()
        engine.server_close()
