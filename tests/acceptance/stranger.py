"""Somebody with a machine, Docker and the README: what they type, and what they see."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from tests.acceptance.published import NAME, SOURCE, Published
from tests.docker.readmes import block_with
from tests.lab.guests import Guest

README = (SOURCE / "README.md").read_text()
POOL = "/var/lib/dvol/volumes"
# a volume at /data of `docker run`, and a shell command that stays until it is stopped
MOUNTING = "--network none --volume-driver dvol -v shop_db:/data"
# no index; and under emulation compiling what is not used takes longer than all the rest
PIP = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/opt/wheels PIP_NO_COMPILE=1"
LONGEST = 900  # seconds that a line may take
SOURCES = "git+https://github.com/clusterhq/dvol"
STAYING = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
# what Docker says at its start where it has to wait for a volume's plugin, 15 s for each volume
WAITS = ("Unable to connect to plugin", "Unable to locate plugin")


@dataclass
class Stranger:
    """A guest, and how to install dvol there; nothing of ours is in it before `install`."""

    guest: Guest
    published: Published

    def sh(self, command: str, user: str = "dev", check: bool = True) -> str:
        """What a command typed in a fresh shell prints."""
        return str(self.result(command, user, check).stdout)

    def result(self, command: str, user: str = "dev", check: bool = True) -> Any:
        """The same with exit code and errors."""
        shell = f"timeout {LONGEST} bash -lc {shlex.quote(f'set -e; {command}')}"
        done = self.guest.host(user).run(shell)
        assert not check or done.rc == 0, f"{command}: {done.rc}: {done.stdout}{done.stderr}"
        return done

    def prepare(self) -> None:
        """What the rest of the world would give: a registry, packages, an image."""
        port = int(self.published.registry.address.rpartition(":")[2])
        self.guest.forward(port, port)
        self.guest.copy_in(self.published.wheels, "/opt/wheels")
        self.sh("docker import -c 'CMD sh' /root/busybox.tar busybox", "root")

    def install(self, settings: str = "") -> None:
        """By the README's own lines, as one who may use Docker and nothing else. They differ in
        the registry, which is this laboratory's, and in that packages come from a directory."""
        plugin, command = block_with(README, "docker plugin install")
        self.sh(f"echo y | {plugin.replace(NAME, self.published.name)} {settings}")
        if self.result("which dvol", check=False).rc:
            self.sh(f"{PIP} {command.replace(SOURCES, 'dvol')}")

    def installed(self) -> bool:
        return bool(self.result("docker plugin inspect dvol", check=False).rc == 0)

    def python(self) -> str:
        """The interpreter that has dvol's packages."""
        return self.sh("head -n 1 ~/.local/bin/dvol").removeprefix("#!").strip()

    def mend(self) -> None:
        """What a test that failed may have left broken."""
        if self.guest.machine.ended():
            self.guest.boot()
        self.result("docker plugin enable dvol", check=False)
        self.sh("rm -rf /var/lib/dvol/filler", "root")

    def clear(self) -> None:
        """Remove all containers and volumes."""
        self.mend()
        self.sh("docker ps -aq | xargs -r docker rm -f -v")
        self.sh("docker volume ls -q | xargs -r docker volume rm")
