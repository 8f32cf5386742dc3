"""The two sockets: who may reach them, and the thread pools behind them.

Docker's door and people's door share a process and a pool of volumes, but no threads: a long
commit must never keep Docker waiting.
"""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any

import waitress

from plugin.wire import Wsgi


class SocketTaken(Exception):
    """Another server answers at this socket."""


def open_door(app: Wsgi, path: Path, threads: int) -> Any:
    """A server listening at `path`, not yet running. Whatever a dead one left is replaced.

    Nothing is reachable for others before `share_with` says so: the socket is root's, 0600.
    """
    if _answers(path):
        raise SocketTaken(str(path))
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    old = os.umask(0o177)
    try:
        return waitress.create_server(
            app,
            unix_socket=str(path),
            unix_socket_perms="600",
            threads=threads,
            ident=None,
            max_request_body_size=1 << 20,
            channel_timeout=120,
            connection_limit=1000,
            asyncore_use_poll=True,  # select() dies of descriptors beyond 1023: deep trees
            clear_untrusted_proxy_headers=True,
        )
    finally:
        os.umask(old)


def share_with(path: Path, group: int) -> None:
    """Let a group in too: those who may use Docker."""
    os.chown(path, -1, group)
    path.chmod(0o660)


def run_aside(server: Any) -> None:
    """Run a server in a thread of its own."""
    threading.Thread(target=server.run, name="people's door", daemon=True).start()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
            return True
        except OSError:
            return False
