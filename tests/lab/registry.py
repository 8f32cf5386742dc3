"""A real registry on loopback: Debian's `docker-registry` with storage of its own.

An Engine takes plain HTTP from 127.0.0.1, so no certificate is involved.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.request import Request, urlopen

from tests.lab import Unavailable, leftovers
from tests.lab.closing import Closing
from tests.lab.ports import free_port

PLACE = Path("/var/tmp")
PREFIX = "dvol-registry-"
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
CONFIG = """\
version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {root}/storage}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:{port}
"""


class Registry(Closing):
    """A running registry; `address` is what goes before the first slash of a name."""

    def __init__(self) -> None:
        if shutil.which("docker-registry") is None:
            raise Unavailable("docker-registry is not installed")
        leftovers.sweep(PLACE, PREFIX)
        self._root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE))
        self._lock = leftovers.lock(self._root)
        self._port = free_port()
        self._process = self._spawn()
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self._port}"

    def retag(self, name: str, tag: str, target: str) -> None:
        """What is `name:tag` is `name:target` as well from now on."""
        place = f"http://{self.address}/v2/{name}/manifests"
        with urlopen(Request(f"{place}/{tag}", headers={"Accept": ", ".join(MANIFESTS)})) as found:
            kind = {"Content-Type": found.headers["Content-Type"]}
            urlopen(Request(f"{place}/{target}", found.read(), kind, method="PUT")).close()

    def close(self) -> None:
        """End it and forget what was pushed."""
        self._process.kill()
        self._process.wait()
        leftovers.clear(self._root)
        self._lock.close()

    def _spawn(self) -> subprocess.Popen[bytes]:
        config = self._root / "config.yml"
        config.write_text(CONFIG.format(root=self._root, port=self._port))
        with (self._root / "log").open("ab") as log:
            return subprocess.Popen(
                ["docker-registry", "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._root / "log").read_text(errors="replace")
                raise Unavailable(f"docker-registry does not serve: {log[-2000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket() as door:
            return door.connect_ex(("127.0.0.1", self._port)) == 0
