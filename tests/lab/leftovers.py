"""What a private engine, registry or file system leaves behind, found by its directory.

Processes, mounts, control groups and sockets of one engine all name the engine's directory
somewhere in /proc; that, never a program's name alone, is how they are told from those of the
machine's own Docker. How things are started is in `engine`, `registry`, `emulator`, `filesystems`.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import IO

SERVERS = (  # by prefix
    *("dockerd", "containerd", "runc", "docker-proxy", "docker-registry", "qemu-system"),
)
PLUGIN_RUNS = Path("/run/docker/plugins")  # fixed in dockerd, whatever its --exec-root
SHIM_SOCKETS = Path("/run/containerd/s")  # fixed in containerd, whatever its state directory


def clear(root: Path) -> None:
    """End every server started for `root`, unmount what is under it, remove it."""
    _end_processes(root)
    sockets, plugins = list(_shim_sockets(root)), list(_plugin_ids(root))
    unmount(root)
    if mounts(root):
        raise RuntimeError(f"{root} is left alone: still mounted under it: {mounts(root)}")
    for socket in sockets:
        socket.unlink(missing_ok=True)
    for plugin in plugins:
        shutil.rmtree(PLUGIN_RUNS / plugin, ignore_errors=True)
        _remove_cgroups(plugin)
    _remove_cgroups(cgroup(root).strip("/"))
    _remove_tree(root)


def lock(root: Path) -> IO[bytes]:
    """Mark the new directory `root` as in use for as long as this process lives."""
    early = root / "lock.new"  # under its name only once it is locked: a sweeper may be looking
    mark = _locked(early)
    early.rename(root / "lock")
    return mark


def sweep(place: Path, prefix: str) -> None:
    """Remove those whose process died without cleaning up, by kill -9 for instance."""
    for root in place.glob(f"{prefix}*"):
        try:
            # one that has no lock yet is about to get it
            if (root / "lock").exists() or time.time() - root.stat().st_mtime > 60:
                with _locked(root / "lock"):
                    clear(root)
        except (BlockingIOError, FileNotFoundError):
            continue  # in use, or somebody else swept it


def cgroup(root: Path) -> str:
    """The control group that the engine at `root` puts its containers in."""
    return f"/{root.name}"


def mounts(root: Path) -> list[str]:
    """The mount points at or under `root`, as the kernel lists them."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    points = [_unescape(line.split()[4]) for line in lines]
    return [point for point in points if point == str(root) or point.startswith(f"{root}/")]


def unmount(root: Path) -> None:
    """Unmount lazily all that is at or under `root`, deepest first."""
    # Unmounting one may reveal or propagate to another, so look again until nothing is left.
    for _ in range(10):
        points = sorted(mounts(root), key=lambda point: point.count("/"), reverse=True)
        if not points:
            return
        for point in points:
            subprocess.run(["umount", "-l", "--", point], capture_output=True)


def _locked(path: Path) -> IO[bytes]:
    """Open and lock a file; BlockingIOError if another process has."""
    mark = path.open("ab")
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        mark.close()
        raise
    return mark


def _end_processes(root: Path, timeout: float = 10) -> None:
    """SIGKILL the engine's processes by id until none is left: daemons may start more meanwhile."""
    deadline = time.monotonic() + timeout
    while found := [pid for pid in _pids() if _belongs(pid, root)]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes of {root} do not end: {found}")
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _belongs(pid: int, root: Path) -> bool:
    """Is this a daemon started for `root`, or a process whose root file system lies in it?"""
    proc = Path("/proc") / str(pid)
    try:
        if (proc / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False
        name = (proc / "comm").read_text().strip()
        if name.startswith(SERVERS) and f"{root}/".encode() in (proc / "cmdline").read_bytes():
            return True
        return any(
            f"{root}/" in line
            for line in (proc / "mountinfo").read_text(errors="surrogateescape").splitlines()
            if line.split()[4] == "/"
        )
    except OSError:  # it ended while we looked
        return False


def _shim_sockets(root: Path) -> Iterator[Path]:
    """Shims keep sockets outside the engine's directory and lose them there when killed."""
    for address in root.glob("containerd/state/*/*/*/address"):
        socket = Path(address.read_text().strip().removeprefix("unix://"))
        if socket.parent == SHIM_SOCKETS:
            yield socket


def _plugin_ids(root: Path) -> Iterator[str]:
    for place in ("plugins", "*/plugins"):  # the second with --userns-remap
        for directory in root.glob(f"var-lib/docker/{place}/*"):
            if re.fullmatch("[0-9a-f]{64}", directory.name):
                yield directory.name


def _remove_cgroups(name: str) -> None:
    """Remove the groups called `name` in every hierarchy; only empty ones can be removed."""
    # not Path.glob, which fails where the group of another engine is removed meanwhile
    found = [glob(f"/sys/fs/cgroup/{'*/' * depth}{name}") for depth in range(4)]
    for group in (one for each in found for one in each):
        for directory, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                os.rmdir(directory)


def _remove_tree(root: Path) -> None:
    # Immutable or odd entries of a test's container are not worth failing the test's clean-up.
    for _ in range(5):
        shutil.rmtree(root, ignore_errors=True)
        if not root.exists():
            return
        time.sleep(0.1)


def _unescape(path: str) -> str:
    """Mountinfo writes space, tab, newline and backslash as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
