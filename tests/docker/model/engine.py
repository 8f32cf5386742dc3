"""What Docker says about the containers of the model, by its command and by the host's /proc."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.docker.model.app import GONE, PAUSED, RESTARTING, RUNNING, STOPPED
from tests.lab.engine import Engine

LINKS = {"network": "net", "pid": "pid", "ipc": "ipc"}


class Looked(NamedTuple):
    """A container as Docker shows it; `pid` is 0 where it has no process. A container that is
    between two runs is "restarting"."""

    state: str
    pid: int = 0


def look(engine: Engine, names: Collection[str]) -> dict[str, Looked]:
    """The containers of these names."""
    found = dict.fromkeys(names, Looked(GONE))
    if names:
        form = "{{.Name}} {{json .State}}"
        words = ("inspect", "--type", "container", "-f", form, *names)
        for line in engine.docker(*words, check=False).stdout.splitlines():
            name, _, state = line.partition(" ")
            if state.startswith("{"):  # 28.5 shows nothing of one that is just being removed
                found[name.removeprefix("/")] = _looked(json.loads(state))
    return found


def ids(engine: Engine, names: Collection[str]) -> dict[str, str]:
    """The ids of those that exist."""
    words = ("inspect", "--type", "container", "-f", "{{.Name}} {{.Id}}", *names)
    shown = engine.docker(*words, check=False).stdout.splitlines() if names else ()
    return dict(line.removeprefix("/").split() for line in shown)


def end_processes(id: str) -> None:
    """Kill the processes of a container of that id, as their control groups show them, also those
    that Docker does not know of."""
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):
            if id in group.read_text():
                os.kill(int(group.parent.name), signal.SIGKILL)


def _looked(state: dict[str, Any]) -> Looked:
    if state["Paused"]:
        return Looked(PAUSED, state["Pid"])
    if state["Restarting"]:
        return Looked(RESTARTING, state["Pid"])
    return Looked(RUNNING if state["Running"] else STOPPED, state["Pid"])


def content(pid: int, path: str) -> str | None:
    """A file as a process sees it, empty where there is none; None if the process has ended."""
    try:
        return Path(f"/proc/{pid}/root{path}").read_text().strip()
    except OSError:
        return "" if Path(f"/proc/{pid}/root/bin").exists() else None


def namespace(pid: int, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{LINKS[kind]}")


def events(engine: Engine, since: float, until: float) -> list[dict[str, Any]]:
    """What happened to containers in a span of the wall clock."""
    span = ("--since", f"{since:.9f}", "--until", f"{until:.9f}")
    form = ("--filter", "type=container", "--format", "{{json .}}")
    shown = engine.docker("events", *span, *form).stdout.splitlines()
    return [event for event in map(json.loads, shown) if not event["Action"].startswith("exec_")]


def subject(event: dict[str, Any]) -> str:
    """The name of the container of an event."""
    return str(event["Actor"]["Attributes"].get("name", ""))


def signal_sent(event: dict[str, Any]) -> str:
    """The number of the signal that was sent, if any."""
    return str(event["Actor"]["Attributes"].get("signal", ""))


def told(event: dict[str, Any]) -> str:
    """An event in a line."""
    attributes = event["Actor"]["Attributes"]
    details = [f"{key}={attributes[key]}" for key in ("signal", "exitCode") if key in attributes]
    moment = f"{event['timeNano'] / 1e9:.3f}"
    return " ".join([moment, event["Action"], subject(event), *details])
