"""The machine that was measured on, and its memory made ready."""

from __future__ import annotations

import mmap
import os
import platform
import re
import subprocess
from contextlib import suppress
from datetime import date
from pathlib import Path

from tests.bench.clock import ENVIRONMENT
from tests.bench.subject import ROOT, Dvol
from tests.lab.filesystems import PLACE

VERSIONS = {
    "mkfs.ext4": ("mkfs.ext4", "-V"),
    "mkfs.xfs": ("mkfs.xfs", "-V"),
    "btrfs": ("btrfs", "--version"),
    "cp": ("cp", "--version"),
    "tar": ("tar", "--version"),
    "rsync": ("rsync", "--version"),
    "restic": ("restic", "version"),
    "buttervolume": (str(ROOT / "build/bench/buttervolume/bin/buttervolume"), "--version"),
}


def facts() -> dict[str, str]:
    """What a reader needs to judge the figures, in the order in which it is shown."""
    return {
        "date": date.today().isoformat(),
        "dvol": _revision(),
        "kernel": platform.release(),
        "cores": f"{os.cpu_count()} ({_processor()})",
        "memory": f"{_meminfo('MemTotal') / (1 << 30):.0f} GiB",
        "disk": f"image files on {_disk()}, mounted through loop devices",
        "Python": _first((*_shebang(), "-V")),
        "tools": ", ".join(filter(None, map(_version, VERSIONS))),
    }


def touch_memory() -> None:
    """Have free memory touched once: in a virtual machine the first touch of a page costs several
    times what any later one does, and would be charged to whoever comes first."""
    chunk = 64 << 20
    held = []
    for _ in range(int(_meminfo("MemAvailable") * 0.7) // chunk):
        block = mmap.mmap(-1, chunk)
        block[:: mmap.PAGESIZE] = bytes(chunk // mmap.PAGESIZE)
        held.append(block)


def _revision() -> str:
    described = _first(("git", "-C", str(ROOT), "describe", "--always", "--dirty"))
    revision = "no revision" if described.startswith("fatal") else described
    return f"{revision}, the one-file command that `make install` installs"


def _shebang() -> list[str]:
    with suppress(OSError), Dvol.program.open("rb") as program:
        return program.readline().decode().removeprefix("#!").split()
    return ["python3"]


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _meminfo(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found[1]) << 10 if found else 0


def _disk() -> str:
    return _first(("findmnt", "-n", "-o", "FSTYPE,SOURCE", "-T", str(PLACE)))


def _version(name: str) -> str:
    found = re.search(r"\d+\.[\w.+~-]*", _first(VERSIONS[name]))
    return f"{name} {found[0]}" if found else ""


def _first(command: tuple[str, ...]) -> str:
    """The first line a command says; nothing if it is not there."""
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return " ".join(lines[0].split()) if lines else ""
    return ""
