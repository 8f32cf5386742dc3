"""The private Engines that this ring has: of whichever release, and gone when their tests are."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docker.installed import SOURCE
from tests.lab import images, leftovers
from tests.lab.engine import PLACE, PREFIX, Engine
from tests.lab.releases import Release

pytestmark = pytest.mark.engines

# An Engine with a running container, whose directory is printed; then it is killed.
KILLED = """\
import sys, time
from tests.lab import images
from tests.lab.engine import Engine
from tests.lab.releases import OWN, RELEASES

engine = Engine(release=RELEASES.get(sys.argv[1], OWN))
name = images.busybox(engine)
engine.docker("run", "-d", "--network", "none", name, "sleep", "1000")
print(engine.root, flush=True)
time.sleep(1000)
"""


def test_what_runs_in_a_container_is_in_it(engine: Engine) -> None:
    """Not in the root of whatever namespace the daemons are in."""
    run = ("run", "-d", "--rm", "--name", "app", "--network", "none", images.SHELL)
    engine.docker(*run, "sleep", "1000")
    try:
        inside = engine.docker("exec", "app", "readlink", "-f", "/bin/sh").stdout
        assert inside == "/bin/busybox\n"
    finally:
        engine.docker("rm", "-f", "app")


def test_its_directory_is_the_same_for_tests_and_containers(engine: Engine) -> None:
    """Mounts that a test makes there are a container's, and the Engine's are a test's."""
    place = engine.root / "seen"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=True)
        (place / "file").write_text("here\n")
        bind = ("--mount", f"type=bind,source={place},target=/seen")
        run = ("run", "-d", "--rm", "--name", "app", "--network", "none", *bind, images.SHELL)
        engine.docker(*run, "sleep", "1000")
        assert engine.docker("exec", "app", "cat", "/seen/file").stdout == "here\n"
        its_own = engine.data / "docker/overlay2"
        assert any(Path(point).parent.parent == its_own for point in leftovers.mounts(its_own))
    finally:
        engine.docker("rm", "-f", "app", check=False)
        leftovers.unmount(place)
        place.rmdir()


@pytest.mark.slow
def test_what_killed_tests_leave_behind_is_found_and_removed(
    release: Release, request: pytest.FixtureRequest
) -> None:
    command = [sys.executable, "-c", KILLED, request.config.getoption("--engine") or ""]
    with subprocess.Popen(command, cwd=SOURCE, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        root = Path(tests.stdout.readline().strip())
        assert root.parent == PLACE
        tests.send_signal(signal.SIGKILL)
    assert remains(root)
    leftovers.sweep(PLACE, PREFIX)
    assert remains(root) == []


def remains(root: Path) -> list[str]:
    """Processes, mounts, control groups and files of the engine whose directory is `root`."""
    groups = Path("/sys/fs/cgroup").glob(f"**{leftovers.cgroup(root)}")
    files = [root] if root.exists() else []
    return [*map(str, (*groups, *files)), *leftovers.mounts(root), *processes(root)]


def processes(root: Path) -> list[str]:
    """Those that name the directory in their command line, or whose root file system is in it."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            command = (proc / "cmdline").read_text(errors="replace")
            mounts = (proc / "mountinfo").read_text(errors="replace").splitlines()
        except OSError:
            continue  # it has ended
        roots = [mount for mount in mounts if mount.split()[4] == "/"]
        if any(f"{root}/" in text for text in (command, *roots)):
            found.append(f"process {proc.name}: {command}")
    return found
