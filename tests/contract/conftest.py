"""Keepers and file systems: each test runs on every pair. Also the volumes that tests begin with.

A file system is mounted once per session; each test gets a directory of its own on it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dvol.backends import Backend, choose
from dvol.engine import Engine
from dvol.engine.local import LocalEngine
from dvol.engine.remote import RemoteEngine
from dvol.model import DEFAULTS, Commit, ContainerOptions
from dvol.tree.delete import delete_tree
from tests.contract.places import SOURCE, Keeper, Server, emptied, serving
from tests.contract.verbs import ANN, commit, state
from tests.lab import Unavailable
from tests.lab.filesystems import mounted
from tests.protocol.standin import Engine as DockerEngine
from tests.protocol.standin import standing_in

DISKS = [
    "dir",
    *(pytest.param(kind, marks=pytest.mark.root) for kind in ("ext4", "xfs", "btrfs", "tmpfs")),
]
# For refusals that do not depend on the file system: one kind is enough.
anywhere = pytest.mark.parametrize("filesystem", ["dir"], indirect=True, scope="session")
# The file systems on which an index vouches for files, and commits share inodes.
indexed = pytest.mark.parametrize(
    "filesystem",
    [pytest.param(kind, marks=pytest.mark.root) for kind in ("ext4", "xfs")],
    indirect=True,
    scope="session",
)
KEEPERS = ["disk", "socket"]


@pytest.fixture(scope="session", params=DISKS)
def filesystem(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The root of a file system: whatever /tmp is on, or a fresh one of the kind named."""
    if request.param == "dir":
        yield tmp_path_factory.mktemp("dir")
        return
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with ExitStack() as undo:
        try:
            root = undo.enter_context(mounted(request.param, 512 << 20))
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield root


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of the file system: ext4, xfs and so on, "dir" for whatever /tmp is on."""
    return str(request.node.callspec.params["filesystem"])


@pytest.fixture
def place(filesystem: Path) -> Iterator[Path]:
    """A fresh directory on the file system, gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="t", dir=filesystem))
    yield place
    delete_tree(place)


# a clone may lie where only root may go, /root for one: in a mount namespace it is elsewhere, too
AS_NOBODY = """\
mount --bind "$2" "$1/source" && mount --bind "$3" "$1/python" && export PYTHONPATH="$1/source" &&
python="$1/python/bin/python3" && shift 3 &&
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$python" "$@"
"""


@pytest.fixture
def nobody() -> Iterator[list[str]]:
    """What runs Python, with dvol, as a user without rights; for tests that run as root."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        for name in ("source", "python"):
            (Path(place) / name).mkdir()
        words = ["unshare", "--mount", "sh", "-c", AS_NOBODY, "sh", place, str(SOURCE), sys.prefix]
        probe = [*words, "-c", "import dvol.cli.main, docopt"]
        if subprocess.run(probe, capture_output=True, cwd="/").returncode:
            pytest.skip("nobody may not run this Python")
        yield words


@pytest.fixture
def mounted_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is mounted in a tree is mounted only once dvol has looked whether anything is."""
    monkeypatch.setattr("dvol.fs.mountinfo.refuse", lambda tree: None)


@pytest.fixture(scope="session")
def server(filesystem: Path) -> Iterator[Server]:
    """One server for all tests on a file system: it keeps nothing between two calls, so each
    test may have its pool for itself by emptying it first."""
    sockets = Path(tempfile.mkdtemp(prefix="dv", dir="/tmp"))
    with serving(sockets, Path(tempfile.mkdtemp(prefix="s", dir=filesystem))) as server:
        yield server
    delete_tree(sockets)


@pytest.fixture(params=KEEPERS)
def keeper(request: pytest.FixtureRequest, place: Path) -> Keeper:
    """A keeper of a pool that is empty, or not there yet."""
    if request.param == "disk":
        return on_disk(place / "volumes")
    server = request.getfixturevalue("server")
    emptied(server.pool)
    return over(server)


@pytest.fixture
def engine(keeper: Keeper) -> Engine:
    """The engine of a pool with one volume, `v`."""
    keeper.engine.init("v")
    return keeper.engine


@pytest.fixture
def tree(keeper: Keeper, engine: Engine) -> Path:
    """The live tree of `v` on `master`."""
    return keeper.tree("v")


@pytest.fixture
def three(engine: Engine, tree: Path) -> list[Commit]:
    """The commits 1, 2 and 3 of `v`, each with that content."""
    done = []
    for text in ("1", "2", "3"):
        state(tree, text)
        done.append(commit(engine, text))
    return done


@pytest.fixture
def shared(engine: Engine, keeper: Keeper, tree: Path) -> Engine:
    """`master` was reset away from the commit `2`, which `side` still has; `side` is current."""
    state(tree, "1")
    commit(engine, "1")
    state(tree, "2")
    commit(engine, "2")
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.reset("v", "HEAD^")
    return engine


@pytest.fixture
def two_volumes(keeper: Keeper) -> Keeper:
    """The volumes `v` and `w`; `v` has a commit, a discarded state, and a second branch `side`."""
    keeper.engine.init("w")
    keeper.engine.init("v")
    keeper.engine.commit("v", "x", ANN)
    (keeper.tree("v") / "file").touch()
    keeper.engine.reset("v")
    keeper.engine.branch("v", "side")
    keeper.engine.checkout("v", "master")
    return keeper


@pytest.fixture
def backend(place: Path) -> Backend:
    """The backend that dvol chooses for the file system."""
    return choose(place)


Keep = Callable[[Path], Keeper]


@pytest.fixture(params=KEEPERS)
def keep(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[Keep]:
    """Makes a keeper of the pool that lies in `volumes` of a given directory, as it is."""
    with ExitStack() as undo:

        def make(data: Path) -> Keeper:
            if request.param == "disk":
                return on_disk(data / "volumes")
            return over(undo.enter_context(serving(short_dir, data)))

        yield make


def on_disk(pool: Path) -> Keeper:
    return Keeper("disk", LocalEngine(pool), pool, ["--pool", str(pool)])


def over(server: Server) -> Keeper:
    url = f"unix://{server.control}"
    return Keeper("socket", RemoteEngine(url), server.pool, ["--host", url])


@pytest.fixture
def docker(short_dir: Path) -> Iterator[DockerEngine]:
    """A stand-in for Docker."""
    with standing_in(short_dir / "docker.sock") as engine:
        yield engine


@pytest.fixture
def told() -> list[str]:
    """What the pool of `open_pool` has told its user."""
    return []


@pytest.fixture
def open_pool(docker: DockerEngine, tmp_path: Path, told: list[str]) -> Callable[..., LocalEngine]:
    """A pool in this process with volumes `v` and `w`, and Docker beside it."""

    def opened(options: ContainerOptions = DEFAULTS) -> LocalEngine:
        return LocalEngine(tmp_path / "pool", docker.asked_by(), told.append, options=options)

    for name in ("v", "w"):
        opened().init(name)
        (tmp_path / f"pool/{name}/branches/master/file").touch()
    return opened
