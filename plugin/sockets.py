"""The two sockets: who may reach them, and the thread pools behind them.

The plugin API and the control API share a process and a pool of volumes, but no threads: a long
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


def listen(app: Wsgi, path: Path, threads: int) -> Any:
    """A server that listens at `path`, and does not run yet. The socket of a dead server is
    replaced; SocketTaken if a server answers at it.

    The socket is root's, with mode 0600: others can connect only after `share_with`.
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
            asyncore_use_poll=True,  # select() fails on descriptors above 1023, as deep trees need
            clear_untrusted_proxy_headers=True,
        )
    finally:
        os.umask(old)


def share_with(path: Path, group: int) -> None:
    """Let the members of a group connect too."""
    os.chown(path, -1, group)
    path.chmod(0o660)


def run_aside(server: Any) -> None:
    """Run a server in a thread of its own."""
    threading.Thread(target=server.run, name="control API", daemon=True).start()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
            return True
        except OSError:
            return False
