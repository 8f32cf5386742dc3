"""The README, docs/operations.md and docs/python.md: every command in them does what it says.

Each block of these pages is typed by the one function that claims it (`WALKS`), as it stands or in
an equivalent form derived from it. A block that no function claims fails, and so does a line that
its function leaves out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docker.databases.engines import POSTGRES, image
from tests.docker.installed import SOURCE, Installed, wait_for
from tests.docker.readmes import Typist, blocks, shows
from tests.lab import Unavailable
from tests.lab.ports import free_port
from tests.lab.registry import Registry

README = (SOURCE / "README.md").read_text()
PAGES = {
    name: (SOURCE / name).read_text()
    for name in ("README.md", "docs/operations.md", "docs/python.md")
}
BLOCKS = [(page, block) for page, text in PAGES.items() for block in blocks(text)]
WALKS: dict[str, Callable[[Typist], None]] = {}  # by a text that only such blocks have
BIG, SOCKET, URL = "/mnt/big", "unix:///run/dvol/control.sock", "https://github.com/clusterhq/dvol"
SEEDED = "docker exec db psql -h localhost -U postgres -Atc 'SELECT count(*) FROM orders'"
RUIN = """\
import psycopg, pytest

@pytest.mark.parametrize("number", [1, 2])
def test_that_ruins_the_data(database, number):
    with psycopg.connect("host=127.0.0.1 user=postgres") as connection:
        assert connection.execute("DELETE FROM orders").rowcount == 100000
"""


def walks(text: str) -> Callable[[Callable[[Typist], None]], Callable[[Typist], None]]:
    """The function types the blocks that have `text` in them."""

    def claim(walk: Callable[[Typist], None]) -> Callable[[Typist], None]:
        WALKS[text] = walk
        return walk

    return claim


def claims(block: str) -> list[str]:
    return [text for text in WALKS if text in block]


# -- README.md ---------------------------------------------------------------------------------


@walks("postgres:17\n$ until")
def the_first_session(typist: Typist) -> None:
    shown = [line.shown for line in typist.left]
    printed = _type_the_session(typist)
    for one, other in zip(shown, printed, strict=True):
        assert shows(one, other), f"{other!r} does not show {one!r}"


def _type_the_session(typist: Typist, until: int | None = None) -> list[str]:
    """Or its first lines. The Engine of the tests has no network, and its image is from Debian."""
    network = "--network host -e PGDATA=/var/lib/postgresql/data -e PGPORT=" + _port(typist)
    tag = image(typist.installed, POSTGRES)
    printed = [typist.type({"-p 127.0.0.1:5432:5432": network, "postgres:17": tag})]
    while typist.left[: None if until is None else max(0, until - len(printed))]:
        printed.append(typist.type())
    return printed


def _port(typist: Typist) -> str:
    return typist.env.setdefault("PGPORT", str(free_port()))


def _with_orders(typist: Typist) -> None:
    """A PostgreSQL with a table, made by the first lines of the session."""
    session = Typist(typist.installed, typist.place, blocks(README)[0])
    session.env = typist.env
    _type_the_session(session, until=3)


@walks("docker plugin install --alias dvol clusterhq/dvol\npipx")
def the_installation(typist: Typist) -> None:
    with published(typist) as name:
        _type_installation(typist, name, typist.installed.engine.data)
        assert "kept by dvol" in typist.sh(f"{_type_pipx(typist)} version")


def _type_installation(typist: Typist, name: str, data: Path) -> None:
    """From the tests' registry, with the directories of the tests' Engine."""
    line = typist.left.pop(0).command.removesuffix(f" data.source={BIG}")
    sources = f"data.source={data} run.source={typist.installed.engine.run}"
    typist.sh(f"echo y | {line.replace('clusterhq/dvol', name)} {sources}")


def _type_pipx(typist: Typist) -> Path:
    """By pip, in an environment of its own as pipx makes one, and from this clone."""
    environment = typist.place / "pipx"
    if not environment.exists():
        _trust_this_clone(typist)
        typist.sh(f"{sys.executable} -m venv {environment}")
    forms = {
        f"pipx install git+{URL}": f"install git+file://{SOURCE}",
        "pipx upgrade dvol": f"install --upgrade git+file://{SOURCE}",
        "pipx uninstall dvol": "uninstall -y dvol",
    }
    typist.sh(f"{environment}/bin/pip -q {forms[typist.left.pop(0).command]}")
    return environment / "bin/dvol"


def _trust_this_clone(typist: Typist) -> None:
    """git refuses to clone what another user owns."""
    typist.env["HOME"] = str(typist.place)
    (typist.place / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")


@contextmanager
def published(typist: Typist) -> Iterator[str]:
    """The plugin's name in a registry, and an Engine without it; afterwards it has it again."""
    installed = typist.installed
    try:
        registry = Registry()
    except Unavailable as reason:
        pytest.skip(str(reason))
    with registry, as_before(installed):
        installed.make("push", f"REGISTRY={registry.address}")
        installed.make("uninstall")
        yield f"{registry.address}/clusterhq/dvol"


@contextmanager
def as_before(installed: Installed) -> Iterator[None]:
    """Whatever happens to the plugin, the next test finds it as `make install` leaves it."""
    try:
        yield
    finally:
        for words in (("disable", "-f"), ("rm", "-f")):
            installed.engine.docker("plugin", *words, "dvol", check=False)
        installed.make("install")


@walks("dvol init frob_mysql")
def the_first_steps_print_hello(typist: Typist) -> None:
    assert typist.type_all()[-1] == "hello\n"


@walks("dvol checkout -b experiment")
def the_everyday_commands(typist: Typist) -> None:
    """The lines stand in an order in which they can be typed."""
    typist.installed.dvol("init", "frob_mysql")
    for number in range(3):
        typist.installed.dvol("commit", "-m", str(number))
    printed = typist.type_all()
    assert "* frob_mysql" in printed[0]
    assert "master" in typist.installed.dvol("branch").stdout


@walks("old_db:/from")
def the_data_of_a_volume_of_dockers_own_is_brought_in(typist: Typist) -> None:
    write = "docker run --rm -v old_db:/data busybox sh -c 'echo old > /data/file'"
    typist.sh(write)
    typist.type_all()
    assert typist.installed.container("shop_db", "cat /data/file") == "old\n"
    assert "as it was" in typist.installed.dvol("log", "shop_db").stdout


@walks("from dvol.pytest_plugin import volumes")
def ruinous_tests_find_the_seed(typist: Typist) -> None:
    _with_orders(typist)
    assert "`dvol commit -m seed shop_db`" in README
    typist.installed.dvol("commit", "-m", "seed", "shop_db")
    conftest, _, tests = typist.text().partition("# test_orders.py\n")
    (typist.place / "conftest.py").write_text(conftest)
    (typist.place / "test_orders.py").write_text(tests)
    (typist.place / "test_ruin.py").write_text(RUIN)
    printed = typist.sh(f"{sys.executable} -m pytest -p no:cacheprovider")
    assert f"{3 if tests else 2} passed" in printed


@walks("services:")
def a_project_of_compose(typist: Typist) -> None:
    with _project(typist):
        assert " shop_db " in typist.installed.dvol("list").stdout


@contextmanager
def _project(typist: Typist) -> Iterator[None]:
    """The project `shop`, of the README's block."""
    block = next(block for block in blocks(README) if "services:" in block)
    yaml = typist if typist.block == block else Typist(typist.installed, typist.place, block)
    settings = f"{{PGPORT: {_port(typist)}, PGDATA: /var/lib/postgresql/data}}"
    own = f'"{image(typist.installed, POSTGRES)}", network_mode: host, environment: {settings}'
    directory = typist.place / "shop"
    directory.mkdir()
    (directory / "compose.yaml").write_text(yaml.text({'"postgres:17"': own}))
    compose = f"docker-compose -f {directory}/compose.yaml"
    typist.sh(f"{compose} up -d")
    try:
        yield
    finally:
        typist.sh(f"{compose} down")


@walks("--project shop")
def all_volumes_of_a_project(typist: Typist) -> None:
    exec_ = "docker-compose -f shop/compose.yaml exec -T db psql -h localhost -U postgres -Atc"
    with _project(typist):
        wait_for(lambda: _succeeds(typist, f"{exec_} 'SELECT 1'"), "PostgreSQL answers")
        typist.sh(f"{exec_} 'CREATE TABLE users AS SELECT 1'")
        typist.type()
        typist.sh(f"{exec_} 'DROP TABLE users'")
        typist.type()
        wait_for(lambda: _succeeds(typist, f"{exec_} 'SELECT * FROM users'"), "the table is back")


def _succeeds(typist: Typist, command: str) -> bool:
    done = subprocess.run(
        ["sh", "-c", command], env=typist.env, cwd=typist.place, capture_output=True
    )
    return done.returncode == 0


# -- docs/operations.md ------------------------------------------------------------------------


@walks("git clone")
def a_clone(typist: Typist) -> None:
    _trust_this_clone(typist)
    typist.type({URL: f"-q file://{SOURCE} dvol", "cd dvol": "cd dvol && test -f Makefile"})


@walks("DVOL_LOG_LEVEL")
def more_is_logged(typist: Typist) -> None:
    with as_before(typist.installed):
        mark = len(typist.installed.engine.logs())
        typist.type_all()
        typist.installed.dvol("list")
        assert "DEBUG" in typist.installed.engine.logs()[mark:]


def _a_volume(typist: Typist) -> Path:
    """A volume with data; returns a directory for what the page calls /mnt/big."""
    typist.installed.container("shop_db", "echo precious > /data/file")
    typist.installed.dvol("commit", "-m", "one", "shop_db")
    big = typist.place / "big"
    big.mkdir()
    return big


def _precious(typist: Typist) -> bool:
    return typist.installed.container("shop_db", "cat /data/file") == "precious\n"


@walks("clusterhq/dvol data.source=")
def another_directory_from_a_registry(typist: Typist) -> None:
    big = typist.place / "big"
    big.mkdir()
    with published(typist) as name:
        _type_installation(typist, name, big)
        typist.sh("docker volume create -d dvol shop_db")
        assert (big / "dvol/volumes/shop_db").is_dir()
        typist.installed.clear()


@walks("make install DATA=")
def another_directory_from_a_clone(typist: Typist) -> None:
    big = typist.place / "big"
    big.mkdir()
    with as_before(typist.installed):
        typist.installed.make("uninstall")
        typist.type({BIG: str(big)})
        typist.installed.dvol("init", "shop_db")
        assert (big / "dvol/volumes/shop_db").is_dir()
        typist.installed.clear()


@walks("cp -a /var/lib/dvol")
def moving_the_data(typist: Typist) -> None:
    big = _a_volume(typist)
    here = str(typist.installed.engine.data / "dvol")
    with as_before(typist.installed):
        typist.type_all({"/var/lib/dvol": here, BIG: str(big)})
        assert _precious(typist)
        shutil.rmtree(here)
        typist.installed.dvol("reset", "--hard", "HEAD", "shop_db")
        assert _precious(typist)
        typist.installed.clear()


@walks("docker plugin upgrade")
def upgrading(typist: Typist) -> None:
    with published(typist) as name:
        big = typist.place / "big"
        big.mkdir()
        sources = f"data.source={big} run.source={typist.installed.engine.run}"
        install = f"docker plugin install --alias dvol {name} {sources}"
        typist.sh(f"echo y | {install}")
        typist.sh("docker run --rm -v shop_db:/data --volume-driver dvol busybox touch /data/file")
        typist.type()
        typist.type({"docker plugin upgrade": "echo y | docker plugin upgrade"})
        typist.type({f"data.source={BIG}": sources})
        typist.type()
        assert "kept by dvol" in typist.sh(f"{_type_pipx(typist)} version")
        typist.sh("docker run --rm -v shop_db:/data busybox ls /data/file")
        typist.installed.clear()


@walks("docker plugin disable -f dvol\ndocker plugin enable dvol")
def disabling(typist: Typist) -> None:
    _a_volume(typist)
    typist.installed.start("shop_db", "app")
    typist.type()
    assert typist.installed.dvol("list", check=False).returncode == 9
    assert typist.sh("docker exec app cat /data/file") == "precious\n"
    typist.type()
    assert "shop_db" in typist.installed.dvol("list").stdout


@walks("make uninstall")
def uninstalling(typist: Typist) -> None:
    _a_volume(typist)
    with as_before(typist.installed):
        assert "shop_db" in typist.type()
        assert typist.installed.listed() == []
        assert (typist.installed.pool / "shop_db/branches/master/file").is_file()


@walks("pipx uninstall")
def uninstalling_what_pipx_installed(typist: Typist) -> None:
    installation = Typist(typist.installed, typist.place, f"pipx install git+{URL}")
    command = _type_pipx(installation)
    assert command.exists()
    _type_pipx(typist)
    assert not command.exists()


@walks("make exec")
def the_command_inside_the_plugin(typist: Typist) -> None:
    typist.installed.dvol("init", "shop_db")
    assert "shop_db" in typist.type()


@walks("runc --root")
def the_same_by_runc(typist: Typist) -> None:
    """But for where this Engine keeps its state."""
    typist.installed.dvol("init", "shop_db")
    assert "shop_db" in typist.type({"/run/docker/": f"{typist.installed.engine.exec_root}/"})


@walks("export DVOL_HOST")
def another_socket(typist: Typist) -> None:
    typist.installed.dvol("init", "shop_db")
    socket = typist.env.pop("DVOL_HOST")
    assert "* shop_db" in typist.type_as_one({SOCKET: socket})


@walks("dvol --pool")
def without_a_server(typist: Typist) -> None:
    pool = typist.place / "pool"
    assert "empty" in typist.type_all({"/srv/pool": str(pool)})[-1]
    assert (pool / "shop_db/branches/master").is_dir()


@walks("dvol config shop_db ready.exec")
def when_a_container_is_ready(typist: Typist) -> None:
    _a_volume(typist)
    typist.installed.start("shop_db", "app")
    typist.type()
    done = typist.installed.dvol("reset", "--hard", "HEAD", "shop_db")
    assert "no ready check" not in done.stderr
    typist.type_all()
    assert typist.installed.dvol("config", "shop_db", "ready.exec").stdout == "\n"
    assert typist.installed.dvol("config", "shop_db", "ready.port").stdout == "8080\n"


@walks("dvol.exec.pre-commit")
def a_command_before_a_commit(typist: Typist) -> None:
    network = "--network host -e PGDATA=/var/lib/postgresql/data -e PGPORT=" + _port(typist)
    tag = image(typist.installed, POSTGRES)
    printed = typist.type_all({"postgres:17": f"{tag}", "-e POSTGRES": f"{network} -e POSTGRES"})
    assert "ran dvol.exec.pre-commit of /db" in printed[-1]
    log = typist.sh("docker logs db")
    assert "checkpoint" in log


@walks("dvol restore ENTRY")
def what_was_discarded(typist: Typist) -> None:
    _a_volume(typist)
    typist.installed.container("shop_db", "echo other > /data/file")
    typist.installed.dvol("reset", "--hard", "HEAD", "shop_db")
    typist.installed.dvol("init", "old_db")
    typist.installed.dvol("rm", "-f", "old_db")
    listed = typist.type().splitlines()
    removed, reset = (
        next(one for one in listed if what in one).split()[0]
        for what in ("old_db", "state of shop_db/master before reset")
    )
    typist.type({"ENTRY": removed})
    typist.type({"ENTRY NAME": f"{reset} experiment"})
    assert "old_db" in typist.installed.dvol("list").stdout
    assert "experiment" in typist.installed.dvol("branch", "shop_db").stdout
    typist.type_all({"ENTRY": reset})
    assert len(typist.installed.dvol("restore").stdout.splitlines()) == 1  # the heading


@walks("make cli")
def the_command_as_one_file(typist: Typist) -> None:
    assert typist.type_all({"build/dvol": f"{SOURCE}/build/dvol"})[-1].startswith("dvol ")


# -- docs/python.md ----------------------------------------------------------------------------


@walks('"with users", "Ann')
def the_first_verbs(typist: Typist) -> None:
    _a_volume(typist)
    _run_python(typist, {SOCKET: typist.env["DVOL_HOST"]})


@walks("import ContainerOptions")
def options_and_progress(typist: Typist) -> None:
    _a_volume(typist)
    typist.installed.start("shop_db", "app")
    assert "paused /app" in _run_python(typist, {SOCKET: typist.env["DVOL_HOST"]})


@walks('pool="/srv/pool"')
def an_engine_in_this_process(typist: Typist) -> None:
    _run_python(typist, {"/srv/pool": str(typist.place / "pool")})


@walks("except VolumeNotFound")
def a_refusal(typist: Typist) -> None:
    _run_python(typist, {SOCKET: typist.env["DVOL_HOST"]})


def _run_python(typist: Typist, replaced: dict[str, str]) -> str:
    (typist.place / "page.py").write_text(typist.text(replaced))
    return typist.sh(f"{sys.executable} page.py")


# -- each of them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [pytest.param(block, id=f"{page}: {block.splitlines()[0]}") for page, block in BLOCKS],
)
def test_a_block_does_what_it_says(block: str, installed: Installed, tmp_path: Path) -> None:
    [text] = claims(block)
    typist = Typist(installed, tmp_path, block)
    WALKS[text](typist)
    assert typist.left == []


def test_each_block_is_claimed_once_and_each_claim_is_of_use() -> None:
    """Also where there is no Engine."""
    assert {block: len(claims(block)) for _, block in BLOCKS} == {block: 1 for _, block in BLOCKS}
    assert {text for _, block in BLOCKS for text in claims(block)} == set(WALKS)
