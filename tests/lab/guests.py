"""Virtual machines as people have them: Debian with its own Docker, and a disk for the data.

A guest is an entry in `KINDS`. Nothing here knows dvol.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import testinfra
from testinfra.host import Host

from tests.lab import guest_images, leftovers
from tests.lab.closing import Closing
from tests.lab.emulator import Machine
from tests.lab.filesystems import MAKE

PLACE = Path("/var/tmp")
PREFIX = "dvol-guest-"
DISK = 4 << 30  # bytes of the second disk; sparse
FEW_INODES = {"ext4": ("-i", "65536")}  # so that they can be used up
BOOT = 300.0  # seconds under emulation, with room
OPTIONS = (
    *("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"),
    *("ConnectTimeout=20", "BatchMode=yes", "ServerAliveInterval=30"),
    *("ControlMaster=auto", "ControlPersist=yes"),  # under emulation a handshake takes a second
)


@dataclass(frozen=True)
class Kind:
    """What a guest is made of: a suite of Debian, more packages, what /var/lib/dvol lies on."""

    suite: str
    packages: tuple[str, ...] = ()
    disk: str = "ext4"


_NEWER = ("docker-cli", "docker-compose")
KINDS = {
    "bookworm": Kind("bookworm"),  # Docker 20.10, kernel 6.1 with its coarse clock
    "trixie": Kind("trixie", _NEWER),  # Docker 26.1, Compose 2
    "trixie-xfs": Kind("trixie", _NEWER, "xfs"),
    "trixie-btrfs": Kind("trixie", _NEWER, "btrfs"),
    "sid": Kind("sid", _NEWER),
}


class Guest(Closing):
    """A virtual machine and how to get at it; gone with the `with`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = KINDS[name]
        image = guest_images.built(self.kind.suite, self.kind.packages)
        leftovers.sweep(PLACE, PREFIX)
        self.place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE))
        self._lock = leftovers.lock(self.place)
        self.machine = Machine(self.place, ["root.img", "disk.img"])
        self._forwarded: dict[int, int] = {}
        try:
            self._furnish(image)
        except BaseException:
            self.close()
            raise

    def host(self, user: str = "root") -> Host:
        """Testinfra's view of it, over ssh."""
        address = f"ssh://{user}@127.0.0.1:{self.machine.port}"
        return testinfra.get_host(address, ssh_extra_args=shlex.join(self.options))

    def boot(self) -> float:
        """Power on and wait until Docker answers; how long that took, in seconds."""
        began = time.monotonic()
        self.machine.start()
        self.wait(self._answers, "ssh answers", BOOT)
        for port, to in self._forwarded.items():
            self._forward(port, to)
        self.wait(lambda: self.run("docker version").returncode == 0, "Docker answers", BOOT)
        return time.monotonic() - began

    def _answers(self) -> bool:
        answers = self.run("true").returncode == 0
        if self.machine.crashed():  # once in a while an assertion of QEMU's own fails, in the
            self.machine.start()  # firmware; looked for after ssh, which is where the time goes
        return answers

    def reboot(self) -> float:
        """In order, as a person would."""
        self.run("systemctl poweroff")
        self.wait(self.machine.ended, "it has powered off", BOOT)
        return self.boot()

    def cut(self) -> None:
        """Pull the plug."""
        self.machine.cut()

    def run(self, command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        """A shell command in the guest."""
        return subprocess.run(
            self.ssh(command, user),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def ssh(self, command: str, user: str = "root") -> list[str]:
        """The words that run a shell command in the guest."""
        port = str(self.machine.port)
        return ["ssh", *self.options, "-p", port, f"{user}@127.0.0.1", command]

    def copy_in(self, source: Path, target: str) -> None:
        """A file, or a directory with all that is in it."""
        scp = ["scp", "-q", "-r", *self.options, "-P", str(self.machine.port), str(source)]
        subprocess.run([*scp, f"root@127.0.0.1:{target}"], check=True, timeout=600)

    def forward(self, port: int, to: int) -> None:
        """Port `port` of the guest's loopback leads to port `to` of ours, after a boot too."""
        self._forwarded[port] = to
        self._forward(port, to)

    def wait(self, what: Callable[[], bool], told: str, timeout: float) -> None:
        """Poll until `what` holds."""
        deadline = time.monotonic() + timeout
        while not what():
            if time.monotonic() > deadline or self.machine.ended():
                raise AssertionError(f"never came about: {told}\n{self.machine.last_words()}")
            time.sleep(0.5)

    @property
    def options(self) -> list[str]:
        """For ssh and scp."""
        wanted = (*OPTIONS, f"ControlPath={self.place}/ssh-%r")
        return ["-i", str(self.place / "key"), *(word for one in wanted for word in ("-o", one))]

    def close(self) -> None:
        """Without it nothing is left of the machine."""
        self.machine.cut()
        leftovers.clear(self.place)
        self._lock.close()

    def _furnish(self, image: Path) -> None:
        for name in ("root.img", "vmlinuz", "initrd", "key"):
            copy = ["cp", "--sparse=always", "--reflink=auto", "--preserve=mode"]
            subprocess.run([*copy, str(image / name), str(self.place)], check=True)
        disk = self.place / "disk.img"
        with disk.open("wb") as file:
            file.truncate(DISK)
        make = (*MAKE[self.kind.disk], *FEW_INODES.get(self.kind.disk, ()))
        subprocess.run([*make, str(disk)], check=True, capture_output=True)

    def _forward(self, port: int, to: int) -> None:
        where = f"127.0.0.1:{port}:127.0.0.1:{to}"
        words = ["-O", "forward", "-R", where, "-p", str(self.machine.port), "root@127.0.0.1"]
        subprocess.run(["ssh", *self.options, *words], check=True, capture_output=True)
