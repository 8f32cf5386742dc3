"""People's door: every verb, as a stream of JSON lines."""

import inspect
import json
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from dvol.engine import PROTOCOL, Engine
from dvol.engine.local import LocalEngine
from dvol.engine.remote import RemoteEngine
from dvol.errors import DockerUnusable, DvolError, ServerGone, VolumeInUse
from dvol.model import as_plain
from tests.contract.locking import lock, locked
from tests.contract.places import Server, eventually, serving
from tests.protocol.conftest import ANN, Ask, tree
from tests.protocol.standin import container, standing_in
from tests.protocol.wire import as_docker, dial, exchange, parsed, post, question

VERBS = [name for name, one in vars(Engine).items() if inspect.isfunction(one) and name[0] != "_"]
COMMIT = question(volume="v", message="x", author=ANN)


def error(server: Server, verb: str, asked: object) -> dict:
    (line,) = post(server.control, verb, asked)
    return line["error"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_the_promise_is_served(server: Server, pool: LocalEngine, verb: str) -> None:
    (line,) = post(server.control, verb, {"protocol": PROTOCOL, "arguments": {"nonsense": "x"}})
    assert line["error"]["Error"] == "InvalidRequest"


def test_results_are_plain_json(server: Server, pool: LocalEngine) -> None:
    commit = pool.log("v")[0]
    assert post(server.control, "log", question(volume="v")) == [{"result": [as_plain(commit)]}]
    assert post(server.control, "active", question()) == [{"result": "v"}]
    assert post(server.control, "rm", question(volume="v")) == [{"result": None}]


@pytest.mark.parametrize(
    "verb",
    ["frob", "_find", "__init__", "create", "remove", "mount", "recover", "sweep", "commit%00"],
)
def test_what_is_no_verb_is_unknown(server: Server, pool: LocalEngine, verb: str) -> None:
    assert error(server, verb, question(volume="v"))["Error"] == "UnknownVerb"
    assert [one.name for one in pool.volumes()] == ["v"]


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff",
        {},
        {"arguments": {"volume": "v"}},
        {"protocol": "1", "arguments": {"volume": "v"}},
        {"protocol": None, "arguments": {"volume": "v"}},
        question(),
        question(volume="v", message="x"),
        question(volume="v", message="x", author=ANN, force="x"),
        question(volume=7, message="x", author=ANN),
        question(volume=None, message="x", author=ANN),
        question(volume=["v"], message="x", author=ANN),
        question(volume=True, message="x", author=ANN),
        question(volume="v", message="x", author=ANN, full="true"),
        question(volume="v", message="x", author=ANN, full=1),
        question(volume="v", message="x", author=ANN, full=None),
        question(volume="v", message="x", author=ANN, self="x"),
        {"protocol": PROTOCOL, "arguments": ["v", "x", ANN]},
        {"protocol": PROTOCOL, "arguments": "v"},
        {"protocol": PROTOCOL, "arguments": None},
    ],
    ids=repr,
)
def test_bad_arguments_are_refused_and_change_nothing(
    server: Server, pool: LocalEngine, asked: object
) -> None:
    assert error(server, "commit", asked)["Error"] == "InvalidRequest"
    assert len(pool.log("v")) == 1


def test_booleans_are_taken_where_they_are_meant(server: Server, pool: LocalEngine) -> None:
    (line,) = post(server.control, "commit", question(**COMMIT["arguments"], full=True))
    assert line["result"]["message"] == "x"
    assert post(server.control, "gc", question(now=True, dry_run=False)) == [{"result": []}]
    assert post(server.control, "fsck", question(volume="v", repair=False)) == [{"result": []}]


def test_what_was_discarded_is_plain_json(server: Server, pool: LocalEngine) -> None:
    (tree(server) / "file").write_text("discarded")
    pool.reset("v")
    (line,) = post(server.control, "discarded", question())
    (found,) = line["result"]
    assert {"verb": "reset", "volume": "v", "branch": "master"}.items() <= found.items()
    asked = question(entry=found["entry"], name="old")
    assert post(server.control, "restore", asked) == [{"result": {"volume": "v", "branch": "old"}}]
    assert post(server.control, "undo", question(volume="v"))[-1]["result"] == (
        as_plain(pool.log("v")[0])
    )


def test_what_a_verb_discards_for_good_is_swept_behind_it(
    server: Server, pool: LocalEngine
) -> None:
    """Its answer does not wait for that."""
    for text in range(12):
        (tree(server) / "file").write_text(str(text))
        post(server.control, "reset", question(volume="v"))
    eventually(lambda: os.listdir(server.pool / ".dvol" / "garbage") == [])
    assert len(pool.discarded()) == 10


def test_what_is_asked_at_any_length_is_logged_in_short(server: Server, pool: LocalEngine) -> None:
    """A line of 64 KiB would end the log of a managed plugin, and then the plugin."""
    long = "x" * 100_000
    for arguments in ({"volume": "v", "revision": long}, {"volume": long}):
        with pytest.raises(DvolError) as refusal:
            RemoteEngine(f"unix://{server.control}").reset(**arguments)
        assert len(str(refusal.value)) < 5000
    assert max(map(len, server.log.read_text().splitlines())) < 5000


def test_a_newer_protocol_is_refused(server: Server, pool: LocalEngine) -> None:
    refused = error(server, "commit", {**COMMIT, "protocol": PROTOCOL + 1})
    assert refused["Error"] == "NewerProtocol"
    assert str(PROTOCOL + 1) in refused["Err"]
    assert len(pool.log("v")) == 1


def test_an_older_protocol_is_refused(server: Server, pool: LocalEngine) -> None:
    """It called the options of containers `wishes`: these must not be overlooked."""
    older = {**COMMIT, "protocol": PROTOCOL - 1, "wishes": {"mode": "live"}}
    refused = error(server, "commit", older)
    assert refused["Error"] == "Unsupported"  # whose exit code, 6, an older command knows
    assert "upgrade the command" in refused["Err"]
    assert len(pool.log("v")) == 1
    renamed = error(server, "commit_together", {"protocol": PROTOCOL - 1})
    assert "upgrade the command" in renamed["Err"]


def test_a_refusal_comes_with_its_class_and_subjects(server: Server, pool: LocalEngine) -> None:
    assert error(server, "get", question(volume="nope")) == {
        "Err": "Volume 'nope' does not exist; 'dvol list' shows those that do",
        "Error": "VolumeNotFound",
        "Subject": ["nope"],
    }


def test_what_is_waited_for_is_told_before_the_result(server: Server, pool: LocalEngine) -> None:
    """Line by line, as it happens: the first is here while the lock is still held."""
    body = json.dumps(COMMIT).encode()
    with dial(server.control) as client, client.makefile("rb") as answer:
        with locked(lock(server.pool)):
            client.sendall(as_docker("dvol/commit", body))
            lines = (line for line in answer if line.startswith(b'{"'))
            assert "waiting" in json.loads(next(lines))["progress"]
        rest = [json.loads(line) for line in lines]
    assert rest[-1]["result"]["message"] == "x"
    assert all("progress" in line for line in rest[:-1])


def test_a_client_that_goes_away_leaves_the_verb_running(server: Server, pool: LocalEngine) -> None:
    body = json.dumps(COMMIT).encode()
    with locked(lock(server.pool)), dial(server.control) as client:
        client.sendall(as_docker("dvol/commit", body))
        while b"progress" not in client.recv(65536):
            pass
    eventually(lambda: len(pool.log("v")) == 2)


def test_a_client_learns_that_the_server_died(
    short_dir: Path, filesystem: Path, tmp_path: Path
) -> None:
    """And is told that what it asked may have been done."""
    with serving(short_dir, tmp_path) as server:
        pool = LocalEngine(server.pool)
        pool.init("v")

        def kill(text: str) -> None:
            server.kill()

        with locked(lock(server.pool)), pytest.raises(ServerGone, match="dvol log") as refusal:
            RemoteEngine(f"unix://{server.control}", on_progress=kill).commit("v", "x", ANN)
        assert refusal.value.exit_code == 9


def test_people_may_reach_it_who_may_reach_docker(tmp_path: Path, short_dir: Path) -> None:
    """Same group as Docker's socket, mode 0660; so no sudo, and nobody else."""
    (short_dir / "run").mkdir()
    group = 1234 if os.geteuid() == 0 else os.getegid()
    with standing_in(short_dir / "run" / "docker.sock"):
        os.chown(short_dir / "run" / "docker.sock", -1, group)
        with serving(short_dir, tmp_path) as server:
            status = server.control.stat()
            assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o660, group)
            assert stat.S_IMODE(server.socket.stat().st_mode) & 0o007 == 0


@pytest.mark.root
def test_a_stranger_does_not_reach_it(server: Server, pool: LocalEngine) -> None:
    for path in (server.run.parent, server.run, server.control.parent):
        path.chmod(0o755)
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "python3", "-c"]
    for path in (server.control, server.socket):
        done = subprocess.run([*nobody, script, path], capture_output=True, text=True, cwd="/")
        assert "Permission denied" in done.stderr


def test_each_door_knows_its_own_calls_only(server: Server, docker: Ask, pool: LocalEngine) -> None:
    assert docker("dvol/volumes").status == 404
    raw = exchange(server.control, as_docker("VolumeDriver.List", b"{}"))
    assert parsed(raw).status == 404


# -- containers, asked of a stand-in for Docker ------------------------------------------------


@pytest.fixture
def engine(server: Server, pool: LocalEngine):
    """Docker, as far as dvol asks it."""
    with standing_in(server.run / "docker.sock") as engine:
        yield engine
    (server.run / "docker.sock").unlink()


def client_of(server: Server, docker: bool = True) -> RemoteEngine:
    return RemoteEngine(f"unix://{server.control}", docker=docker)


@pytest.mark.parametrize("state", ["running", "paused", "restarting", "exited", "created"])
def test_a_volume_that_a_container_has_is_not_removed(
    server: Server, pool: LocalEngine, engine, state: str
) -> None:
    (tree(server) / "file").write_text("in use")
    engine.containers = [container("db", "v", state), container("other", "w")]
    with pytest.raises(VolumeInUse, match="'v' while it is in use by '/db'") as refusal:
        client_of(server).rm("v")
    assert refusal.value.exit_code == 4
    assert (tree(server) / "file").read_text() == "in use"


def test_all_its_users_are_named(server: Server, pool: LocalEngine, engine) -> None:
    engine.containers = [container("b", "v"), container("a", "v"), container("c", "v", "exited")]
    with pytest.raises(VolumeInUse, match="'/a,/b,/c'"):
        client_of(server).rm("v")


def test_a_container_with_a_namesake_of_the_volume_is_no_user(
    server: Server, pool: LocalEngine, engine
) -> None:
    """Docker's filter also finds a bind mount of that path, and the local driver's volumes."""
    engine.containers = [
        container("bound", "x", Type="bind", Name="", Source="v", Driver=""),
        container("local", "v", Driver="local"),
    ]
    client_of(server).commit("v", "x", ANN)
    client_of(server).rm("v")


@pytest.mark.parametrize("driver", ["dvol:latest", "clusterhq/dvol:latest", "127.0.0.1:5000/x:1"])
def test_the_plugin_may_have_any_name(
    server: Server, pool: LocalEngine, engine, driver: str
) -> None:
    engine.containers = [container("db", "v", Driver=driver)]
    with pytest.raises(VolumeInUse):
        client_of(server).rm("v")


def test_by_the_users_own_word_docker_is_not_asked(
    server: Server, pool: LocalEngine, engine
) -> None:
    engine.containers = [container("db", "v")]
    client_of(server, docker=False).commit("v", "x", ANN)
    assert engine.asked == []


def test_reading_one_volume_asks_docker_nothing(server: Server, pool: LocalEngine, engine) -> None:
    client = client_of(server)
    client.get("v"), client.log("v"), client.branches("v"), client.active()
    assert engine.asked == []


def test_dockers_own_calls_ask_docker_nothing(
    server: Server, docker: Ask, pool: LocalEngine, engine
) -> None:
    """It holds locks while it waits for our answer: it would wait for itself."""
    engine.hangs = True
    for call in ("Create", "Get", "List", "Mount", "Unmount", "Path", "Capabilities", "Remove"):
        assert docker(f"VolumeDriver.{call}", Name="v", ID="x").status == 200
    assert engine.asked == []


def test_a_docker_that_can_be_asked_nothing_is_refused(server: Server, pool: LocalEngine) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(server.run / "docker.sock"))
    try:
        with pytest.raises(DockerUnusable, match="--disable-docker-integration"):
            client_of(server).commit("v", "x", ANN)
        assert len(pool.log("v")) == 1
    finally:
        (server.run / "docker.sock").unlink()


@pytest.mark.parametrize("line", [b"42", b"null", b'"an error"', b"{", b"[" * 100_000])
def test_an_answer_that_is_none_of_dvols_is_no_bug_of_the_command(
    short_dir: Path, line: bytes
) -> None:
    address = short_dir / "control.sock"

    def answer() -> None:
        connection, _ = door.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + line + b"\n")

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(address))
        door.listen()
        server = threading.Thread(target=answer)
        server.start()
        with pytest.raises(ServerGone):
            RemoteEngine(f"unix://{address}").volumes()
        server.join()
