"""The directory of a managed plugin whose mounts Docker shows to the host, by its path.

Docker names it `plugins/ID/propagated-mount` below its data (moby: plugin/manager_linux.go), and
with --userns-remap its data lies in a directory that is called by the uid and gid of root in the
containers (daemon/daemon_unix.go, setupDaemonRoot). No disk.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_PATH = re.compile(r"(?:|.*/)plugins/([0-9a-f]{64})/propagated-mount")
_IDS = re.compile(r".*/(\d+)\.(\d+)/plugins/")


class Propagated(NamedTuple):
    """Of a propagated mount: the plugin's id, and the uid and gid of root in the containers if they
    are not those of the host."""

    plugin: str
    remapped_root: tuple[int, int] | None


def propagated(path: Path) -> Propagated | None:
    """What a path says that is a propagated mount's; None of any other path."""
    match, ids = _PATH.fullmatch(str(path)), _IDS.match(str(path))
    if match is None:
        return None
    return Propagated(match[1], (int(ids[1]), int(ids[2])) if ids else None)
