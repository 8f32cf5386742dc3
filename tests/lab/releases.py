"""Whose Docker an engine runs: this machine's own, or that of another release of Debian.

The daemons of another Debian have its root file system, in a mount namespace of their own; process
ids, network and control groups are this machine's. A chroot would not do: `docker exec` joins a
mount namespace and lands in the namespace's root. The engine's directory is shared between the two
namespaces, so that its files, its sockets and whatever is mounted under it are the same in both.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab import Unavailable, leftovers
from tests.lab.bootstrap import BUILD, LATE, SLIM, bootstrap

ROOTS = BUILD / "engines"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = ("docker.io", "docker-compose", "apparmor", "ca-certificates")
# Clients that must be as old as the engine: one reads its state, the other is what its users have.
CLIENTS = ("docker-compose", "runc")
# $0 is the root file system, $1 the engine's directory, $2 that of temporary files; then a command.
# What is written to the root goes to the engine's directory, by which `leftovers` knows the
# processes. The old root is left for good: copies of its mounts would keep loop devices busy.
ENTER = """\
set -e
mount --make-private "$(stat -c %m "$0")"
mount -t overlay -o "lowerdir=$0,upperdir=$1/system/upper,workdir=$1/system/work" overlay "$0"
cd "$0"
for each in dev proc sys; do
  mount --rbind "/$each" "$each"
  mount --make-rprivate "$each"
done
for each in "$2" /etc/hosts /etc/resolv.conf /etc/ssl/certs; do
  [ -e "$each" ] || continue
  [ -d "$each" ] && mkdir -p ".$each" || { rm -f ".$each" && : > ".$each"; }
  mount --bind "$each" ".$each"
  mount --make-private ".$each"
done
mkdir -p ".$1"
mount --bind "$1" ".$1"
pivot_root . mnt
cd "$1"
mount --make-rprivate /mnt
umount -l /mnt
shift 2
exec "$@"
"""
CLIENT = """\
#!/bin/sh
enter='cd "$0" 2> /dev/null || cd /; PATH={path} exec {name} "$@"'
exec nsenter --mount=/proc/{pid}/ns/mnt sh -c "$enter" "$PWD" "$@"
"""


class Release:
    """This machine's own Docker."""

    def require(self) -> None:
        """Raise Unavailable where its daemons cannot be started."""
        _require_commands("dockerd", "containerd", "runc", "docker", "umount")

    def first(self, root: Path, command: list[str]) -> list[str]:
        """The words that start the first daemon of the engine whose directory is `root`."""
        return command

    def beside(self, pid: int, command: list[str]) -> list[str]:
        """The words that start another daemon beside the first, which is the process `pid`."""
        return command

    def bring_clients(self, root: Path, pid: int) -> None:
        """Put into `root/bin` what is to go before this machine's own commands of that name."""

    def __str__(self) -> str:
        return "this machine's"


class DebianRelease(Release):
    """The Docker of a release of Debian, by the name of its suite."""

    def __init__(self, suite: str) -> None:
        self.suite = suite

    def require(self) -> None:
        _require_commands("docker", "umount", "unshare", "nsenter", "pivot_root")
        self._made()

    def first(self, root: Path, command: list[str]) -> list[str]:
        for name in ("upper", "work"):
            (root / "system" / name).mkdir(parents=True, exist_ok=True)
        if str(root) not in leftovers.mounts(root):
            _share(root)
        unshare = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", ENTER]
        return [*unshare, str(self._made()), str(root), tempfile.gettempdir(), *command]

    def beside(self, pid: int, command: list[str]) -> list[str]:
        return ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "--", *command]

    def bring_clients(self, root: Path, pid: int) -> None:
        for name in CLIENTS:
            client = root / "bin" / name
            client.write_text(CLIENT.format(pid=pid, path=PATH, name=name))
            client.chmod(0o755)

    def __str__(self) -> str:
        return f"Debian {self.suite}'s"

    def _made(self) -> Path:
        """The root file system, made where it is not there yet; named by what it was made from."""
        words = [*SLIM, *LATE, f"--include={','.join(PACKAGES)}", self.suite]
        made_from = hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]
        root = ROOTS / f"{self.suite}-{os.uname().machine}-{made_from}"
        if not root.exists():
            ROOTS.mkdir(parents=True, exist_ok=True)
            _make(words, root)
        return root


# By the version that each had when it was last looked at; sid's grows.
RELEASES = {
    "20.10": DebianRelease("bookworm"),
    "26.1": DebianRelease("trixie"),
    "28.5": DebianRelease("sid"),
}
OWN = Release()


def _make(words: list[str], root: Path) -> None:
    part = Path(tempfile.mkdtemp(prefix="part-", dir=root.parent))
    try:
        bootstrap(*words, str(part))
        part.chmod(0o755)
        if not root.exists():  # other tests may have made it meanwhile
            part.rename(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _share(root: Path) -> None:
    """Make `root` a mount whose later mounts are seen in both namespaces, and nowhere else."""
    for words in (("--bind", str(root), str(root)), ("--make-private",), ("--make-shared",)):
        subprocess.run(["mount", *words, *([str(root)] if len(words) == 1 else [])], check=True)


def daemons_path() -> str:
    """Where this machine's daemons are looked for: not every user's PATH has them."""
    return os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


def _require_commands(*commands: str) -> None:
    if os.geteuid() != 0:
        raise Unavailable("a private Docker Engine needs root")
    for command in commands:
        if shutil.which(command, path=daemons_path()) is None:
            raise Unavailable(f"{command} is not installed")
