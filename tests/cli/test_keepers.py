"""Which keeper a command means: a pool on this disk, or a server behind a socket."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from dvol.engine.local import LocalEngine
from tests.cli.conftest import on_disk, run
from tests.contract.locking import lock, locked
from tests.contract.places import Keeper, Server, environment, eventually

COMMIT = ["commit", "-m", "x", "v"]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """A pool with a volume `here`."""
    LocalEngine(tmp_path / "pool").init("here")
    return tmp_path / "pool"


@pytest.fixture
def url(server: Server) -> str:
    """A server that keeps a volume `there`."""
    pool = LocalEngine(server.pool)
    for volume in pool.volumes():
        pool.rm(volume.name)
    pool.init("there")
    return f"unix://{server.control}"


def listed(*argv: str, **variables: str) -> str:
    return run(*argv, "list", **variables).well().split()[-2]


@pytest.mark.parametrize("option", ["-p", "--pool", "--path"])
def test_a_pool_in_the_command_is_kept_by_the_command(pool: Path, url: str, option: str) -> None:
    assert listed(option, str(pool)) == "here"
    assert listed(option, str(pool), DVOL_HOST=url) == "here"
    assert listed(f"{option}{'' if option == '-p' else '='}{pool}") == "here"


@pytest.mark.parametrize("option", ["-H", "--host"])
def test_a_host_in_the_command_is_asked(url: str, option: str) -> None:
    assert listed(option, url) == "there"
    assert listed(option, url, DVOL_HOST="unix:///nowhere") == "there"
    assert listed(option, url.removeprefix("unix://")) == "there"


def test_a_host_in_the_environment_is_asked(url: str) -> None:
    assert listed(DVOL_HOST=url) == "there"


def test_options_stand_before_or_after_the_command(pool: Path) -> None:
    assert run("list", "-p", str(pool)).well() == run("-p", str(pool), "list").well()


def test_a_relative_pool_is_meant_from_here(pool: Path) -> None:
    assert "here" in run("-p", pool.name, "list", cwd=pool.parent).well()


# -- the default, in a mount namespace where /run and /var/lib are ours -------------------------


def by_default(
    run_directory: Path, lib: Path, *argv: str, python: Sequence[str] = (sys.executable,)
) -> subprocess.CompletedProcess:
    """The command without a word on the keeper, where /run and /var/lib are other directories."""
    script = 'mount --bind "$1" /run && mount --bind "$2" /var/lib && shift 2 && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(run_directory), str(lib)]
    return subprocess.run(
        [*command, *python, "-m", "dvol", *argv],
        env=environment(),
        capture_output=True,
        text=True,
        cwd="/",
    )


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A /var/lib whose default pool has a volume `default`."""
    LocalEngine(tmp_path / "dvol" / "volumes").init("default")
    return tmp_path


@pytest.mark.root
def test_the_server_is_found_by_its_socket(library: Path, server: Server, url: str) -> None:
    done = by_default(server.run, library, "list")
    assert ("there" in done.stdout, done.returncode) == (True, 0), done.stderr


@pytest.mark.root
def test_a_server_that_does_not_answer_is_never_done_without(
    library: Path, short_dir: Path
) -> None:
    (short_dir / "dvol").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short_dir / "dvol" / "control.sock"))
    done = by_default(short_dir, library, "list")
    assert (done.returncode, done.stdout) == (9, "")
    assert "/run/dvol/control.sock" in done.stderr


@pytest.mark.root
def test_without_a_server_the_default_pool_is_kept(library: Path, short_dir: Path) -> None:
    done = by_default(short_dir, library, "list")
    assert ("default" in done.stdout, done.returncode) == (True, 0), done.stderr


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["as the plugin makes it", "a disk's own"])
def test_who_may_not_enter_the_default_pool_is_told_of_the_server(
    library: Path, nobody: list[str], mode: int
) -> None:
    """Whoever may use Docker has the plugin, when it is enabled; the data is root's alone."""
    library.chmod(0o755)
    (library / "dvol").chmod(mode)
    with tempfile.TemporaryDirectory() as empty:
        Path(empty).chmod(0o755)
        done = by_default(Path(empty), library, "list", python=nobody)
    assert (done.returncode, done.stdout) == (9, "")
    assert "is the plugin enabled" in done.stderr


# -- waiting and interrupting ------------------------------------------------------------------


def waiting(keeper: Keeper) -> subprocess.Popen:
    """A commit that waits for the volume's lock, and has said so."""
    # whoever started the tests in the background had SIGINT ignored
    command = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-m",
        "dvol",
        *keeper.options,
        *COMMIT,
    ]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("dvol: waiting")
    return process


def test_who_waits_is_told_what_for_and_goes_on(volume: Keeper) -> None:
    with locked(lock(volume.pool)):
        process = waiting(volume)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out == volume.engine.log("v")[0].id + "\n"


@on_disk
def test_an_interrupted_command_says_so_and_changes_nothing(volume: Keeper) -> None:
    with locked(lock(volume.pool)):
        process = waiting(volume)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "dvol: interrupted\n")
    assert len(volume.engine.log("v")) == 2


@pytest.mark.parametrize("keeper", ["socket"], indirect=True)
def test_an_interrupted_client_says_that_the_verb_goes_on(volume: Keeper) -> None:
    with locked(lock(volume.pool)):
        process = waiting(volume)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        assert process.returncode == 130
        assert len(err.splitlines()) == 1
        assert "server" in err
    eventually(lambda: len(volume.engine.log("v")) == 3)


# -- Docker ------------------------------------------------------------------------------------


@on_disk
def test_a_docker_that_is_named_must_be_there(volume: Keeper, tmp_path: Path) -> None:
    """A mistyped one must not mean that no container is asked for."""
    done = run("-p", str(volume.pool), *COMMIT, DOCKER_HOST=f"unix://{tmp_path}/docker.sock")
    assert done.code == 6


@on_disk
def test_a_docker_that_does_not_answer_is_refused_unless_it_is_not_to_be_asked(
    volume: Keeper, short_dir: Path
) -> None:
    path = short_dir / "docker.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    host = f"unix://{path}"
    for argv in (COMMIT, ["reset", "--hard", "HEAD", "v"], ["rm", "-f", "v"], ["checkout", "side"]):
        text = run("-p", str(volume.pool), *argv, DOCKER_HOST=host).refused(6)
        assert "--disable-docker-integration" in text
    for argv in (["log", "v"], ["branch", "v"]):
        run("-p", str(volume.pool), *argv, DOCKER_HOST=host).well()
    listed = run("-p", str(volume.pool), "list", DOCKER_HOST=host)
    assert (listed.code, listed.out.split()[-3:]) == (0, ["*", "v", "master"])
    assert "warning: cannot ask Docker" in listed.err
    off = "--disable-docker-integration"
    run(off, "-p", str(volume.pool), *COMMIT, DOCKER_HOST=host).well()
    assert os.path.lexists(path)
