"""A private Engine with `--userns-remap`, on a machine whose own /etc/subuid stays as it is.

Docker reads the ranges of ids from /etc/subuid and /etc/subgid alone, so containerd and dockerd
run in a mount namespace where other files lie there.
"""

from __future__ import annotations

from pathlib import Path

from tests.lab.engine import Engine
from tests.lab.releases import OWN, Release

# `nobody` is on every machine; uid and gid differ, so that a mix-up shows
UID, GID = 100000, 200000
RANGES = {"subuid": UID, "subgid": GID}


class RemappedEngine(Engine):
    """An Engine whose containers have the ids from UID and GID on; root in them is these two."""

    def __init__(self, release: Release = OWN) -> None:
        super().__init__("--userns-remap=nobody:nogroup", release=_Remapped(release))


class _Remapped(Release):
    """The Docker of a release, with files of the engine's own in /etc."""

    def __init__(self, release: Release) -> None:
        self._release = release

    def require(self) -> None:
        self._release.require()

    def first(self, root: Path, command: list[str]) -> list[str]:
        for name, first in RANGES.items():
            lines = [f"{who}:{first}:65536\n" for who in ("nobody", "nogroup")]
            (root / name).write_text("".join(lines))
        binds = [f"mount --bind {root}/{name} /etc/{name}" for name in RANGES]
        bound = ["sh", "-c", " && ".join([*binds, 'exec "$@"']), "sh", *command]
        if self._release is OWN:
            return ["unshare", "--mount", *bound]
        return self._release.first(root, bound)

    def beside(self, pid: int, command: list[str]) -> list[str]:
        return ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "--", *command]

    def bring_clients(self, root: Path, pid: int) -> None:
        self._release.bring_clients(root, pid)

    def __str__(self) -> str:
        return f"{self._release}, with --userns-remap"
