"""Who waits for whom: Docker's cheap calls for nobody, Mount at the gate, but never for long."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dvol.engine.local import LocalEngine
from tests.contract.locking import lock, locked
from tests.contract.places import Server
from tests.protocol.conftest import ANN, Ask, tree
from tests.protocol.wire import Answer, ask, post, question

ID = "f" * 64
HALF = 32  # of Docker's threads, which is what may wait


def gate(server: Server, volume: str = "v") -> Path:
    return server.pool / ".dvol" / "locks" / "gates" / volume


@contextmanager
def all_closed(server: Server) -> Iterator[None]:
    """Everything held that a verb at work could hold."""
    with locked(lock(server.pool)), locked(gate(server)):
        with locked(server.pool / ".dvol" / "locks" / "pool"):
            yield


class Waiting:
    """Calls that are made aside."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.threads: list[threading.Thread] = []

    def begin(self, server: Server, method: str, **document: object) -> None:
        def call() -> None:
            self.answers.append(ask(server.socket, method, document))

        self.threads.append(threading.Thread(target=call))
        self.threads[-1].start()

    def end(self) -> list[Answer]:
        for thread in self.threads:
            thread.join()
        return self.answers


CHEAP = {
    "Get": ("VolumeDriver.Get", {"Name": "v"}),
    "List": ("VolumeDriver.List", {}),
    "Path": ("VolumeDriver.Path", {"Name": "v"}),
    "Unmount": ("VolumeDriver.Unmount", {"Name": "v", "ID": ID}),
    "Capabilities": ("VolumeDriver.Capabilities", {}),
}


@pytest.mark.parametrize(("method", "document"), CHEAP.values(), ids=CHEAP)
def test_a_verb_at_work_delays_no_cheap_call(
    server: Server, docker: Ask, pool: LocalEngine, method: str, document: dict
) -> None:
    """Docker takes a failed Get for a missing volume, and holds locks while it waits."""
    with all_closed(server):
        assert docker(method, **document).status == 200


def test_mount_waits_for_no_verb_but_for_the_gate(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    """A commit closes it for the freeze only, not until all is durable."""
    with locked(lock(server.pool)):
        assert docker("VolumeDriver.Mount", Name="v", ID=ID).status == 200


def test_mount_waits_at_a_closed_gate_and_then_answers(server: Server, pool: LocalEngine) -> None:
    waiting = Waiting()
    with locked(gate(server)):
        waiting.begin(server, "VolumeDriver.Mount", Name="v", ID=ID)
        waiting.threads[0].join(0.5)
        assert waiting.answers == []
    assert [one.document["Mountpoint"] for one in waiting.end()] == [str(tree(server))]


def test_mount_answers_the_branch_that_is_current_when_the_gate_opens(
    server: Server, pool: LocalEngine
) -> None:
    waiting = Waiting()
    pool.branch("v", "side")
    with locked(gate(server)):
        waiting.begin(server, "VolumeDriver.Mount", Name="v", ID=ID)
        waiting.threads[0].join(0.3)
        (server.pool / "v" / "current_branch.json").write_text('{"current_branch": "master"}')
    assert [one.document["Mountpoint"] for one in waiting.end()] == [str(tree(server))]


@pytest.mark.slow
def test_mount_gives_up_in_time_and_says_why(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    """Before Docker does (30 s), which would believe that nothing was mounted."""
    with locked(gate(server)):
        answer = docker("VolumeDriver.Mount", Name="v", ID=ID)
    assert answer.status == 500
    assert "busy" in answer.document["Err"]


def test_mounts_that_wait_leave_threads_for_the_others(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    pool.init("w")
    waiting = Waiting()
    with locked(gate(server)):
        for _ in range(100):
            waiting.begin(server, "VolumeDriver.Mount", Name="v", ID=ID)
        for method, document in CHEAP.values():
            assert docker(method, **document).status == 200
    answers = waiting.end()
    mounted = [one for one in answers if one.status == 200]
    assert len(mounted) >= HALF
    assert {one.document["Mountpoint"] for one in mounted} == {str(tree(server))}
    assert all(one.document["Err"] for one in answers if one.status != 200)


def test_remove_of_a_busy_volume_is_refused_at_once(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    with locked(lock(server.pool)):
        answer = docker("VolumeDriver.Remove", Name="v")
    assert answer.status == 500
    assert "busy" in answer.document["Err"]
    assert pool.get("v").commits == 1


def test_remove_refused_as_busy_can_be_repeated(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    with locked(lock(server.pool)):
        docker("VolumeDriver.Remove", Name="v")
    assert docker("VolumeDriver.Remove", Name="v").status == 200
    assert pool.volumes() == []


def test_people_who_wait_do_not_delay_docker(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    """Two sockets, two thread pools: here more clients than people's door has threads."""
    asked = question(volume="v", message="x", author=ANN)
    clients = [
        threading.Thread(target=post, args=(server.control, "commit", asked)) for _ in range(40)
    ]
    with locked(lock(server.pool)):
        for client in clients:
            client.start()
        for method, document in CHEAP.values():
            assert docker(method, **document).status == 200
        assert docker("VolumeDriver.Mount", Name="v", ID=ID).status == 200
    for client in clients:
        client.join()
    assert len(pool.log("v")) == 41


def test_a_verb_that_waits_delays_no_other_volumes_verbs(server: Server, pool: LocalEngine) -> None:
    pool.init("w")
    with locked(lock(server.pool)):
        waiting = threading.Thread(
            target=post,
            args=(server.control, "commit", question(volume="v", message="x", author=ANN)),
        )
        waiting.start()
        said = post(server.control, "commit", question(volume="w", message="y", author=ANN))
        assert said[-1]["result"]["message"] == "y"
    waiting.join()


def test_mount_completes_what_a_dead_verb_left(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    """A journal is a closed gate; whoever finds one whose lock is free takes its steps."""
    pool.branch("v", "side")
    own = server.pool / "v" / ".dvol"
    (own / "staging" / "checkout").mkdir(parents=True)
    (own / "staging" / "checkout" / "current.json").write_text('{"current_branch": "master"}')
    staged = "v/.dvol/staging/checkout"
    (own / "journal.json").write_text(
        '{"format": 1, "verb": "checkout", "steps": ['
        f'["move", "{staged}/current.json", "v/current_branch.json"], ["discard", "{staged}"]]}}'
    )
    mounted = docker("VolumeDriver.Mount", Name="v", ID=ID)
    assert mounted.document["Mountpoint"] == str(tree(server))
    assert not (own / "journal.json").exists()


@pytest.mark.slow
def test_mount_of_a_volume_that_cannot_be_recovered_is_refused(
    server: Server, docker: Ask, pool: LocalEngine
) -> None:
    (server.pool / "v" / ".dvol" / "journal.json").write_text("{")
    answer = docker("VolumeDriver.Mount", Name="v", ID=ID)
    assert answer.status == 500
    assert "journal.json" in answer.document["Err"]
