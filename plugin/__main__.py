"""The dvol server, run as `python3 -m plugin`.

Usage: dvol-server --socket=PATH --run=DIR --data=DIR [--mount=DIR]

Options:
  --socket=PATH   where Docker reaches the plugin
  --run=DIR       the host's run directory: people reach the server at DIR/dvol/control.sock,
                  and the server reaches Docker at DIR/docker.sock, if that is there
  --data=DIR      the directory that holds the pool, in DIR/volumes
  --mount=DIR     the propagated mount of a managed plugin: bind --data over it, serve it there

Environment: DVOL_LOG_LEVEL (debug, info, warning, error; default info).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docopt import docopt

from dvol import __version__
from dvol.containers import Containers, NoContainers
from dvol.containers.docker import Docker
from dvol.engine.docker_volumes import MOUNT_PATIENCE
from dvol.engine.local import Pool
from dvol.errors import DvolError
from dvol.layout import PoolLayout
from dvol.model import Wishes
from dvol.pool import format
from plugin import control, propagated, sockets, volumedriver, wire
from plugin.wire import log

_DOCKER_GIVES_UP = 60.0  # seconds, at the latest; it dials for 12.5 s
_SOON, _NOW_AND_THEN, _LONG = 0.3, 3.0, 15.0  # seconds between two looks for stopped containers
_AGAIN = Path("/run/dvol-started-again")  # in the plugin's own root, which outlives the process
_LATE = (1.0, 4.0)  # seconds between two looks at what Docker has mounted
_LAST_WORDS = 1.5  # seconds for verbs under way; Docker kills 10 s after SIGTERM


def main() -> int:
    """Serve until SIGTERM. Ends before it listens if the pool is not the one it should be."""
    options = docopt(__doc__ or "")
    signal.signal(signal.SIGTERM, _end)  # first: as process 1 we would not hear it else
    signal.signal(signal.SIGINT, _end)
    _log_to_stdout(os.environ.get("DVOL_LOG_LEVEL") or "info")
    try:
        root = _attached(options)
        _recover(Pool(root))
        _serve(root, Path(options["--socket"]), Path(options["--run"]))
    except (DvolError, OSError, sockets.SocketTaken) as error:
        log.critical("cannot start: %s", _reason(error))
        if options["--mount"]:
            _wait_to_be_ended()
        return 1
    log.info("ended")
    return 0


def _wait_to_be_ended() -> None:
    """Let Docker find out that nobody listens, which disables the plugin and tells its user. A
    process that ends by itself is started again instead, and is left half cleaned up (20.10)."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigtimedwait(ends, _DOCKER_GIVES_UP)


def _attached(options: dict[str, Any]) -> Path:
    """The root of the pool, at the path by which Docker is to know it."""
    data = Path(options["--data"])
    if options["--mount"]:
        propagated.attach(data, Path(options["--mount"]))
        _require_seen(data, Path(options["--mount"]))
        propagated.check(data, Path(options["--mount"]))
        data = Path(options["--mount"])
        format.check(PoolLayout(data / "volumes"))
    else:
        format.ensure(PoolLayout(data / "volumes"))
    return data / "volumes"


def _require_seen(data: Path, mount: Path) -> None:
    """Docker mounts anew for a process that has ended. Where once was in vain, so is more."""
    hidden, again = propagated.hidden(data, mount), _AGAIN.exists()
    _AGAIN.unlink(missing_ok=True)
    if hidden and again:
        log.error("Docker does not see the volumes; disable the plugin and enable it")
    elif hidden:
        _note_unmounted()
        raise SystemExit(1)
    elif not again:
        _start(lambda: _look_again(data, mount), "look again")


def _look_again(data: Path, mount: Path) -> None:
    """It may have been late in unmounting."""
    for pause in _LATE:
        time.sleep(pause)
        if propagated.hidden(data, mount):
            _note_unmounted()
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _note_unmounted() -> None:
    _AGAIN.touch()
    log.warning("Docker has unmounted the volumes; ending, so that it mounts them anew")


def _recover(pool: Pool) -> None:
    """Before anyone may ask: short, since only renames can be left over."""
    for problem in pool.door.recover():
        log.error("not recovered: %s", problem)


def _serve(root: Path, socket: Path, run: Path) -> None:
    def containers() -> Containers:
        docker = run / "docker.sock"
        return Docker(f"unix://{docker}", plugin=True) if docker.exists() else NoContainers()

    sweep = _sweeper(root)

    def open_engine(docker: bool, wishes: Wishes, tell: control.Tell) -> Pool:
        asked = containers() if docker else NoContainers(certain=True)
        return Pool(root, asked, tell, start_sweep=sweep, wishes=wishes)

    _start(lambda: _clear(root), "clear")
    _start(lambda: _bring_back_for_ever(root, containers), "bring back")
    driver = volumedriver.VolumeDriver(Pool(root, patience=MOUNT_PATIENCE), sweep)
    people = control.Control(open_engine)
    address = run / "dvol" / "control.sock"
    control_app = control.make_app(people, driver.detach)
    try:
        aside = sockets.open_door(wire.door(control_app), address, control.THREADS)
        sockets.share_with(address, _group_of_docker(run))
        door_app = volumedriver.make_app(driver)
        door = sockets.open_door(wire.door(door_app), socket, volumedriver.THREADS)
        sockets.run_aside(aside)
        log.info("dvol %s serves %s at %s and %s", __version__, root, socket, address)
        door.run()
        people.wait(_LAST_WORDS)
    except sockets.SocketTaken:
        raise
    except BaseException:
        _remove(address, socket)
        raise
    _remove(address, socket)


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _sweeper(root: Path) -> Callable[[], None]:
    """What starts a sweep in the background."""

    def sweep() -> None:
        try:
            Pool(root).door.sweep()
        except DvolError as error:
            log.error("not swept: %s", error)

    return lambda: _start(sweep, "sweep")


def _clear(root: Path) -> None:
    """What the last server left."""
    try:
        door = Pool(root).door
        for problem in door.clear_leavings():
            log.error("not cleared: %s", problem)
        door.sweep()
    except DvolError as error:
        log.error("not cleared: %s", error)


def _bring_back_for_ever(root: Path, containers: Callable[[], Containers]) -> None:
    """Containers that verbs have left stopped. Docker serves nobody before its plugins have
    started, so a first try may be too early."""
    pause = _SOON
    while True:
        time.sleep(pause)
        try:
            done = Pool(root, containers(), log.warning).bring_back()
        except Exception as error:  # whatever it is, the next look is to be taken
            log.error("containers not brought back: %r", error)
            done = False
        pause = _NOW_AND_THEN if done else min(2 * pause, _LONG)


def _start(work: Callable[[], None], name: str) -> None:
    """In the background."""
    threading.Thread(target=work, name=name, daemon=True).start()


def _group_of_docker(run: Path) -> int:
    """Whoever may use Docker may use dvol; without Docker's socket, whoever owns `run`."""
    docker = run / "docker.sock"
    return (docker if docker.exists() else run).stat().st_gid


def _end(number: int, frame: object) -> None:
    raise SystemExit


def _log_to_stdout(level: str) -> None:
    """To stdout: Docker's daemon logs a plugin's stderr as errors."""
    known = logging.getLevelNamesMapping()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(wire.ShortLines())
    logging.basicConfig(handlers=[handler], level=known.get(level.upper(), logging.INFO))
    logging.getLogger("waitress").setLevel(logging.ERROR)  # it tells of each hang-up
    logging.getLogger("urllib3").setLevel(logging.WARNING)


def _reason(error: Exception) -> str:
    if isinstance(error, sockets.SocketTaken):
        return f"another dvol server answers at {error}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
