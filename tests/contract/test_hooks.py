"""The hooks of a commit, told by a stand-in for Docker: when they are run, what a failure of one
stops, and what is owed after a death. The docker ring does the same on a real Engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dvol.containers import NoContainers
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from dvol.errors import PostCommitFailed, PreCommitFailed
from dvol.fs.locks import exclusive
from dvol.model import ContainerOptions
from tests.protocol.standin import FIRST, Container, Engine, container

ANN = "Ann <ann@example.org>"
STARTED = ["db", "app", "reader", "first", "second", "third", "late", "other", "foreign", "gone"]
PAUSE = ContainerOptions(mode="pause")
Open = Callable[..., LocalEngine]


def hooked(name: str, volume: str = "v", state: str = "running", **labels: str) -> Container:
    """A container with hooks named as it: `db-pre` and `db-post`."""
    own = {"pre-commit": f"{name}-pre", "post-commit": f"{name}-post"} | labels
    listed = {f"dvol.exec.{label}": text for label, text in own.items() if text}
    started = f"2026-01-01T00:00:0{STARTED.index(name) + 1}Z"
    return container(name, volume, state) | {"Labels": listed, "StartedAt": started}


def ran(docker: Engine) -> list[str]:
    return [one.line for one in docker.execs if "kill -9" not in one.line]


def record(pool: LocalEngine, volume: str = "v") -> dict[str, Any]:
    path = pool.root / volume / ".dvol/suspended.json"
    return json.loads(path.read_text()) if path.exists() else {}


def owed(pool: LocalEngine, volume: str = "v") -> list[str]:
    return [one["name"] for one in record(pool, volume).get("owed", [])]


def owe(pool: LocalEngine, one: Container, volume: str = "v", **facts: str) -> None:
    """As a commit leaves it that died."""
    entry = {"id": one["Id"], "name": one["Names"][0]} | facts
    path = pool.root / volume / ".dvol/suspended.json"
    path.write_text(json.dumps({"containers": [], "owed": [entry]}))


@pytest.mark.parametrize(("mode", "verbs"), [("stop", ("stop", "start")), ("pause", None)])
def test_they_run_before_the_container_is_ended_and_once_it_runs_again(
    open_pool: Open, docker: Engine, mode: str, verbs: tuple[str, str] | None
) -> None:
    first, last = verbs or ("pause", "unpause")
    docker.containers = [hooked("db")]
    open_pool(ContainerOptions(mode=mode)).commit("v", "x", ANN)
    wanted = ["exec db", f"{first} db", f"{last} db", "exec db"]
    assert (docker.done, ran(docker)) == (wanted, ["db-pre", "db-post"])


def test_what_is_owed_is_recorded_before_it_can_be(open_pool: Open, docker: Engine) -> None:
    """And no container is recorded as suspended by then: it would be restarted after a death."""
    docker.containers = [hooked("db")]
    pool, seen = open_pool(), []
    for moment in ("exec db", "stop db", "start db"):
        docker.before[moment] = lambda: seen.append((owed(pool), record(pool)["containers"]))
    pool.commit("v", "x", ANN)
    assert [names for names, _ in seen] == [["/db"]] * 4
    assert [len(containers) for _, containers in seen] == [0, 1, 1, 0]
    assert record(pool) == {}


def test_one_that_only_reads_has_hooks_too(open_pool: Open, docker: Engine) -> None:
    docker.containers = [hooked("db"), hooked("reader")]
    docker.containers[1]["Mounts"][0]["RW"] = False
    open_pool().commit("v", "x", ANN)
    assert ran(docker) == ["reader-pre", "db-pre", "db-post", "reader-post"]


@pytest.mark.parametrize("state", ["paused", "restarting"])
def test_one_in_which_nothing_can_be_executed_has_none(
    open_pool: Open, docker: Engine, state: str
) -> None:
    docker.containers = [hooked("db", state=state)]
    open_pool().commit("v", "x", ANN)
    assert ran(docker) == []


@pytest.mark.parametrize("which", ["pre-commit", "post-commit"])
def test_one_may_have_one_of_the_two(open_pool: Open, docker: Engine, which: str) -> None:
    docker.containers = [hooked("db", **{"pre-commit": "", "post-commit": "", which: "x"})]
    open_pool().commit("v", "x", ANN)
    assert ran(docker) == ["x"]


def test_other_verbs_run_none(open_pool: Open, docker: Engine) -> None:
    pool = open_pool()
    pool.commit("v", "x", ANN)
    docker.containers = [hooked("db")]
    pool.reset("v")
    pool.branch("v", "side")
    pool.checkout("v", "master")
    assert ran(docker) == []


def test_of_several_volumes_each_container_has_its_hooks_once(
    open_pool: Open, docker: Engine
) -> None:
    both = hooked("db")
    both["Mounts"].append({**both["Mounts"][0], "Name": "w"})
    docker.containers = [both]
    pool, seen = open_pool(), []
    docker.before["stop db"] = lambda: seen.extend([owed(pool, "v"), owed(pool, "w")])
    pool.commit_group(["v", "w"], "", "x", ANN)
    assert ran(docker) == ["db-pre", "db-post"]
    assert seen == [["/db"], []]


def test_a_failure_before_the_freeze_stops_the_commit_before_anybody_is_ended(
    open_pool: Open, docker: Engine
) -> None:
    """Whose turn had come is told all the same that it is over; whose had not, is not."""
    docker.containers = [hooked("first"), hooked("second"), hooked("third")]
    docker.fails = {"second-pre"}
    pool = open_pool()
    with pytest.raises(PreCommitFailed, match=r"/second failed \(exit code 1\)"):
        pool.commit("v", "x", ANN)
    assert ran(docker) == ["third-pre", "second-pre", "second-post", "third-post"]
    assert set(docker.done) == {"exec third", "exec second"}
    assert (pool.log("v"), record(pool)) == ([], {})


@pytest.mark.parametrize("timeout", ["0", "a", "1.5", "-1", "99999999"])
def test_a_label_that_is_no_time_stops_it_before_anything_is_run(
    open_pool: Open, docker: Engine, timeout: str
) -> None:
    docker.containers = [hooked("db", timeout=timeout), hooked("other")]
    with pytest.raises(PreCommitFailed, match=f"'{timeout}' is no number of seconds"):
        open_pool().commit("v", "x", ANN)
    assert docker.done == []


@pytest.mark.parametrize("immortal", [False, True])
def test_one_that_does_not_end_is_killed_and_has_failed(
    open_pool: Open, docker: Engine, monkeypatch: pytest.MonkeyPatch, immortal: bool
) -> None:
    monkeypatch.setattr("dvol.containers.execution._END_WITHIN", 0.2)
    docker.containers = [hooked("db", timeout="1")]
    docker.endless = {"db-pre"}
    docker.immortal = {docker.containers[0]["Id"]} if immortal else set()
    said = "its process could not be killed" if immortal else "was killed"
    with pytest.raises(PreCommitFailed, match=f"did not end in 1 s, and {said}"):
        open_pool().commit("v", "x", ANN)
    assert ran(docker) == ["db-pre", "db-post"]


def test_one_whose_program_the_image_lacks_has_failed(open_pool: Open, docker: Engine) -> None:
    docker.containers = [hooked("db")]
    docker.cannot = {docker.containers[0]["Id"]}
    with pytest.raises(PreCommitFailed, match="exit code 127; its image may lack that program"):
        open_pool().commit("v", "x", ANN)


def test_a_failure_after_the_freeze_is_told_and_the_commit_is_there(
    open_pool: Open, docker: Engine, told: list[str]
) -> None:
    docker.containers = [hooked("db"), hooked("app")]
    docker.fails = {"db-post"}
    pool = open_pool()
    with pytest.raises(PostCommitFailed, match="the commit is done, but"):
        pool.commit("v", "x", ANN)
    assert len(pool.log("v")) == 1
    assert {one["State"] for one in docker.containers} == {"running"}
    assert ran(docker)[2:] == ["db-post", "app-post"]
    assert "warning: dvol.exec.post-commit of /db failed: exit code 1" in told
    assert record(pool) == {}


def test_one_that_another_command_has_stopped_meanwhile_is_owed_until_it_runs(
    open_pool: Open, docker: Engine
) -> None:
    docker.containers = [hooked("reader")]
    [reader] = docker.containers
    reader["Mounts"][0]["RW"] = False
    pool = open_pool()
    reader["Labels"]["dvol.exec.pre-commit"] = "stop me"
    docker.before["exec reader"] = lambda: (
        None if ran(docker) == [] else reader.update(State="exited")
    )
    pool.commit("v", "x", ANN)
    docker.before.clear()
    assert (ran(docker), owed(pool)) == (["stop me"], ["/reader"])
    assert Recovery(pool.access).resume(pool.containers)
    assert owed(pool) == ["/reader"]
    reader["State"] = "running"
    assert Recovery(pool.access).resume(pool.containers)
    assert (ran(docker)[1:], owed(pool)) == (["reader-post"], [])


def test_one_that_has_ended_before_its_turn_is_not_asked(open_pool: Open, docker: Engine) -> None:
    docker.containers = [hooked("db"), hooked("app")]
    docker.before["exec app"] = lambda: docker.containers[1].update(State="exited")
    pool = open_pool()
    pool.commit("v", "x", ANN)
    assert (ran(docker), record(pool)) == (["db-pre", "db-post"], {})


def test_one_that_comes_meanwhile_is_asked_before_the_freeze(
    open_pool: Open, docker: Engine
) -> None:
    """Also where it is not to be ended."""
    late = hooked("late")
    late["Mounts"][0]["RW"] = False
    docker.containers = [hooked("db")]
    docker.before["stop db"] = lambda: docker.containers.append(late)
    open_pool().commit("v", "x", ANN)
    assert ran(docker) == ["db-pre", "late-pre", "db-post", "late-post"]


def test_where_one_comes_that_fails_everybody_is_brought_back(
    open_pool: Open, docker: Engine
) -> None:
    docker.containers = [hooked("db")]
    docker.before["stop db"] = lambda: docker.containers.append(hooked("late"))
    docker.fails = {"late-pre"}
    pool = open_pool()
    with pytest.raises(PreCommitFailed, match="/late"):
        pool.commit("v", "x", ANN)
    assert {one["State"] for one in docker.containers} == {"running"}
    assert ran(docker) == ["db-pre", "late-pre", "db-post", "late-post"]
    assert record(pool) == {}


def test_one_that_is_started_again_is_ready_before_it_is_told(
    open_pool: Open, docker: Engine
) -> None:
    """Whatever the user wants to wait for: it would fail."""
    docker.containers = [hooked("db") | {"Healthcheck": {"Test": ["CMD", "check"]}}]
    open_pool(ContainerOptions(wait=False)).commit("v", "x", ANN)
    assert ran(docker) == ["db-pre", "check", "db-post"]
    docker.execs.clear()
    open_pool(PAUSE).commit("v", "y", ANN)
    assert ran(docker) == ["db-pre", "db-post"]


# -- after a death -----------------------------------------------------------------------------


def test_what_is_owed_is_run_when_the_container_has_been_started(
    open_pool: Open, docker: Engine
) -> None:
    one = hooked("db", state="exited") | {"Healthcheck": {"Test": ["CMD", "check"]}}
    docker.containers = [one]
    pool = open_pool()
    owe(pool, one)
    document = record(pool)
    stopped = {"action": "stop", "was": "running", "started": FIRST}
    document["containers"] = [document["owed"][0] | stopped]
    (pool.root / "v/.dvol/suspended.json").write_text(json.dumps(document))
    assert Recovery(pool.access).resume(pool.containers)
    assert docker.done[0] == "start db"
    assert (ran(docker), record(pool)) == (["check", "db-post"], {})


def test_the_next_verb_runs_it_first(open_pool: Open, docker: Engine) -> None:
    docker.containers = [hooked("db")]
    pool = open_pool()
    owe(pool, docker.containers[0])
    pool.commit("v", "x", ANN)
    assert ran(docker) == ["db-post", "db-pre", "db-post"]


def test_a_failure_then_is_told_and_it_is_not_run_again(
    open_pool: Open, docker: Engine, told: list[str]
) -> None:
    docker.containers = [hooked("db")]
    docker.fails = {"db-post"}
    pool = open_pool()
    owe(pool, docker.containers[0])
    assert Recovery(pool.access).resume(pool.containers)
    assert record(pool) == {}
    assert any("owed when it died, failed: exit code 1" in line for line in told)


def test_the_command_is_what_the_label_says_and_never_the_record(
    open_pool: Open, docker: Engine
) -> None:
    docker.containers = [container("plain", "v"), hooked("db")]
    pool = open_pool()
    for one in docker.containers:
        owe(pool, one, post="rm -rf /", command="rm -rf /", hook="rm -rf /")
        assert Recovery(pool.access).resume(pool.containers)
        assert record(pool) == {}
    assert ran(docker) == ["db-post"]


def test_one_without_the_volume_and_one_that_is_gone_are_forgotten(
    open_pool: Open, docker: Engine
) -> None:
    docker.containers = [hooked("foreign", "other")]
    pool = open_pool()
    for one in (docker.containers[0], hooked("gone")):
        owe(pool, one)
        assert Recovery(pool.access).resume(pool.containers)
        assert (ran(docker), record(pool)) == ([], {})


def test_who_does_not_ask_docker_forgets_nothing(open_pool: Open, docker: Engine) -> None:
    docker.containers = [hooked("db")]
    pool = open_pool()
    owe(pool, docker.containers[0])
    LocalEngine(pool.root, NoContainers(certain=True)).commit("v", "x", ANN)
    assert (ran(docker), owed(pool)) == ([], ["/db"])


def test_one_that_another_verb_works_on_is_left_until_that_has_ended(
    open_pool: Open, docker: Engine
) -> None:
    docker.containers = [hooked("db")]
    pool = open_pool()
    owe(pool, docker.containers[0])
    lock = pool.access.pool.layout.container_lock(docker.containers[0]["Id"])
    with exclusive(lock, "commit", 0.0):
        assert not Recovery(pool.access).resume(pool.containers)
    assert (ran(docker), owed(pool)) == ([], ["/db"])
    assert Recovery(pool.access).resume(pool.containers)
    assert ran(docker) == ["db-post"]


@pytest.mark.parametrize("entries", [[{"id": "../x"}], [{"name": "a\nb"}], [1], 1, {}], ids=repr)
def test_an_entry_that_is_no_container_is_corrupt(
    open_pool: Open, docker: Engine, entries: Any
) -> None:
    """Nothing is done with it, not even a lock made; fsck mends it."""
    pool, one = open_pool(), hooked("db")
    if isinstance(entries, list) and isinstance(entries[0], dict):
        entries = [{"id": one["Id"], "name": "/db"} | entries[0]]
    document = {"containers": [], "owed": entries}
    (pool.root / "v/.dvol/suspended.json").write_text(json.dumps(document))
    assert not Recovery(pool.access).resume(pool.containers)
    assert [each.state for each in pool.fsck("v")] == ["broken"]
    pool.fsck("v", repair=True)
    assert Recovery(pool.access).resume(pool.containers)


def test_what_an_earlier_build_reads_in_the_record_is_no_container(
    open_pool: Open, docker: Engine
) -> None:
    """It knows `containers` alone, and takes only those that were stopped, killed or paused."""
    docker.containers = [hooked("db")]
    docker.containers[0]["Mounts"][0]["RW"] = False
    pool, seen = open_pool(), []
    docker.before["exec db"] = lambda: seen.append(record(pool))
    pool.commit("v", "x", ANN)
    assert [one["containers"] for one in seen] == [[], []]
