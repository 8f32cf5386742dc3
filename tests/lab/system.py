"""Which system packages demo, tests and benchmark want, and how to get the missing ones.

Runs as `python3 tests/lab/system.py`, with the word `bench` or `acceptance` for what those want,
before any virtual environment exists: standard library only, no imports from this project. Packages
are found by the feature they give, never by asking dpkg, so that a hand-installed Docker counts.
Where systemd runs, installing Debian's Docker starts it; the registry that comes along is kept from
that.
"""

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass, field

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SEARCH = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Need:
    """A command, file or Python module, the package that gives it, and what needs it."""

    feature: str
    package: str
    without: str
    module: bool = field(default=False)

    def missing(self) -> bool:
        """Is it absent? A module is looked up in this Python, a command on the path."""
        if self.feature.startswith("/"):
            return not os.path.exists(self.feature)
        if self.module:
            return importlib.util.find_spec(self.feature) is None
        return shutil.which(self.feature, path=SEARCH) is None


VENV = Need("ensurepip", "python3-venv", "everything", module=True)
FILE_SYSTEMS = (
    Need("mkfs.ext4", "e2fsprogs", "all that is tried on ext4"),
    Need("mkfs.xfs", "xfsprogs", "all that is tried on XFS"),
    Need("mkfs.btrfs", "btrfs-progs", "all that is tried on btrfs"),
)
RESTIC = Need("restic", "restic", "which commits a policy keeps, compared with restic; its times")
NEEDS = (
    VENV,
    Need("dockerd", "docker.io", "demo on a real Engine, docker ring, make plugin"),
    Need("mmdebstrap", "mmdebstrap", "other Engines; make plugin where no registry answers"),
    Need(KEYRING, "debian-archive-keyring", "other Engines; make plugin where no registry answers"),
    Need("busybox", "busybox-static", "demo on a real Engine, docker ring"),
    Need("docker-registry", "docker-registry", "push and install in the docker ring"),
    Need("docker-compose", "docker-compose", "Compose in the docker ring"),
    Need("curl", "curl", "the web application among the examples"),
    *FILE_SYSTEMS,
    Need("setfacl", "acl", "fidelity of ACLs"),
    Need("setfattr", "attr", "fidelity of extended attributes"),
    Need("setcap", "libcap2-bin", "fidelity of file capabilities"),
    RESTIC,
)
# The peers that are measured: nobody who only tests should have to have them.
BENCH = (
    VENV,
    *FILE_SYSTEMS,
    Need("rsync", "rsync", "the times of rsync"),
    RESTIC,
)
# And virtual machines.
ACCEPTANCE = (*NEEDS, Need("ssh", "openssh-client", "virtual machines"))
# Since Debian 13 the client is a package of its own, before that docker.io holds it; so it is
# asked for on its own, after docker.io.
CLIENT = Need("docker", "docker-cli", "demo on a real Engine, docker ring, make plugin")


def main() -> int:
    """Install what is missing where that is possible, else say what will not run; 0 either way."""
    needs = {"bench": BENCH, "acceptance": (*ACCEPTANCE, CLIENT)}.get(
        " ".join(sys.argv[1:]), (*NEEDS, CLIENT)
    )
    wanted = [need for need in needs if need.missing()]
    if not wanted:
        return 0
    if _can_install():
        _install([need.package for need in wanted if need is not CLIENT])
        if CLIENT in needs and CLIENT.missing():
            _install([CLIENT.package])
    return _report([need for need in wanted if need.missing()])


def _can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get", path=SEARCH) is not None


def _install(packages: list[str]) -> None:
    """All at once; if apt refuses, one by one: a lost package costs only itself."""
    if not packages:
        return
    print(f"dvol: installing system packages: {' '.join(packages)}", flush=True)
    if "docker-registry" in packages:
        _keep_registry_down()
    _apt("update")
    if not _apt("install", *packages):
        for package in packages:
            _apt("install", package)


def _apt(command: str, *packages: str) -> bool:
    import subprocess  # the common run finds nothing missing and should not pay for this

    # --no-remove: nobody's Docker is thrown out to make room for ours
    options = ["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]
    if command == "install":
        options += ["-y", "--no-install-recommends", "--no-remove"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    argv = ["apt-get", *options, command, *packages]
    return subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL).returncode == 0


def _keep_registry_down() -> None:
    """Debian starts docker-registry on every address at once; the tests start their own."""
    if os.path.isdir("/run/systemd/system"):
        import subprocess

        print("dvol: masking docker-registry.service, so that it does not listen on port 5000")
        subprocess.run(["systemctl", "mask", "--quiet", "docker-registry.service"])


def _report(missing: list[Need]) -> int:
    """One line on what is missing and what will not run for it."""
    if missing:
        lost = "; ".join(f"{need.package} ({need.without})" for need in missing)
        print(f"dvol: missing, and what goes without: {lost}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
