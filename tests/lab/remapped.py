"""A private Engine with `--userns-remap`, on a machine whose own /etc/subuid stays as it is.

Docker reads the ranges of ids from /etc/subuid and /etc/subgid alone, so containerd and dockerd
run in a mount namespace where other files lie there.
"""

from __future__ import annotations

import subprocess

from tests.lab.engine import Engine

# `nobody` is on every machine; uid and gid differ, so that a mix-up shows
UID, GID = 100000, 200000
RANGES = {"subuid": UID, "subgid": GID}


class RemappedEngine(Engine):
    """An Engine whose containers have the ids from UID and GID on; root in them is these two."""

    def __init__(self) -> None:
        super().__init__("--userns-remap=nobody:nogroup")

    def _spawn(self, argv: list[str]) -> subprocess.Popen[bytes]:
        """Start containerd in a mount namespace of its own, and dockerd in the same one."""
        containerd = self._containerd
        if containerd is not None and containerd.poll() is None:
            return super()._spawn(["nsenter", f"--mount=/proc/{containerd.pid}/ns/mnt", *argv])
        for name, first in RANGES.items():
            lines = [f"{who}:{first}:65536\n" for who in ("nobody", "nogroup")]
            (self.root / name).write_text("".join(lines))
        binds = [f"mount --bind {self.root}/{name} /etc/{name}" for name in RANGES]
        script = " && ".join([*binds, 'exec "$@"'])
        return super()._spawn(["unshare", "--mount", "sh", "-c", script, "sh", *argv])
