"""The server's life: starting, ending, being killed, and starting again."""

import json
import os
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from dvol.engine.local import LocalEngine
from dvol.engine.remote import RemoteEngine
from tests.contract.locking import lock, locked
from tests.contract.places import Server, eventually, serving
from tests.contract.trees import described
from tests.protocol.conftest import ANN
from tests.protocol.wire import ask, post, question

ID = "f" * 64
HALF = "a" * 40  # a commit that no list came to name


@pytest.fixture
def alone(short_dir: Path, tmp_path: Path) -> Server:
    """A server of the test's own, not started yet; its pool has a volume `v`."""
    server = Server(short_dir / "plugins" / "dvol.sock", short_dir / "run", tmp_path / "data")
    pool = LocalEngine(server.pool)
    pool.init("v")
    pool.commit("v", "x", ANN)
    return server


@pytest.fixture
def started(alone: Server):
    try:
        yield alone.start()
    finally:
        alone.kill()


def created(server: Server, name: str) -> None:
    answer = ask(server.socket, "VolumeDriver.Create", {"Name": name, "Opts": None})
    assert answer.status == 200


def listed(server: Server) -> list[str]:
    return [one["Name"] for one in ask(server.socket, "VolumeDriver.List", {}).document["Volumes"]]


def ended(server: Server) -> int:
    """The exit code of a server that is to end by itself."""
    assert server.process is not None
    return server.process.wait(20)


def test_it_starts_where_there_is_nothing_yet(short_dir: Path, tmp_path: Path) -> None:
    with serving(short_dir, tmp_path / "not" / "there") as server:
        assert listed(server) == []
        created(server, "v")
        assert listed(server) == ["v"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_asked_to_and_removes_nothing(started: Server, number: int) -> None:
    """Docker kills it after ten seconds."""
    before = described(started.pool)
    assert started.process is not None
    started.process.send_signal(number)
    assert started.process.wait(5) == 0
    after = described(started.pool)
    assert before.keys() == after.keys()
    assert before[b"/v"] == after[b"/v"]


def test_it_ends_also_while_calls_wait(started: Server) -> None:
    threads = []

    def swallow(call, *arguments: object) -> None:
        with suppress(OSError, ValueError, HTTPException):
            call(*arguments)

    gate = started.pool / ".dvol" / "locks" / "gates" / "v"
    asked = question(volume="v", message="x", author=ANN)
    with locked(lock(started.pool)), locked(gate):
        for call, arguments in (
            (ask, (started.socket, "VolumeDriver.Mount", {"Name": "v", "ID": ID})),
            (post, (started.control, "commit", asked)),
        ):
            threads.append(threading.Thread(target=swallow, args=(call, *arguments)))
            threads[-1].start()
        eventually(lambda: len(listed(started)) == 1)
        assert started.process is not None
        started.process.terminate()
        assert started.process.wait(9) == 0  # Docker kills after ten
    for thread in threads:
        thread.join()
    assert len(LocalEngine(started.pool).log("v")) == 1


def test_its_sockets_are_gone_when_it_has_ended(started: Server) -> None:
    assert listed(started) == ["v"]
    assert started.stop() == 0
    assert not started.socket.exists()
    assert not started.control.exists()


def test_a_killed_server_starts_again_over_its_stale_sockets(started: Server) -> None:
    created(started, "w")
    started.kill()
    assert started.socket.exists()
    started.start()
    assert listed(started) == ["v", "w"]
    assert ask(started.socket, "VolumeDriver.Mount", {"Name": "w", "ID": ID}).status == 200


def test_a_stale_file_that_is_no_socket_is_replaced_or_refused(alone: Server) -> None:
    """Never served around in silence."""
    alone.socket.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(alone.socket))
    try:
        alone.start()
        assert listed(alone) == ["v"]
    finally:
        alone.kill()


@pytest.mark.parametrize("taken", ["control", "docker"])
def test_a_second_server_on_a_socket_is_refused(
    started: Server, short_dir: Path, tmp_path: Path, taken: str
) -> None:
    run = started.run if taken == "control" else short_dir / "other"
    path = started.socket if taken == "docker" else short_dir / "other.sock"
    second = Server(path, run, tmp_path / "second")
    log = started.log.read_text()
    second.launch()
    try:
        assert ended(second) != 0
    finally:
        second.kill()
    assert "another dvol server" in second.log.read_text().removeprefix(log)
    assert listed(started) == ["v"]
    assert post(started.control, "active", question()) == [{"result": "v"}]


def test_two_servers_on_one_pool_are_safe(started: Server, short_dir: Path, tmp_path: Path) -> None:
    (short_dir / "2").mkdir()
    with serving(short_dir / "2", started.data) as second:
        threads = [
            threading.Thread(
                target=post,
                args=(one.control, "commit", question(volume="v", message="x", author=ANN)),
            )
            for one in (started, second) * 5
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(LocalEngine(started.pool).log("v")) == 11


@pytest.mark.parametrize(
    ("mark", "word"),
    [('{"format": 99, "id": "x"}', "format 99"), ("{", "pool.json"), ("[]", "pool.json")],
)
def test_a_pool_it_does_not_understand_ends_it_before_it_listens(
    alone: Server, mark: str, word: str
) -> None:
    """An answer of "no such volume" would make Docker forget volumes for good."""
    (alone.pool / ".dvol" / "pool.json").write_text(mark)
    alone.launch()
    try:
        assert ended(alone) != 0
    finally:
        alone.kill()
    assert word in alone.log.read_text()
    assert "Traceback" not in alone.log.read_text()
    assert not alone.socket.exists()
    assert not alone.control.exists()


def test_a_data_directory_of_other_things_ends_it(alone: Server, tmp_path: Path) -> None:
    (tmp_path / "other" / "volumes" / "thesis").mkdir(parents=True)
    alone.data = tmp_path / "other"
    alone.launch()
    try:
        assert ended(alone) != 0
    finally:
        alone.kill()
    assert "Traceback" not in alone.log.read_text()
    assert [path.name for path in (tmp_path / "other" / "volumes").iterdir()] == ["thesis"]


def left_by_a_crash(pool: Path) -> None:
    """A branch `side` that a dead process had journalled and not yet put in place."""
    own = pool / "v" / ".dvol"
    staged = own / "staging" / "branch-side"
    (staged / "tree").mkdir(parents=True)
    (staged / "commits.json").write_text((pool / "v" / "branches" / "master.json").read_text())
    at = "v/.dvol/staging/branch-side"
    steps = [
        ["move", f"{at}/commits.json", "v/branches/side.json"],
        ["move", f"{at}/tree", "v/branches/side"],
        ["discard", at],
    ]
    (own / "journal.json").write_text(json.dumps({"format": 1, "verb": "checkout", "steps": steps}))


def test_it_recovers_what_a_dead_process_left_before_it_listens(alone: Server) -> None:
    left_by_a_crash(alone.pool)
    try:
        alone.start()
        assert not (alone.pool / "v" / ".dvol" / "journal.json").exists()
        assert (alone.pool / "v" / "branches" / "side").is_dir()
    finally:
        alone.kill()


def test_one_volume_that_cannot_be_recovered_keeps_no_server_from_starting(
    alone: Server,
) -> None:
    LocalEngine(alone.pool).init("w")
    (alone.pool / "v" / ".dvol" / "journal.json").write_text("{")
    try:
        alone.start()
        assert "w" in listed(alone)
        assert "v/.dvol/journal.json" in alone.log.read_text()
    finally:
        alone.kill()


def test_it_deletes_what_dead_processes_had_staged(alone: Server) -> None:
    """Half a copy may fill a disk, and the next verb may be a long time coming."""
    staging = alone.pool / "v" / ".dvol" / "staging"
    half, pools = alone.pool / "v" / "commits" / HALF, alone.pool / ".dvol" / "staging" / "volume"
    for path in (staging / HALF, half, pools):
        path.mkdir(parents=True)
    (half / "file").touch()
    try:
        alone.start()
        eventually(lambda: not any(path.exists() for path in (staging / HALF, half, pools)))
    finally:
        alone.kill()


@pytest.mark.root
def test_what_was_staged_and_cannot_be_deleted_keeps_no_verb_from_its_work(
    alone: Server,
) -> None:
    """And the log tells where it is."""
    within = alone.pool / "v" / ".dvol" / "staging" / "half" / "deep" / "within"
    within.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", within], check=True)
    garbage = alone.pool / ".dvol" / "garbage"
    try:
        alone.start()
        eventually(lambda: "not cleared" in alone.log.read_text())
        [name] = os.listdir(garbage)
        assert f"{garbage}/{name} (within): Device or resource busy" in alone.log.read_text()
        RemoteEngine(f"unix://{alone.control}").commit("v", "x", "Ann <ann@example.org>")
    finally:
        alone.kill()
        for path in garbage.rglob("within"):
            subprocess.run(["umount", path], check=True)


def test_it_leaves_alone_what_a_verb_at_work_has_staged(alone: Server) -> None:
    LocalEngine(alone.pool).init("w")
    at_work, dead = (alone.pool / name / ".dvol" / "staging" / HALF for name in "vw")
    at_work.mkdir(parents=True)
    dead.mkdir(parents=True)
    try:
        with locked(lock(alone.pool, "v")):
            alone.start()
            eventually(lambda: not dead.exists())
            assert at_work.exists()
    finally:
        alone.kill()


@pytest.mark.slow
def test_who_asks_a_server_that_hangs_is_told_so_and_answered_in_the_end(started: Server) -> None:
    told: list[str] = []
    client = RemoteEngine(f"unix://{started.control}", told.append)
    assert started.process is not None
    started.process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as threads:
            answer = threads.submit(client.volumes)
            eventually(lambda: told != [])
            started.process.send_signal(signal.SIGCONT)
            assert [one.name for one in answer.result(20)] == ["v"]
    finally:
        started.process.send_signal(signal.SIGCONT)
    assert f"{started.control} does not answer" in told[0]


@pytest.mark.slow
def test_who_waits_already_is_told_as_well_of_a_server_that_hangs(started: Server) -> None:
    told: list[str] = []
    client = RemoteEngine(f"unix://{started.control}", told.append)
    assert started.process is not None
    try:
        with ThreadPoolExecutor() as threads, locked(lock(started.pool, "v")):
            threads.submit(client.commit, "v", "x", ANN)
            eventually(lambda: told != [])
            assert "waiting" in told[0]
            started.process.send_signal(signal.SIGSTOP)
            eventually(lambda: len(told) == 2)
            started.process.send_signal(signal.SIGCONT)
    finally:
        started.process.send_signal(signal.SIGCONT)
    assert f"{started.control} does not answer" in told[1]


def test_it_empties_what_was_doomed(alone: Server) -> None:
    garbage = alone.pool / ".dvol" / "garbage" / "entry"
    garbage.mkdir(parents=True)
    (garbage / "file").touch()
    try:
        alone.start()
        eventually(lambda: not garbage.exists())
    finally:
        alone.kill()


# -- what it says ------------------------------------------------------------------------------


def test_it_logs_one_line_a_request(started: Server) -> None:
    def told(word: str) -> int:
        return sum(word in line for line in started.log.read_text().splitlines())

    for _ in range(3):
        ask(started.socket, "VolumeDriver.Get", {"Name": "v"})
    ask(started.socket, "VolumeDriver.Get", {"Name": "nope"})
    post(started.control, "log", question(volume="v"))
    eventually(lambda: told("VolumeDriver.Get") == 4)
    eventually(lambda: told("/dvol/log") == 1)
    assert told("nope") == 1


def test_it_logs_no_secrets_and_no_lines_of_a_strangers(started: Server) -> None:
    options = {"Name": "w", "Opts": {"password": "hunter2"}}
    ask(started.socket, "VolumeDriver.Create", options)
    post(
        started.control,
        "commit",
        question(volume="v", message="the code is 1234", author="Eve <eve@example.org>"),
    )
    ask(started.socket, "VolumeDriver.Get", {"Name": "x\nERROR forged\x1b[31m"})
    eventually(lambda: "/dvol/commit" in started.log.read_text())
    log = started.log.read_text()
    for word in ("hunter2", "1234", "eve@example.org", "\nERROR forged", "\x1b"):
        assert word not in log


@pytest.mark.parametrize("level", ["error", "warning", "WARNING", "nonsense", ""])
def test_its_log_can_be_made_quieter_and_no_level_hinders_it(alone: Server, level: str) -> None:
    alone.environment["DVOL_LOG_LEVEL"] = level
    try:
        alone.start()
        ask(alone.socket, "VolumeDriver.Get", {"Name": "v"})
        alone.stop()
    finally:
        alone.kill()
    quiet = level.lower() in ("error", "warning")
    assert quiet == ("VolumeDriver.Get" not in alone.log.read_text())
