"""Small images made on the spot, so that no test waits for a registry.

Each builder returns the tag it made. What runs in them, and on which volumes, is the tests' own.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.lab import Unavailable
from tests.lab.bootstrap import BUILD, SLIM, bootstrap
from tests.lab.engine import Engine

SHELL = "busybox:latest"


def busybox(engine: Engine, tag: str = SHELL) -> str:
    """An image of 2 MB with a shell and the usual commands, unless the engine has that tag."""
    if engine.docker("image", "inspect", tag, check=False).returncode:
        _import(engine, busybox_tar(), tag, "CMD sh")
    return tag


def non_root(engine: Engine, tag: str = "non-root:latest") -> str:
    """An image that runs as 1001:1001 and owns its empty directory /data."""
    return _build(engine, tag, "RUN mkdir /data && chown 1001:1001 /data", "USER 1001:1001")


def with_content(engine: Engine, tag: str = "with-content:latest") -> str:
    """An image whose /data is 999:999, 0700 and holds `seed` (0640), for Docker's copy-up."""
    return _build(
        engine,
        tag,
        "RUN mkdir -p /data/sub && echo seed > /data/seed && chmod 0640 /data/seed"
        " && chown -R 999:999 /data && chmod 0700 /data",
    )


def with_environment(engine: Engine, tag: str, *assignments: str) -> str:
    """A shell whose image sets environment variables, as those of databases do."""
    return _build(engine, tag, *(f"ENV {each}" for each in assignments))


def debian(engine: Engine, tag: str, packages: tuple[str, ...], *options: str) -> str:
    """An image of Debian's own packages, made by mmdebstrap; its archive is kept in build/."""
    if engine.docker("image", "inspect", tag, check=False).returncode:
        archive = _bootstrapped(tag, packages, options)
        subprocess.run(
            ["docker", "import", str(archive), tag], env=engine.env, check=True, capture_output=True
        )
    return tag


def _bootstrapped(tag: str, packages: tuple[str, ...], options: tuple[str, ...]) -> Path:
    """Named by what it was made from, so that a change makes a new one."""
    words = [
        *("--format=tar", "--skip=output/dev"),
        *SLIM,
        *(f"--include={','.join(packages)}", *options, "trixie"),
    ]
    made_from = hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]
    archive = BUILD / f"{tag.partition(':')[0]}-{os.uname().machine}-{made_from}.tar"
    if not archive.exists():
        BUILD.mkdir(exist_ok=True)
        part = archive.with_suffix(".part")
        bootstrap(*words, str(part))
        part.rename(archive)
    return archive


def _build(engine: Engine, tag: str, *lines: str) -> str:
    dockerfile = "\n".join((f"FROM {busybox(engine)}", *lines, ""))
    engine.docker("build", "-q", "--network=none", "-t", tag, "-", input=dockerfile)
    return tag


def _import(engine: Engine, archive: bytes, tag: str, change: str) -> None:
    # bytes on stdin, which Engine.docker, made for text, does not do
    argv = ["docker", "import", "--change", change, "-", tag]
    subprocess.run(argv, input=archive, env=engine.env, check=True, capture_output=True)


def busybox_tar() -> bytes:
    """A root file system: busybox, a link per command, and the accounts that shells ask for."""
    binary = shutil.which("busybox")
    if binary is None:
        raise Unavailable("busybox is not installed")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700)):
            _add(tar, name, mode=mode, kind=tarfile.DIRTYPE)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
        _add(tar, "etc/group", b"root:x:0:\n")
        _add(tar, "bin/busybox", Path(binary).read_bytes(), mode=0o755)
        for library in _libraries(binary):
            _add(tar, library.lstrip("/"), Path(library).read_bytes(), mode=0o755)
        for applet in _applets(binary):
            _add(tar, f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox")
    return buffer.getvalue()


def _add(
    tar: tarfile.TarFile,
    name: str,
    content: bytes = b"",
    mode: int = 0o644,
    kind: bytes = tarfile.REGTYPE,
    target: str = "",
) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.type, entry.linkname = len(content), mode, kind, target
    tar.addfile(entry, io.BytesIO(content))


def _applets(binary: str) -> list[str]:
    listed = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if name != "busybox"]


def _libraries(binary: str) -> list[str]:
    """What a dynamically linked busybox loads; nothing for the static one."""
    listed = subprocess.run(
        ["ldd", binary], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    return re.findall(r"(/\S+) \(0x", listed.stdout)
