"""What is done to which container, and in which order: pure rules."""

from __future__ import annotations

import pytest

from dvol.containers.container import Container, Mounted, parse
from dvol.containers.policy import action_for, lost_sharers, with_sharers
from dvol.containers.start_order import in_order, waves
from dvol.errors import SharerWouldBeRemoved, WouldBeRemoved

OURS = frozenset({"db"})


def container(name: str = "/app", state: str = "running", **facts: object) -> Container:
    usual = {"mounts": (Mounted("db", True),), "started": "2026-01-01T00:00:00Z"}
    return Container(id=name, name=name, state=state, **(usual | facts))  # type: ignore[arg-type]


READER = (Mounted("db", False),)
MIXED = (Mounted("db", True), Mounted("", True))
BESIDE = (Mounted("db", True), Mounted("", False))


@pytest.mark.parametrize(
    ("one", "stop", "pause", "live", "reset", "switch"),
    [
        (container(), "stop", "pause", "", "kill", "stop"),
        (container(mounts=READER), "", "", "", "stop", "stop"),
        (container(mounts=MIXED), "stop", "pause", "", "stop", "stop"),
        (container(mounts=BESIDE), "stop", "pause", "", "kill", "stop"),
        (container(state="paused"), "", "", "", "kill", "stop"),
        (container(state="restarting"), "stop", "stop", "", "kill", "stop"),
        (container(removes_itself=True), "pause", "pause", "", None, None),
    ],
)
def test_what_is_done_to_a_container(
    one: Container,
    stop: str,
    pause: str,
    live: str,
    reset: str | None,
    switch: str | None,
) -> None:
    wanted = {"stop": stop, "pause": pause, "live": live, "reset": reset, "switch": switch}
    for purpose, action in wanted.items():
        if action is None:
            with pytest.raises(WouldBeRemoved, match="--rm"):
                action_for(one, OURS, purpose)
            assert action_for(one, OURS, purpose, force=True)
        else:
            assert action_for(one, OURS, purpose) == action, purpose


def test_two_volumes_that_are_both_put_back_are_all_of_its_data() -> None:
    both = container(mounts=(Mounted("db", True), Mounted("cache", True)))
    assert action_for(both, OURS, "reset") == "stop"
    assert action_for(both, frozenset({"db", "cache"}), "reset") == "kill"


def service(name: str, started: int, *needs: str, project: str = "shop") -> Container:
    facts = {"started": f"2026-01-01T00:00:0{started}Z", "needs": needs}
    return container(f"/{name}", project=project, service=name, **facts)


def names(containers: list[Container]) -> list[str]:
    return [one.name for one in containers]


def test_who_started_first_is_started_first() -> None:
    assert names(in_order([service("b", 2), service("a", 1)])) == ["/a", "/b"]


def test_who_is_needed_is_started_before() -> None:
    web, db, cache = (
        service("web", 1, "db", "cache"),
        service("db", 2, "cache"),
        service("cache", 3),
    )
    assert names(in_order([web, db, cache])) == ["/cache", "/db", "/web"]
    assert [names(wave) for wave in waves([web, db, cache])] == [["/cache"], ["/db"], ["/web"]]


def test_a_service_of_another_project_is_another_one() -> None:
    web, db = service("web", 1, "db"), service("db", 2, project="other")
    assert names(in_order([web, db])) == ["/web", "/db"]
    assert [names(wave) for wave in waves([web, db])] == [["/web", "/db"]]


def test_a_circle_stays_as_found() -> None:
    one, two = service("one", 1, "two"), service("two", 2, "one")
    assert sorted(names(in_order([two, one]))) == ["/one", "/two"]
    assert sorted(name for wave in waves([one, two]) for name in names(wave)) == ["/one", "/two"]


def parsed(labels: dict[str, str] | None = None, **host: object) -> Container:
    return parse(
        {
            "Id": "2" * 64,
            "Name": "/beside",
            "State": {"Running": True, "Paused": False, "StartedAt": "2026"},
            "Config": {"Labels": labels, "StopTimeout": 0},
            "HostConfig": {"AutoRemove": False} | host,
            "Mounts": [{"Type": "volume", "Name": "db", "Driver": "dvol:latest", "RW": True}],
        },
        lambda mount: Mounted(mount["Name"], mount["RW"]),
    )


def test_a_shared_network_is_a_need() -> None:
    found = parsed(NetworkMode=f"container:{'1' * 64}")
    assert (found.needs, found.stop_timeout, found.state) == (("1" * 64,), 0, "running")
    assert found.mounts == (Mounted("db", True),)


@pytest.mark.parametrize("mode", ["NetworkMode", "PidMode", "IpcMode"])
@pytest.mark.parametrize("name", ["db", "1" * 12, "1" * 64])
def test_who_shares_a_namespace_is_known_by_any_name(mode: str, name: str) -> None:
    db = container("/db")._replace(id="1" * 64)
    found = parsed(**{mode: f"container:{name}"})
    assert found.shares_with(db)
    assert not found.shares_with(db._replace(id="3" * 64, name="/other"))
    assert names(in_order([found._replace(started=""), db])) == ["/db", "/beside"]


@pytest.mark.parametrize(
    ("once", "version", "wanted"),
    [("True", "1.29.2", True), ("False", "1.29.2", False), ("True", "2.26.1", False)],
)
def test_a_container_that_compose_1_runs_once_is_removed_by_it(
    once: str, version: str, wanted: bool
) -> None:
    labels = {"com.docker.compose.oneoff": once, "com.docker.compose.version": version}
    assert parsed(labels).removes_itself == wanted


def sharer(name: str, owner: str, **facts: object) -> Container:
    return container(f"/{name}", mounts=(), shares=(owner,), **facts)


@pytest.mark.parametrize(("purpose", "action"), [("stop", "stop"), ("reset", "kill")])
def test_who_shares_with_one_that_is_ended_is_stopped_as_well(purpose: str, action: str) -> None:
    """Also by way of another, and one that only reads; nobody else."""
    db = container("/db")
    reader = sharer("reader", "web")._replace(mounts=READER)
    alive = [db, reader, sharer("web", "db"), sharer("other", "elsewhere")]
    found = with_sharers({"/db": action, "/reader": ""}, [db], alive, purpose)
    assert found == {"/db": action, "/web": "stop", "/reader": "stop"}


def test_who_shares_with_one_that_is_paused_is_left_alone() -> None:
    alive = [container("/db"), sharer("web", "db")]
    assert with_sharers({"/db": "pause"}, [], alive, "pause") == {"/db": "pause"}


def test_one_is_only_paused_whose_end_would_remove_another() -> None:
    db = container("/db")
    alive = [db, sharer("web", "db"), sharer("once", "web", removes_itself=True)]
    assert with_sharers({"/db": "stop"}, [db], alive, "stop") == {"/db": "pause"}
    for purpose in ("reset", "switch"):
        with pytest.raises(SharerWouldBeRemoved, match=r"/once was started with --rm.*with /db"):
            with_sharers({"/db": "stop"}, [db], alive, purpose)
        found = with_sharers({"/db": "stop"}, [db], alive, purpose, force=True)
        assert found == {"/db": "stop", "/web": "stop", "/once": "stop"}


def test_who_shares_with_one_that_was_ended_already_is_stopped() -> None:
    """It came in between."""
    assert with_sharers({}, [container("/db")], [sharer("web", "db")], "stop") == {"/web": "stop"}


def test_a_commit_leaves_alone_who_came_while_its_owner_was_ended_and_can_only_be_removed() -> None:
    """It has lost what it shares already, and no refusal would bring that back. One that is removed
    with a process of another's is not ended by stopping that one, either."""
    db, once = container("/db"), sharer("once", "db", removes_itself=True)
    assert with_sharers({}, [db], [once, sharer("web", "db")], "stop") == {"/web": "stop"}
    by_way = [sharer("side", "db"), sharer("once", "side", removes_itself=True)]
    assert with_sharers({}, [db], by_way, "stop") == {}
    assert [(one.name, lost.name) for one, lost in lost_sharers({}, [db], [once])] == [
        ("/once", "/db")
    ]
    assert with_sharers({}, [db], [once], "stop", force=True) == {"/once": "stop"}
    with pytest.raises(SharerWouldBeRemoved, match="/once"):
        with_sharers({}, [db], [once], "reset")


def test_a_commit_stops_a_restart_loop_though_one_shared_with_it_that_can_only_be_removed() -> None:
    """Between two runs there is no process whose namespaces it could have."""
    loop = container("/db", "restarting")
    alive = [loop, sharer("once", "db", removes_itself=True)]
    found = with_sharers({"/db": "stop"}, [loop], alive, "stop")
    assert found == {"/db": "stop"}
    assert lost_sharers(found, [loop], alive) == []  # it was not dvol


def test_one_that_has_the_volume_and_was_to_be_paused_is_not_ended_with_its_owner() -> None:
    db, once = container("/db"), sharer("once", "db", removes_itself=True)
    writer = once._replace(mounts=(Mounted("db", True),))
    assert with_sharers({"/once": "pause"}, [db], [writer], "stop") == {"/once": "pause"}
