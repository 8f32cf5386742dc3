"""A private, throw-away Docker Engine: its own daemon, containerd, data and socket.

It shares nothing with the machine's own Docker and leaves nothing behind. As a command,
`python -m tests.lab.engine -- CMD...` runs CMD with DOCKER_HOST, DATA, RUN and EXEC_ROOT set to
such an engine. Whose Docker it is comes from `releases`; what it leaves behind is found and removed
by `leftovers`.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.lab import Unavailable, leftovers
from tests.lab.closing import Closing
from tests.lab.releases import OWN, Release, daemons_path

# On disk, where /tmp may be memory; short, because a socket's path has 108 bytes.
PLACE = Path("/var/tmp")
PREFIX = "dvol-lab-"
CONTAINERD = """\
version = 2
root = "{root}/containerd/root"
state = "{root}/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{root}/containerd/containerd.sock"
"""


class CommandFailed(subprocess.CalledProcessError):
    """A `docker` command ended non-zero; its text says what the command said."""

    def __str__(self) -> str:
        return f"{' '.join(self.cmd)}: exit {self.returncode}: {self.stderr or self.stdout}"


class Engine(Closing):
    """A running dockerd of one's own, as root, of this machine's Docker or of another release.

    Further flags for dockerd may be given. Containers need `--network none`: the engine has no
    network, so that it needs no iptables.
    """

    def __init__(self, *flags: str, release: Release = OWN) -> None:
        release.require()
        leftovers.sweep(PLACE, PREFIX)
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE))
        self.root.chmod(0o755)
        self._lock = leftovers.lock(self.root)
        self._flags = flags
        self._release = release
        self._containerd: subprocess.Popen[bytes] | None = None
        self._dockerd: subprocess.Popen[bytes] | None = None
        for name in ("run", "var-lib", "containerd", "client", "bin"):
            (self.root / name).mkdir()
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def host(self) -> str:
        """DOCKER_HOST."""
        return f"unix://{self.run}/docker.sock"

    @property
    def run(self) -> Path:
        """RUN: what stands for /run here. Docker's socket is in it."""
        return self.root / "run"

    @property
    def data(self) -> Path:
        """DATA: what stands for /var/lib here. In it are `docker`, and the pool in `dvol`."""
        return self.root / "var-lib"

    @property
    def exec_root(self) -> Path:
        """EXEC_ROOT: under it lies the state that `runc --root` wants."""
        return self.root / "exec"

    @property
    def env(self) -> dict[str, str]:
        """This process's environment, with everything about Docker and dvol pointing here."""
        # of an outer make nothing either: its variables would win over ours
        foreign = ("DOCKER_", "DVOL_", "MAKE", "MFLAGS")
        env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        return env | {
            "PATH": f"{self.root}/bin:{env.get('PATH', os.defpath)}",
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(self.root / "client"),
            "DOCKER_BUILDKIT": "0",  # the builder inside dockerd: buildx may not be there
            "DATA": str(self.data),
            "RUN": str(self.run),
            "EXEC_ROOT": str(self.exec_root),
        }

    def docker(
        self, *args: str, input: str | None = None, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run the docker client against this engine."""
        done = subprocess.run(
            ["docker", *args],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            env=self.env,
            timeout=timeout,
        )
        if check and done.returncode:
            raise CommandFailed(done.returncode, done.args, done.stdout, done.stderr)
        return done

    def start(self) -> None:
        """Start the daemon, and containerd where it does not run; return when it serves."""
        containerd = self._running_containerd()
        # A killed daemon leaves its pid file, and refuses to start while some process has that id.
        (self.root / "pid").unlink(missing_ok=True)
        argv = self._release.beside(containerd.pid, self._dockerd_argv())
        self._dockerd = self._spawn(argv)
        # Long: at start Docker waits 15 s for each volume whose plugin is gone.
        self._wait(self._serves, self._dockerd, timeout=180)

    def stop(self) -> None:
        """Stop the daemon cleanly, its containers first; `start` brings it back."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Stop the daemon cleanly and start it again."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill the daemon at once; its containers, plugins and containerd go on."""
        self._end(signal.SIGKILL)

    def logs(self) -> str:
        """Everything that the daemon, its plugins and containerd have logged so far."""
        return (self.root / "log").read_text(errors="replace")

    def close(self) -> None:
        """End all of it, whatever state it is in, and remove every trace."""
        self._end(signal.SIGKILL)
        leftovers.clear(self.root)
        if self._containerd is not None:
            self._containerd.wait()
        self._lock.close()

    def _running_containerd(self) -> subprocess.Popen[bytes]:
        # One of its own even where the machine has one: dockerd would join that one, and both
        # daemons would then rule over the same namespace.
        if self._containerd is None or self._containerd.poll() is not None:
            config = self.root / "containerd/config.toml"
            config.write_text(CONTAINERD.format(root=self.root))
            argv = ["containerd", "--config", str(config)]
            self._containerd = self._spawn(self._release.first(self.root, argv))
            self._wait(self._containerd_listens, self._containerd, timeout=60)
            self._release.bring_clients(self.root, self._containerd.pid)
        return self._containerd

    def _dockerd_argv(self) -> list[str]:
        config = self.root / "daemon.json"  # not the machine's /etc/docker/daemon.json
        config.write_text("{}")
        return [
            "dockerd",
            f"--config-file={config}",
            f"--data-root={self.data}/docker",
            f"--exec-root={self.exec_root}",
            f"--pidfile={self.root}/pid",
            f"--host={self.host}",
            f"--containerd={self.root}/containerd/containerd.sock",
            f"--cgroup-parent={leftovers.cgroup(self.root)}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            *self._flags,
        ]

    def _spawn(self, argv: list[str]) -> subprocess.Popen[bytes]:
        # A session of its own: a Ctrl-C is for the tests, which then end the engine in order.
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.root,
                env={**os.environ, "PATH": daemons_path()},
            )

    def _wait(
        self, ready: Callable[[], bool], process: subprocess.Popen[bytes], timeout: float
    ) -> None:
        deadline = time.monotonic() + timeout
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = "\n".join(self.logs().splitlines()[-20:])
                raise Unavailable(f"{process.args!r} does not serve:\n{tail}")
            time.sleep(0.02)

    def _serves(self) -> bool:
        """The socket exists long before it serves, so a file is no answer: ask."""
        return b" 200 " in _ask(self.run / "docker.sock", b"GET /_ping HTTP/1.0\r\n\r\n")

    def _containerd_listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as door:
            return door.connect_ex(str(self.root / "containerd/containerd.sock")) == 0

    def _end(self, number: signal.Signals) -> None:
        if self._dockerd is not None:
            self._dockerd.send_signal(number)
            self._dockerd.wait(timeout=180)
            self._dockerd = None


def main(argv: list[str]) -> int:
    """Run the command given after `--` against a private engine; its exit code is ours."""
    command = argv[1:] if argv[:1] == ["--"] else argv
    if not command:
        print("usage: python -m tests.lab.engine -- CMD...", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    try:
        with Engine() as engine:
            return subprocess.run(command, env=engine.env).returncode
    except Unavailable as error:
        print(f"no private Docker Engine: {error}", file=sys.stderr)
        return 6
    except KeyboardInterrupt:
        return 130


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _ask(path: Path, request: bytes) -> bytes:
    """One answer from a socket, or nothing where nobody answers soon."""
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(5)
            door.connect(str(path))
            door.sendall(request)
            return door.recv(4096)
    except OSError:
        return b""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
