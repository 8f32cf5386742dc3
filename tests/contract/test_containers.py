"""What a verb has done to containers, told by a stand-in for Docker: whatever is in the way, what
ran before runs again, and nothing else does. The docker ring does the same on a real Engine.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from dvol.containers import NoContainers
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from dvol.errors import (
    AmbiguousRevision,
    CannotSuspend,
    ContainerBusy,
    ContainerStarting,
    LiveNeedsOneVolume,
    NameUsedByDocker,
    NotRestarted,
    UnclearPool,
    WouldBeRemoved,
)
from dvol.fs.locks import exclusive, shared
from dvol.model import ContainerOptions
from tests.contract.places import eventually
from tests.protocol.standin import FIRST, Container, Engine, container

ANN = "Ann <ann@example.org>"
LATER = "2026-01-01T00:00:05Z"


Open = Callable[..., LocalEngine]


def noted(pool: LocalEngine, volume: str = "v") -> list[str]:
    """Who is noted as ended."""
    path = pool.root / volume / ".dvol/suspended.json"
    if not path.exists():
        return []
    return [one["name"] for one in json.loads(path.read_text())["containers"]]


def note(pool: LocalEngine, one: Container, volume: str = "v", **facts: str) -> None:
    """As a verb leaves it that died."""
    usual = {"id": one["Id"], "name": one["Names"][0], "action": "stop", "was": "running"}
    document = {"containers": [usual | {"started": FIRST} | facts]}
    (pool.root / volume / ".dvol/suspended.json").write_text(json.dumps(document))


def test_what_a_verb_ends_it_starts_again(open_pool: Open, docker: Engine) -> None:
    docker.containers = [container("db", "v"), container("other", "w")]
    pool = open_pool()
    pool.commit("v", "x", ANN)
    pool.reset("v")
    assert docker.done == ["stop db", "start db", "kill db", "start db"]
    assert noted(pool) == []


def test_one_that_starts_meanwhile_is_recorded_before_it_is_ended(
    open_pool: Open, docker: Engine
) -> None:
    docker.containers = [container("db", "v")]
    late = container("late", "v")
    pool, seen = open_pool(), []
    docker.before["stop db"] = lambda: docker.containers.append(late)
    docker.before["stop late"] = lambda: seen.extend(noted(pool))
    pool.commit("v", "x", ANN)
    assert docker.done == ["stop db", "stop late", "start db", "start late"]
    assert seen == ["/db", "/late"]
    assert noted(pool) == []


def test_one_that_somebody_starts_again_is_ended_again(open_pool: Open, docker: Engine) -> None:
    db = container("db", "v")
    docker.containers = [db, container("app", "v")]
    docker.before["stop app"] = lambda: db.update(State="running", StartedAt=LATER)
    docker.containers[1]["Labels"] = {
        "com.docker.compose.project": "p",
        "com.docker.compose.service": "app",
    }
    needs = {"com.docker.compose.depends_on": "app:service_started:false"}
    db["Labels"] = needs | {"com.docker.compose.project": "p"}
    open_pool().commit("v", "x", ANN)
    assert docker.done == ["stop db", "stop app", "stop db", "start app", "start db"]


@pytest.mark.parametrize("action", ["kill", "pause"])
def test_one_that_somebody_restarts_in_this_instant_is_ended_again(
    open_pool: Open, docker: Engine, action: str
) -> None:
    """Docker refuses to end it, since it does not run; and when it is asked, it runs again."""
    docker.containers = [container("db", "v")]
    pool = open_pool(ContainerOptions(mode="pause"))
    pool.commit("v", "x", ANN)
    docker.done.clear()
    docker.restarts = {f"{action} db"}
    pool.reset("v") if action == "kill" else pool.commit("v", "x", ANN)
    back = {"kill": "start db", "pause": "unpause db"}[action]
    assert docker.done == [f"{action} db", f"{action} db", back]
    assert docker.containers[0]["State"] == "running"
    assert noted(pool) == []


def test_where_others_are_started_all_the_time_nothing_is_done(
    open_pool: Open, docker: Engine
) -> None:
    """Everybody runs again."""
    docker.containers = [container("db0", "v")]

    def another(number: int) -> None:
        docker.containers.append(container(f"db{number + 1}", "v"))

    for number in range(10):
        docker.before[f"stop db{number}"] = partial(another, number)
    pool = open_pool()
    with pytest.raises(ContainerStarting, match="/db5"):
        pool.commit("v", "x", ANN)
    assert pool.log("v") == []
    assert {one["State"] for one in docker.containers} == {"running"}
    assert (len(docker.containers), noted(pool)) == (6, [])


def test_a_newcomer_that_may_not_be_ended_brings_everybody_back(
    open_pool: Open, docker: Engine
) -> None:
    docker.containers = [container("db", "v")]
    once = container("once", "v") | {"HostConfig": {"AutoRemove": True}}
    pool = open_pool()
    pool.commit("v", "x", ANN)
    docker.before["kill db"] = lambda: docker.containers.append(once)
    with pytest.raises(WouldBeRemoved, match="/once"):
        pool.reset("v")
    assert docker.done[-2:] == ["kill db", "start db"]
    assert noted(pool) == []


def test_a_newcomer_that_has_lost_what_it_shared_does_not_stop_a_commit(
    open_pool: Open, docker: Engine, told: list[str]
) -> None:
    """It came with --rm while its owner was being stopped: nothing could be done for it."""
    db = container("db", "v")
    host = {"AutoRemove": True, "NetworkMode": f"container:{db['Id']}"}
    once = container("once", "") | {"HostConfig": host, "Mounts": []}
    docker.containers = [db]
    docker.before["stop db"] = lambda: docker.containers.append(once)
    pool = open_pool()
    pool.commit("v", "x", ANN)
    assert docker.done == ["stop db", "start db"]
    assert (once["State"], noted(pool)) == ("running", [])
    assert [one.state for one in pool.log("v")] == ["stopped"]
    [warning] = [line for line in told if "warning" in line]
    assert (
        "/once, which was started while /db was being stopped for the commit, has lost" in warning
    )


def test_the_gates_are_open_while_containers_are_ended(open_pool: Open, docker: Engine) -> None:
    """Docker may hold a container's lock while its start waits at a gate; ending it waits for that
    lock."""
    docker.containers = [container("db", "v")]
    pool, passed = open_pool(), []
    gate = pool.access.pool.layout.volume("v").gate

    def pass_it() -> None:
        with shared(gate, 0.0) as had:
            passed.append(had)

    docker.before["stop db"] = pass_it
    docker.before["start db"] = pass_it
    pool.commit("v", "x", ANN)
    assert passed == [True, True]


def test_one_that_ended_since_it_was_listed_and_waits_at_the_gate_is_not_waited_for(
    docker: Engine,
) -> None:
    """Docker holds its lock while its start waits there, and does not answer about it."""
    docker.containers = [db := container("db", "v")]
    docker.hangs_at = f"/containers/{db['Id']}/json"

    def at_gate() -> int:
        db["State"] = "exited"
        return 1

    assert docker.asked_by().using(["v"], at_gate) == []


def test_who_shares_is_recorded_with_the_one_it_shares_with(
    open_pool: Open, docker: Engine
) -> None:
    """And started after a death, though it has no volume."""
    db = container("db", "v")
    side = container("side", "") | {"HostConfig": {"NetworkMode": f"container:{db['Id']}"}}
    side["Mounts"] = []
    docker.containers = [db, side]
    pool, seen = open_pool(), []
    docker.before["stop side"] = lambda: seen.extend(noted(pool))
    pool.commit("v", "x", ANN)
    assert docker.done == ["stop side", "stop db", "start db", "start side"]
    assert seen == ["/db", "/side"]
    docker.done.clear()
    side["State"] = "exited"
    note(pool, side, sharing_with=db["Id"], started=side["StartedAt"])
    assert Recovery(pool.access).resume(pool.containers)
    assert docker.done == ["start side"]


def test_a_stop_that_docker_refuses_ends_the_verb_and_nobody_is_left_behind(
    open_pool: Open, docker: Engine
) -> None:
    """Whoever was to be ended later was noted, and is not started by the next verb."""
    label = {"com.docker.compose.project": "p", "com.docker.compose.service": "web"}
    label["com.docker.compose.depends_on"] = "db:service_started:false"
    docker.containers = [container("db", "v"), container("web", "v") | {"Labels": label}]
    docker.containers[0]["Labels"] = {**label, "com.docker.compose.service": "db"}
    docker.containers[0]["Labels"].pop("com.docker.compose.depends_on")
    docker.refuses = {"stop web", "restart web"}
    pool = open_pool()
    with pytest.raises(
        CannotSuspend, match=r"cannot stop the container /web \(it cannot be done\)"
    ):
        pool.commit("v", "x", ANN)
    assert "stop db" not in docker.done
    assert pool.log("v") == []
    assert "/db" not in noted(pool)
    assert docker.done.count("restart web") == 1  # Docker may wait a minute each time


def test_one_that_is_to_share_with_one_that_is_gone_is_tried_once(
    open_pool: Open, docker: Engine
) -> None:
    """The others do not wait for it: only its user can help."""
    db, last = container("db", "v"), container("last", "v")
    side = container("side", "") | {"HostConfig": {"NetworkMode": f"container:{db['Id']}"}}
    side |= {"Mounts": [], "StartedAt": FIRST.replace("01Z", "02Z")}
    last["StartedAt"] = FIRST.replace("01Z", "03Z")
    docker.containers = [db, side, last]
    docker.refuses = {"start side"}
    docker.before["start side"] = lambda: docker.containers.remove(db)
    with pytest.raises(NotRestarted, match="/side"):
        open_pool().commit("v", "x", ANN)
    assert docker.done[-3:] == ["start db", "start side", "start last"]


def test_one_that_ends_by_itself_meanwhile_is_no_failure(open_pool: Open, docker: Engine) -> None:
    docker.containers = [container("db", "v")]
    docker.late = {"stop db"}
    open_pool().commit("v", "x", ANN)
    assert docker.done == ["stop db", "start db"]


@pytest.mark.parametrize("timeout", [10**10, 10**400])
def test_a_time_to_stop_has_an_end(open_pool: Open, docker: Engine, timeout: int) -> None:
    docker.containers = [container("db", "v")]
    open_pool(ContainerOptions(timeout=timeout)).commit("v", "x", ANN)
    assert docker.done == ["stop db", "start db"]


@pytest.mark.parametrize(
    "facts",
    [
        {"id": ""},
        {"id": "../../x"},
        {"id": "a\0b"},
        {"id": "\ud800"},
        {"id": "db"},
        {"action": "rm"},
        {"was": ""},
        {"name": "a\nb"},
        {"name": "\x1b[31m"},
    ],
    ids=repr,
)
def test_a_note_of_what_is_no_container_is_corrupt(
    open_pool: Open, docker: Engine, facts: dict[str, str]
) -> None:
    """Nothing is done with it, not even a lock made; fsck mends it."""
    pool = open_pool()
    note(pool, container("db", "v"), **facts)
    assert not Recovery(pool.access).resume(pool.containers)
    assert docker.done == []
    assert [one.state for one in pool.fsck("v")] == ["broken"]
    pool.fsck("v", repair=True)
    assert Recovery(pool.access).resume(pool.containers)


def test_a_note_of_format_1_and_one_of_today_both_count(open_pool: Open, docker: Engine) -> None:
    """As a server of format 1 leaves it that died after another had begun."""
    docker.containers = [container("old", "v", "exited"), container("new", "v", "exited")]
    pool = open_pool()
    note(pool, docker.containers[0])
    own = pool.root / "v/.dvol"
    old = json.loads((own / "suspended.json").read_text())
    old["containers"][0]["how"] = old["containers"][0].pop("action")
    (own / "ended.json").write_text(json.dumps(old))
    note(pool, docker.containers[1])
    assert Recovery(pool.access).resume(pool.containers)
    assert docker.done == ["start old", "start new"]
    assert not (own / "ended.json").exists()
    assert not (own / "suspended.json").exists()


@pytest.mark.parametrize("make", ["symlink_to", "mkdir"])
def test_something_else_in_the_place_of_the_note_is_mended(
    open_pool: Open, docker: Engine, make: str
) -> None:
    pool = open_pool()
    getattr(pool.root / "v/.dvol/suspended.json", make)(
        *(["nowhere"] if make == "symlink_to" else [])
    )
    assert not Recovery(pool.access).resume(pool.containers)
    assert [one.state for one in pool.fsck("v", repair=True)] == ["repaired"]
    assert Recovery(pool.access).resume(pool.containers)


def test_a_note_of_a_container_without_the_volume_starts_nobody(
    open_pool: Open, docker: Engine
) -> None:
    docker.containers = [container("foreign", "other", "exited")]
    pool = open_pool()
    note(pool, docker.containers[0])
    assert Recovery(pool.access).resume(pool.containers)
    assert (docker.done, noted(pool)) == ([], [])


@pytest.mark.parametrize("certain", [True, False])
def test_who_does_not_ask_docker_forgets_nobody(
    open_pool: Open, docker: Engine, certain: bool
) -> None:
    """It is left to the next one who does."""
    docker.containers = [container("db", "v", "exited")]
    note(open_pool(), docker.containers[0])
    LocalEngine(open_pool().root, NoContainers(certain)).commit("v", "x", ANN)
    assert (docker.done, noted(open_pool())) == ([], ["/db"])
    open_pool().commit("v", "x", ANN)
    assert docker.done[0] == "start db"


def test_what_is_ill_is_waited_for_once(open_pool: Open, docker: Engine, told: list[str]) -> None:
    """Also for two that need it; and not at all if it was ill before."""
    own = {"com.docker.compose.project": "p"}
    needs = {"com.docker.compose.depends_on": "db:service_healthy:false"}
    db = container("db", "v") | {"Labels": own | {"com.docker.compose.service": "db"}}
    db |= {"Healthcheck": {"Test": ["CMD-SHELL", "false"]}}
    webs = [container(name, "v") | {"Labels": own | needs} for name in ("one", "two")]
    docker.containers = [db, *webs]
    docker.sick = {db["Id"]}
    open_pool(ContainerOptions(ready_timeout=0)).commit("v", "x", ANN)
    assert docker.done[-2:] == ["start one", "start two"]
    assert sum("its health check has not passed" in line for line in told) == 1
    docker.done.clear()
    told.clear()
    db["Health"] = {"Status": "unhealthy", "FailingStreak": 3}
    open_pool().commit("v", "x", ANN)
    assert docker.done.count("exec db") == 0
    assert "started /db (it was unhealthy before: not waited for)" in told
    assert not any("warning" in line for line in told)


def test_a_health_check_without_a_command_is_none(
    open_pool: Open, docker: Engine, told: list[str]
) -> None:
    docker.containers = [container("db", "v") | {"Healthcheck": {"Test": ["CMD-SHELL"]}}]
    open_pool().commit("v", "x", ANN)
    assert docker.done == ["stop db", "start db"]
    assert told[-1] == "started /db (no ready check: it may not answer yet)"


@pytest.mark.parametrize("state", ["paused", "restarting"])
def test_one_that_did_not_work_before_is_not_waited_for(
    open_pool: Open, docker: Engine, told: list[str], state: str
) -> None:
    sick = {"Healthcheck": {"Test": ["CMD", "false"]}}
    open_pool().commit("v", "x", ANN)
    docker.containers = [container("db", "v", state) | sick]
    docker.sick = {docker.containers[0]["Id"]}
    open_pool().reset("v")
    assert "start db" in docker.done
    assert "exec db" not in docker.done
    assert not any("ready" in line or "warning" in line for line in told)


def test_settings_of_a_volume_are_for_who_writes_to_it(
    open_pool: Open, docker: Engine, told: list[str]
) -> None:
    docker.containers = [container("db", "v"), container("reader", "v", RW=False)]
    pool = open_pool()
    pool.commit("v", "x", ANN)
    pool.config("v", "ready.exec", "true")
    pool.reset("v")
    assert "exec db" in docker.done
    assert "exec reader" not in docker.done
    assert "started /reader (no ready check: it may not answer yet)" in told
    own = {"Labels": {"dvol.ready.exec": "true"}}
    docker.containers[1] |= own
    pool.reset("v")
    assert "exec reader" in docker.done


def test_a_check_that_cannot_be_run_is_told_at_once(
    open_pool: Open, docker: Engine, told: list[str]
) -> None:
    docker.containers = [container("db", "v") | {"Labels": {"dvol.ready.exec": "nothing"}}]
    docker.cannot = {docker.containers[0]["Id"]}
    open_pool().commit("v", "x", ANN)
    reason = "it may not answer yet: its ready check cannot be run (exit code 127)"
    assert told[-1] == f"warning: /db was started again, but {reason}"
    assert docker.done.count("exec db") == 1


def test_a_label_that_is_no_port_is_told(open_pool: Open, docker: Engine, told: list[str]) -> None:
    docker.containers = [container("db", "v") | {"Labels": {"dvol.ready.port": "http"}}]
    open_pool().commit("v", "x", ANN)
    assert told[-1].endswith("it is not known whether it is ready: 'http' is not a port")


def test_settings_that_cannot_be_read_leave_nobody_stopped(open_pool: Open, docker: Engine) -> None:
    """A reset reads none before it stops a container."""
    docker.containers = [container("db", "v")]
    pool = open_pool()
    pool.commit("v", "x", ANN)
    (pool.root / "v/.dvol/config.json").write_text("{")
    pool.reset("v")
    assert docker.done[-1] == "start db"


@pytest.mark.parametrize(
    ("state", "since", "action", "was", "wanted"),
    [
        ("exited", FIRST, "stop", "running", ["start db"]),
        ("exited", FIRST, "kill", "running", ["start db"]),
        ("running", FIRST, "stop", "running", ["restart db"]),  # its end may be under way
        ("running", FIRST, "kill", "running", ["restart db"]),
        ("running", LATER, "stop", "running", []),  # somebody was quicker
        ("exited", LATER, "stop", "running", []),  # and has stopped it since
        ("exited", LATER, "stop", "restarting", ["start db"]),
        ("exited", FIRST, "stop", "paused", ["start db", "pause db"]),
        ("paused", FIRST, "kill", "paused", ["restart db", "pause db"]),
        ("paused", FIRST, "pause", "running", ["unpause db"]),
        ("running", FIRST, "pause", "running", []),
    ],
)
def test_after_a_death_each_is_made_what_it_was(
    open_pool: Open,
    docker: Engine,
    state: str,
    since: str,
    action: str,
    was: str,
    wanted: list[str],
) -> None:
    one = container("db", "v", state) | {"StartedAt": since}
    docker.containers = [one]
    pool = open_pool()
    note(pool, one, action=action, was=was)
    assert Recovery(pool.access).resume(pool.containers)
    assert docker.done == wanted
    assert noted(pool) == []


def test_one_that_a_dead_verb_of_another_volume_has_paused_is_not_paused_again(
    open_pool: Open, docker: Engine
) -> None:
    both = container("db", "v", "paused")
    both["Mounts"].append({**both["Mounts"][0], "Name": "w"})
    docker.containers = [both]
    pool = open_pool()
    pool.commit("w", "x", ANN)
    note(pool, both, action="pause")
    pool.reset("w")
    assert docker.done == ["stop db", "start db"]


def test_what_another_verb_did_to_a_paused_one_before_it_let_go_is_no_waking(
    open_pool: Open, docker: Engine
) -> None:
    """That verb ended the container, which was paused, started it and paused it again. Nothing was
    copied yet."""
    both = container("db", "v", "paused")
    docker.containers = [both]
    pool = open_pool(ContainerOptions(mode="pause"))

    def restart() -> None:
        moment = time.time_ns()
        both["StartedAt"] = LATER
        docker.events.append({"Action": "start", "Actor": {"ID": both["Id"]}, "timeNano": moment})

    with ThreadPoolExecutor() as threads:
        with exclusive(pool.access.pool.layout.container_lock(both["Id"]), "undo", 0.0):
            commit = threads.submit(pool.commit, "v", "x", ANN)
            while not docker.asked:
                time.sleep(0.01)
            time.sleep(0.1)
            restart()
        assert commit.result().state == "paused"


def test_one_that_is_gone_is_forgotten(open_pool: Open, docker: Engine) -> None:
    pool = open_pool()
    note(pool, container("db", "v"))
    assert Recovery(pool.access).resume(pool.containers)
    assert (docker.done, noted(pool)) == ([], [])


def test_one_that_does_not_start_stays_noted_and_is_tried_once_each_time(
    open_pool: Open, docker: Engine, told: list[str]
) -> None:
    """The volume's lock is held meanwhile: whoever waits for it must not wait for long."""
    docker.containers = [container("db", "v", "exited")]
    docker.refuses = {"start db"}
    pool = open_pool()
    note(pool, docker.containers[0])
    assert not Recovery(pool.access).resume(pool.containers)
    assert (docker.done, noted(pool)) == (["start db"], ["/db"])
    assert any("it cannot be done" in line for line in told)
    docker.refuses = set()
    assert Recovery(pool.access).resume(pool.containers)
    assert noted(pool) == []


def test_one_that_another_verb_is_at_work_on_is_left_until_that_has_ended(
    open_pool: Open, docker: Engine
) -> None:
    """It is as that verb has found it: paused, it does not write to the other volume."""
    both = container("db", "v", "paused")
    both["Mounts"].append({**both["Mounts"][0], "Name": "w"})
    docker.containers = [both]
    pool = open_pool()
    note(pool, both, action="pause")
    with exclusive(pool.access.pool.layout.container_lock(both["Id"]), "commit", 0.0):
        assert not Recovery(pool.access).resume(pool.containers)
        assert (docker.done, noted(pool)) == ([], ["/db"])
    assert Recovery(pool.access).resume(pool.containers)
    assert docker.done == ["unpause db"]


def test_one_that_another_verb_has_stopped_is_waited_for(
    open_pool: Open, docker: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not run, and will be started through this volume's gate."""
    monkeypatch.setattr("dvol.engine.quiesce.OTHERS_TIMEOUT", 0.1)
    docker.containers = [container("db", "v", "exited")]
    pool = open_pool()
    with exclusive(
        pool.access.pool.layout.container_lock(docker.containers[0]["Id"]), "commit", 0.0
    ):
        with pytest.raises(ContainerBusy, match="/db"):
            pool.commit("v", "x", ANN)
    pool.commit("v", "x", ANN)


def test_a_dependent_is_started_once_what_it_needs_is_well(open_pool: Open, docker: Engine) -> None:
    own = {"com.docker.compose.project": "p"}
    needs = {"com.docker.compose.depends_on": "db:service_healthy:false"}
    db = container("db", "v") | {"Labels": own | {"com.docker.compose.service": "db"}}
    web = container("web", "v") | {"Labels": own | needs | {"com.docker.compose.service": "web"}}
    db["Healthcheck"] = {"Test": ["CMD", "true"]}
    docker.containers = [web, db]
    open_pool(ContainerOptions(wait=False)).commit("v", "x", ANN)
    assert docker.done == ["stop web", "stop db", "start db", "exec db", "start web"]


def test_one_that_ends_right_after_its_start_is_told(
    open_pool: Open, docker: Engine, told: list[str]
) -> None:
    docker.containers = [container("db", "v")]
    docker.deaf = {"start db"}
    open_pool().commit("v", "x", ANN)
    assert told[-1] == "warning: /db was started again, but it has exited (0)"


def test_a_corrupt_note_is_found_and_mended_by_fsck(open_pool: Open, docker: Engine) -> None:
    pool = open_pool()
    (pool.root / "v/.dvol/suspended.json").write_text("{")
    [finding] = pool.fsck("v")
    assert "suspended.json is corrupt" in finding.problem
    assert "docker ps -a" in finding.problem
    assert [one.state for one in pool.fsck("v", repair=True)] == ["repaired"]
    assert pool.fsck("v") == []


def test_several_volumes_have_no_instant_in_common(open_pool: Open, docker: Engine) -> None:
    """Said by the command it is refused; a setting means each volume alone."""
    docker.containers = [container("db", "v")]
    with pytest.raises(LiveNeedsOneVolume):
        open_pool(ContainerOptions(mode="live")).commit_group(["v", "w"], "", "x", ANN)
    pool = open_pool()
    pool.config("", "commit.mode", "live")
    pool.commit_group(["v", "w"], "", "x", ANN)
    assert docker.done == ["pause db", "unpause db"]


def test_the_beginning_of_an_id_that_two_volumes_have_is_ambiguous(open_pool: Open) -> None:
    pool = open_pool()
    for volume, id in (("v", "abcd0"), ("w", "abcd1")):
        pool.commit(volume, "x", ANN)
        rename(pool, volume, id.ljust(40, "0"))
    with pytest.raises(AmbiguousRevision, match="abcd0"):
        pool.reset_group(["v", "w"], "", "abcd")


def rename(pool: LocalEngine, volume: str, id: str) -> None:
    """Give the only commit of a volume that id."""
    place = pool.root / volume
    [commit] = json.loads((place / "branches/master.json").read_text())
    (place / "commits" / commit["id"]).rename(place / "commits" / id)
    (place / "branches/master.json").write_text(json.dumps([commit | {"id": id}]))


def test_two_verbs_that_share_a_container_take_turns(open_pool: Open, docker: Engine) -> None:
    both = container("db", "v")
    both["Mounts"].append({**both["Mounts"][0], "Name": "w"})
    docker.containers = [both]
    pools = {volume: open_pool() for volume in ("v", "w")}
    threads = [
        threading.Thread(target=lambda v=v: [pools[v].commit(v, "x", ANN) for _ in range(5)])
        for v in pools
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert docker.done == ["stop db", "start db"] * 10
    eventually(lambda: both["State"] == "running")


def test_a_name_that_docker_has_given_to_a_volume_of_its_own_is_refused(
    docker: Engine, open_pool: Open
) -> None:
    """Containers would get that one, and commits would hold nothing of it. In a pool without a
    server names are one's own."""
    docker.local = ["shop_db"]
    own = open_pool()
    served = LocalEngine(own.root, docker.asked_by(plugin=True))
    with pytest.raises(NameUsedByDocker, match="shop_db"):
        served.init("shop_db")
    assert "shop_db" not in [one.name for one in served.volumes()]
    served.init("shop_cache")
    own.init("shop_db")


def test_list_and_commit_warn_where_docker_keeps_a_volume_of_that_name(
    docker: Engine, open_pool: Open, told: list[str]
) -> None:
    """It was made after dvol's: containers get Docker's."""
    pool = open_pool()
    served = LocalEngine(pool.root, docker.asked_by(plugin=True), told.append)
    docker.local = ["v", "other"]
    served.volumes()
    served.commit("v", "x", ANN)
    warned = [line for line in told if "Docker has a local volume named v," in line]
    assert len(warned) == 2
    assert not [line for line in told if "named other" in line]
    told.clear()
    served.commit("w", "x", ANN)
    docker.containers = [container("db", "v")]
    served.commit("v", "x", ANN)
    assert not [line for line in told if "local" in line]


def test_a_commit_of_nothing_says_so(open_pool: Open, told: list[str]) -> None:
    """The first start of a container copies files into an empty volume, and Docker does that
    once: a reset to such a commit leaves the container without them."""
    pool = open_pool()
    pool.commit("v", "x", ANN)
    assert told == []
    (pool.root / "v/branches/master/file").unlink()
    pool.commit("v", "x", ANN)
    assert [line for line in told if "the volume v is empty, and so is this commit" in line]


def test_one_that_does_not_start_is_tried_again_at_the_end_of_the_verb(
    open_pool: Open, docker: Engine, told: list[str]
) -> None:
    """It may need what the verb puts back."""
    docker.containers = [container("db", "v", "exited")]
    docker.refuses = {"start db"}
    pool = open_pool()
    note(pool, docker.containers[0])
    starts = iter([lambda: None, docker.refuses.clear])
    docker.before["start db"] = lambda: next(starts)()
    pool.commit("v", "x", ANN)
    assert docker.done == ["start db", "start db"]
    assert not [line for line in told if "does not run" in line]
    assert "runs again" in "".join(told)
    assert noted(pool) == []


def test_a_container_whose_pool_is_not_clear_is_not_touched(
    open_pool: Open, docker: Engine
) -> None:
    """Its driver is no plugin that Docker has: it may be this one under an earlier name."""
    pool = open_pool()
    pool.commit("v", "x", ANN)
    docker.containers = [container("db", "v", Driver="gone")]
    for verb in (lambda: pool.commit("v", "x", ANN), lambda: pool.reset("v")):
        with pytest.raises(UnclearPool, match="/db"):
            verb()
    assert (docker.done, len(pool.log("v"))) == ([], 1)
    docker.containers[0]["State"] = "exited"
    pool.commit("v", "x", ANN)
    docker.containers = [container("db", "v", Driver="other")]
    pool.commit("v", "x", ANN)
    assert docker.done == []


def test_whose_plugin_is_disabled_is_not_ended(docker: Engine, open_pool: Open) -> None:
    docker.containers, docker.enabled = [container("db", "v")], False
    with pytest.raises(CannotSuspend, match="enable the plugin dvol:latest first"):
        open_pool().commit("v", "x", ANN)
    assert docker.done == []
    assert open_pool().log("v") == []
    open_pool(ContainerOptions(mode="pause")).commit("v", "x", ANN)
    assert docker.done == ["pause db", "unpause db"]
