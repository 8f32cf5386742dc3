"""The dvol server, run as `python3 -m plugin`.

Usage: dvol-server --socket=PATH --run=DIR --data=DIR [--mount=DIR]

Options:
  --socket=PATH   where Docker reaches the plugin
  --run=DIR       the host's run directory: the command reaches the server at
                  DIR/dvol/control.sock, the server Docker at DIR/docker.sock, if that exists
  --data=DIR      the directory that holds the pool, in DIR/volumes
  --mount=DIR     the propagated mount of a managed plugin: bind --data over it, and serve the
                  pool there

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

from dvol.containers import Containers, NoContainers
from dvol.containers.docker import Docker
from dvol.containers.ownership import ByMounts, ByPlugin, Ownership, plugin_id
from dvol.engine import silent
from dvol.engine.docker_volumes import DockerVolumes
from dvol.engine.gate import MOUNT_TIMEOUT
from dvol.engine.gc import collect_expired
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from dvol.errors import DvolError
from dvol.fs.syscalls import be_idle
from dvol.fsck.contents import make_digests
from dvol.layout import PoolLayout
from dvol.model import VERSION, ContainerOptions
from dvol.pool import format
from dvol.pool.access import open_pool
from plugin import control, propagated, sockets, volumedriver, wire
from plugin.wire import log

_DOCKER_GIVES_UP = 60.0  # seconds, at the latest; Docker tries to connect for 12.5 s
_SOON, _NOW_AND_THEN, _LONG = 0.3, 3.0, 15.0  # seconds between two tries to resume containers
_SETTLED, _DAY = 600.0, 24 * 3600.0  # seconds before the first gc, and between two
_RESTARTED = Path("/run/dvol-started-again")  # in the plugin's root, which outlives the process
_PAUSES = (1.0, 4.0)  # seconds before each look at whether Docker sees the volumes
_FIRST_DIGESTS, _NEXT_DIGESTS = 300.0, 3600.0  # seconds before commits get digests
_PIECE = 8 << 20  # bytes to read before a pause
_GRACE = 1.5  # seconds for verbs to finish; Docker sends SIGKILL 10 s after SIGTERM


def main() -> int:
    """Serve until SIGTERM. If the pool is not the one that this plugin has kept, log that and
    return 1 without listening."""
    options = docopt(__doc__ or "")
    signal.signal(signal.SIGTERM, _end)  # first: process 1 gets only signals that it handles
    signal.signal(signal.SIGINT, _end)
    _log_to_stdout(os.environ.get("DVOL_LOG_LEVEL") or "info")
    try:
        root = _attached(options)
        _complete_journals(root)
        _serve(root, Path(options["--socket"]), Path(options["--run"]), _ownership(options, root))
    except (DvolError, OSError, sockets.SocketTaken) as error:
        log.critical("cannot start: %s", _reason(error))
        if options["--mount"]:
            _wait_for_docker_to_stop_it()
        return 1
    log.info("stopped")
    return 0


def _wait_for_docker_to_stop_it() -> None:
    """Wait until Docker finds out that no process listens: it then disables the plugin and reports
    that to the user. If the process exited by itself, Docker would start it again instead, and
    leave it half cleaned up (seen in 20.10)."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    signal.sigtimedwait(ends, _DOCKER_GIVES_UP)


def _attached(options: dict[str, Any]) -> Path:
    """The root of the pool, at the path that Docker mounts."""
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
    """Docker mounts again when the process restarts. It restarts once only: if that did not help,
    another restart will not."""
    hidden, again = propagated.hidden(data, mount), _RESTARTED.exists()
    _RESTARTED.unlink(missing_ok=True)
    if hidden and again:
        log.error("Docker does not see the volumes; disable the plugin and enable it")
    elif hidden:
        _note_unmounted()
        raise SystemExit(1)
    elif not again:
        _start(lambda: _look_again(data, mount), "look again")


def _look_again(data: Path, mount: Path) -> None:
    """Docker may unmount the volumes after the server has started, see `propagated.hidden`."""
    for pause in _PAUSES:
        time.sleep(pause)
        if propagated.hidden(data, mount):
            _note_unmounted()
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _note_unmounted() -> None:
    _RESTARTED.touch()
    log.warning("Docker has unmounted the volumes; exiting, so that it mounts them at the restart")


def _recovery(root: Path, on_progress: Callable[[str], None] = silent) -> Recovery:
    return Recovery(open_pool(root, on_progress, MOUNT_TIMEOUT))


def _complete_journals(root: Path) -> None:
    """Done before the server listens. It is short, since the steps of a journal are renames."""
    for problem in _recovery(root).complete_journals():
        log.error("journal not completed: %s", problem)


def _ownership(options: dict[str, Any], root: Path) -> Ownership:
    """How the pool's volumes are told from others of the same name. A managed plugin knows its id;
    any other server sees the processes of containers."""
    id = plugin_id(Path(options["--mount"])) if options["--mount"] else ""
    return ByPlugin(id) if id else ByMounts(root)


def _serve(root: Path, socket: Path, run: Path, ownership: Ownership) -> None:
    sharers: dict[str, bool] = {}

    def containers() -> Containers:
        docker = run / "docker.sock"
        if not docker.exists():
            return NoContainers()
        return Docker(f"unix://{docker}", ownership, plugin=True, sharers=sharers)

    collect = _collector(root)

    def open_engine(
        docker: bool, options: ContainerOptions, on_progress: control.Progress
    ) -> LocalEngine:
        asked = containers() if docker else NoContainers(certain=True)
        return LocalEngine(root, asked, on_progress, collect_later=collect, options=options)

    _start(lambda: _clear(root), "clear")
    _start(lambda: _resume_for_ever(root, containers), "resume")
    _start(lambda: _gc_for_ever(root), "gc")
    _start(lambda: _make_digests_for_ever(root), "make digests")
    volumes = DockerVolumes(open_pool(root, silent, MOUNT_TIMEOUT))
    driver = volumedriver.VolumeDriver(volumes, collect)
    verbs = control.Control(open_engine)
    address = run / "dvol" / "control.sock"
    control_app = control.make_app(verbs, driver.detach)
    try:
        aside = sockets.listen(wire.without_keep_alive(control_app), address, control.THREADS)
        sockets.share_with(address, _group_of_docker(run))
        plugin_app = volumedriver.make_app(driver)
        server = sockets.listen(wire.without_keep_alive(plugin_app), socket, volumedriver.THREADS)
        sockets.run_aside(aside)
        log.info("dvol %s serves %s at %s and %s", VERSION, root, socket, address)
        server.run()
        verbs.wait(_GRACE)
    except sockets.SocketTaken:
        raise
    except BaseException:
        _remove(address, socket)
        raise
    _remove(address, socket)


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _collector(root: Path) -> Callable[[], None]:
    """A function that starts a garbage collection in the background."""

    def collect() -> None:
        try:
            _recovery(root).collect_garbage()
        except DvolError as error:
            log.error("garbage not collected: %s", error)

    return lambda: _start(collect, "collect garbage")


def _clear(root: Path) -> None:
    """Delete the staged files and the garbage that dead processes have left."""
    try:
        recovery = _recovery(root)
        for problem in recovery.clear_staging():
            log.error("staging not cleared: %s", problem)
        recovery.collect_garbage()
    except DvolError as error:
        log.error("staging or garbage not cleared: %s", error)


def _gc_for_ever(root: Path) -> None:
    """Delete once a day what is past its time. The first run waits until the machine has settled
    after its start."""
    time.sleep(_SETTLED)
    while True:
        try:
            for freed in collect_expired(open_pool(root, log.warning, MOUNT_TIMEOUT)):
                what = f"{freed.verb or 'unknown'} {freed.entry[:12]} of {freed.volume}"
                log.info("gc.auto: %s %s", what, freed.kept and f"is kept: {freed.kept}")
        except Exception as error:  # also a bug: the thread must not end
            log.error("gc.auto: %r", error)
        time.sleep(_DAY)


def _resume_for_ever(root: Path, containers: Callable[[], Containers]) -> None:
    """Resume the containers that dead verbs have left suspended. Docker answers no call before its
    plugins have started, so the first try may fail."""
    pause = _SOON
    while True:
        time.sleep(pause)
        try:
            done = _recovery(root, log.warning).resume(containers())
        except Exception as error:  # also a bug: the thread must not end
            log.error("containers not started again: %r", error)
            done = False
        pause = _NOW_AND_THEN if done else min(2 * pause, _LONG)


def _make_digests_for_ever(root: Path) -> None:
    """Make the digests of new commits, by which `fsck --data` finds damage, while the disk has
    nothing else to do."""
    be_idle()
    pause = _FIRST_DIGESTS
    while True:
        time.sleep(pause)
        pause = _NEXT_DIGESTS
        try:
            make_digests(open_pool(root, silent, MOUNT_TIMEOUT), _Pauses(), log.error)
        except Exception as error:  # also a bug: the thread must not end
            log.error("digests not made: %r", error)


class _Pauses:
    """Pauses a reading as long as it took: not every disk has a queue for idle readers."""

    def __init__(self) -> None:
        self._left = _PIECE
        self._began = time.monotonic()

    def __call__(self, count: int) -> None:
        self._left -= count
        if self._left <= 0:
            time.sleep(min(1.0, time.monotonic() - self._began))
            self._left, self._began = _PIECE, time.monotonic()


def _start(work: Callable[[], None], name: str) -> None:
    """Run `work` in the background."""
    threading.Thread(target=work, name=name, daemon=True).start()


def _group_of_docker(run: Path) -> int:
    """The group of Docker's socket: users who may use Docker may use dvol. Without that socket, the
    group of `run`."""
    docker = run / "docker.sock"
    return (docker if docker.exists() else run).stat().st_gid


def _end(number: int, frame: object) -> None:
    raise SystemExit


def _log_to_stdout(level: str) -> None:
    """Log to stdout: Docker's daemon logs a plugin's stderr as errors."""
    known = logging.getLevelNamesMapping()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(wire.ShortLines())
    logging.basicConfig(handlers=[handler], level=known.get(level.upper(), logging.INFO))
    logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of each closed connection
    logging.getLogger("urllib3").setLevel(logging.WARNING)


def _reason(error: Exception) -> str:
    if isinstance(error, sockets.SocketTaken):
        return f"another dvol server answers at {error}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
