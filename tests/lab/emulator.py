"""QEMU, and virtual machines of it: with KVM where that runs a kernel, under emulation elsewhere.

QEMU 10, Debian trixie's, in a directory of its own: bookworm's 7.2 crashed guests at random under
emulation. What is in a machine is `guests`' business.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.lab import Unavailable
from tests.lab.bootstrap import BUILD, bootstrap
from tests.lab.ports import free_port

ROOT = BUILD / "acceptance" / "qemu"
PACKAGES = "qemu-system-x86"
MEMORY = 2048  # MiB
CORES = 2
# of what newer processors can do most is slower to emulate than to do without: in one run a
# `docker run` took 4.6 s and a boot 39 with `max`, 2.8 and 26 with Nehalem; sha-ni hashes faster
EMULATED = ("-accel", "tcg,thread=multi", "-cpu", "Nehalem,+sha-ni")
VIRTUAL = ("-accel", "kvm", "-cpu", "host")
BARE = ("-nographic", "-no-reboot", "-monitor", "none", "-nodefaults")
# in a mount namespace of its own, so that nothing stays mounted whatever ends
ENTER = """\
mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && mount --bind "$1" "$0/mnt" &&
cd / && root=$0 && shift && exec chroot "$root" "$@"
"""


def require() -> None:
    """Make QEMU where it is not there yet."""
    if os.geteuid() != 0:
        raise Unavailable("virtual machines need root here: QEMU runs in a chroot")
    if (ROOT / "usr/bin/qemu-system-x86_64").exists():
        return
    ROOT.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix="qemu-", dir=ROOT.parent))
    try:
        bootstrap(f"--include={PACKAGES}", "trixie", str(part))
        part.rename(ROOT)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


class Machine:
    """A virtual machine whose disks, kernel and initrd lie in `place`.

    Its ssh is at `port` of loopback, and it reaches nothing else; its console is `place/console`.
    """

    def __init__(self, place: Path, disks: Sequence[str]) -> None:
        self.place = place
        self.disks = disks
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def console(self) -> str:
        """All that it has ever printed."""
        path = self.place / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Power on; returns at once."""
        if self.ended():
            self.cut()
            self.port = free_port()  # anew: between a cut and a boot it is anybody's
            self._process = _spawn(self.place, self._argv())

    def cut(self) -> None:
        """Pull the plug: what its kernel has not handed to its disks yet is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def last_words(self) -> str:
        """How its console and QEMU's own messages end."""
        messages = (self.place / "qemu.log").read_text(errors="replace")
        return f"{self.console[-3000:]}\n{messages[-1000:]}"

    def ended(self) -> bool:
        """Whether it has powered itself off, or QEMU has died."""
        return self._process is None or self._process.poll() is not None

    def crashed(self) -> bool:
        """Whether QEMU has died of itself."""
        return self._process is not None and (self._process.poll() or 0) < 0

    def _argv(self) -> list[str]:
        argv = [*accelerated(self.place), *_named(self.place)]
        argv += ["-smp", str(CORES), "-m", str(MEMORY)]
        argv += [*BARE, *_console("console"), "-kernel", "/mnt/vmlinuz", "-initrd", "/mnt/initrd"]
        argv += ["-append", "root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 mitigations=off"]
        for disk in self.disks:
            argv += ["-drive", f"file=/mnt/{disk},format=raw,if=virtio,cache=writeback"]
        forward = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"
        return [*argv, "-netdev", forward, "-device", "virtio-net-pci,netdev=net,romfile="]


_FASTEST: list[tuple[str, ...]] = []  # once it is known


def accelerated(place: Path) -> tuple[str, ...]:
    """The options by which this machine runs the kernel in `place` fastest.

    `/dev/kvm` alone says little: nested, it may run the firmware and then no kernel. So one is
    tried, without a disk; it ends by itself.
    """
    if not _FASTEST:
        usable = os.access("/dev/kvm", os.R_OK | os.W_OK) and _starts(place, VIRTUAL)
        _FASTEST.append(VIRTUAL if usable else EMULATED)
    return _FASTEST[0]


def _starts(place: Path, options: Sequence[str]) -> bool:
    """Whether the kernel says a word under these options."""
    words = [*options, *_named(place), "-m", "512", *BARE, *_console("tried")]
    words += ["-kernel", "/mnt/vmlinuz", "-append", "console=ttyS0 panic=-1"]
    trial = _spawn(place, words)
    try:
        with suppress(subprocess.TimeoutExpired):
            trial.wait(15)
    finally:
        trial.kill()
        trial.wait()
    tried = place / "tried"
    return tried.exists() and "Linux version" in tried.read_text(errors="replace")


def _console(name: str) -> tuple[str, ...]:
    return "-chardev", f"file,id=console,path=/mnt/{name},append=on", "-serial", "chardev:console"


def _named(place: Path) -> list[str]:
    """By this it is found among the processes when whoever started it has died."""
    return ["-name", f"{place}/"]


def _spawn(place: Path, argv: Sequence[str]) -> subprocess.Popen[bytes]:
    # a machine does not outlive whoever started it, not even a kill -9
    words = "setpriv --pdeathsig KILL unshare --mount --propagation private sh -c"
    enter = [*words.split(), ENTER]
    with (place / "qemu.log").open("ab") as log:
        return subprocess.Popen(
            [*enter, str(ROOT), str(place), "qemu-system-x86_64", *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
