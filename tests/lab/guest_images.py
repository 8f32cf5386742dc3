"""What guests start from: a disk, kernel and initrd of Debian, and a key that opens it.

Each is made once and kept in build/, named by what it was made from. Nothing here knows dvol.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab import Unavailable, emulator
from tests.lab.bootstrap import BUILD, LATE, bootstrap
from tests.lab.images import busybox_tar

PLACE = BUILD / "acceptance"
SIZE = 6 << 30  # bytes of its disk; sparse
PACKAGES = (
    *("systemd-sysv", "udev", "openssh-server", "iproute2", "dbus", "linux-image-cloud-amd64"),
    *("docker.io", "pipx", "python3-venv", "busybox-static", "postgresql", "python3-psycopg2"),
    *("apparmor", "xfsprogs", "btrfs-progs", "make", "procps", "initramfs-tools"),
)
HOOKS = (  # shell, with the tree in $1 and the directory of the key in $PLACE
    'echo guest > "$1/etc/hostname"; echo 127.0.0.1 guest >> "$1/etc/hosts"',
    # not nofail: Docker has to wait for the disk that its plugin's data is on
    'printf "/dev/vda / ext4 rw 0 1\\n/dev/vdb /var/lib/dvol auto rw 0 2\\n" > "$1/etc/fstab"',
    'mkdir -p "$1/var/lib/dvol"',
    'printf "[Match]\\nName=e*\\n[Network]\\nDHCP=yes\\n" > "$1/etc/systemd/network/e.network"',
    # dev may use Docker, eve may not
    'chroot "$1" useradd -m -s /bin/bash -G docker dev; chroot "$1" useradd -m -s /bin/bash eve',
    'for home in root home/dev home/eve; do mkdir -p -m 700 "$1/$home/.ssh"'
    ' && cp "$PLACE/key.pub" "$1/$home/.ssh/authorized_keys"; done',
    'chroot "$1" chown -R dev: /home/dev; chroot "$1" chown -R eve: /home/eve',
    'chroot "$1" systemctl enable systemd-networkd ssh docker',
    'chroot "$1" systemctl mask postgresql apt-daily.timer apt-daily-upgrade.timer'
    " e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer",
    'cp "$PLACE/busybox.tar" "$1/root/"',
    # all of a machine's drivers in the initrd would be read anew at each boot
    'echo MODULES=list > "$1/etc/initramfs-tools/conf.d/lab"',
    'printf "virtio_pci\\nvirtio_blk\\next4\\n" >> "$1/etc/initramfs-tools/modules"',
    'chroot "$1" update-initramfs -u',
)


def built(suite: str, packages: tuple[str, ...] = ()) -> Path:
    """The directory with root.img, vmlinuz, initrd and key, made where it is not there yet."""
    emulator.require()
    wanted = ",".join((*PACKAGES, *packages))
    archive = busybox_tar()
    made_from = repr((suite, wanted, HOOKS, SIZE, hashlib.sha256(archive).hexdigest())).encode()
    image = PLACE / f"{suite}-{hashlib.sha256(made_from).hexdigest()[:12]}"
    if image.exists():
        return image
    part = Path(tempfile.mkdtemp(prefix="guest-", dir=PLACE))
    try:
        (part / "busybox.tar").write_bytes(archive)
        _build(suite, wanted, part)
        part.rename(image)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return image


def _build(suite: str, packages: str, part: Path) -> None:
    tree = part / "tree"
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(part / "key")])
    hooks = [f"--customize-hook=PLACE={part}; {hook}" for hook in HOOKS]
    bootstrap(f"--include={packages}", *LATE, *hooks, suite, str(tree))
    for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        [found] = (tree / "boot").glob(pattern)
        shutil.copy(found, part / name)
    _run(["truncate", "-s", str(SIZE), str(part / "root.img")])
    _run(["mkfs.ext4", "-q", "-F", "-d", str(tree), str(part / "root.img")])
    shutil.rmtree(tree)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{command[0]}: {(done.stderr or done.stdout)[-600:]}")
