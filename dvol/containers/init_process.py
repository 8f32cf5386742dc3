"""The first process of a container, and whether it would notice the signal that stops it. Pure.

The kernel drops a signal to process 1 of a pid namespace that has no handler for it: nothing ends,
and the sender is not told (pid_namespaces(7)). An entrypoint that is still starting has none, so a
stop of a container that has just been started would wait in vain for its whole time.
"""

from __future__ import annotations

import re
import signal
from typing import Any

STATUS = "/proc/1/status"  # proc_pid_status(5)
_OWN_PROCESSES = ("", "private")  # `PidMode`: else process 1 is another's
_SETS = re.compile(r"^(SigBlk|SigCgt):\s*([0-9a-f]+)$", re.MULTILINE)


def stop_signal(inspected: dict[str, Any]) -> int:
    """The number of the signal that stops a container, by Docker's answer to `inspect`; 0 if it
    names none, or if process 1 in the container is not its own."""
    private = (inspected["HostConfig"].get("PidMode") or "") in _OWN_PROCESSES
    name = (inspected.get("Config") or {}).get("StopSignal") or ""
    return signal_number(name) if private else 0


def signal_number(name: str) -> int:
    """The number of a signal as an image names it: `SIGINT`, `INT`, `2`, `SIGRTMIN+3`; that of
    SIGTERM, Docker's default, for ""; 0 for what is none."""
    if not name:
        return signal.SIGTERM
    if name.isascii() and name.isdigit():
        return int(name)
    base, _, more = name.upper().removeprefix("SIG").partition("+")
    found = getattr(signal, f"SIG{base}", 0)
    return int(found) + int(more or 0) if more.isdigit() or not more else 0


def catches(status: str, number: int) -> bool | None:
    """Whether a process has a handler for a signal, by its STATUS; None if that does not tell, or
    if the process blocks the signal, which is not dropped then, but waits."""
    sets = {name: int(bits, 16) >> (number - 1) & 1 for name, bits in _SETS.findall(status)}
    if number < 1 or "SigCgt" not in sets or sets.get("SigBlk"):
        return None
    return bool(sets["SigCgt"])
