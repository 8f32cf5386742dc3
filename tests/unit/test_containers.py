"""What is done to which container, and in which order: pure rules."""

from __future__ import annotations

import pytest

from dvol.containers.container import Container, Mounted, parse
from dvol.containers.policy import action_for
from dvol.containers.start_order import in_order, waves
from dvol.errors import WouldBeRemoved

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


def test_a_shared_network_is_a_need() -> None:
    found = parse(
        {
            "Id": "2" * 64,
            "Name": "/beside",
            "State": {"Running": True, "Paused": False, "StartedAt": "2026"},
            "Config": {"Labels": None, "StopTimeout": 0},
            "HostConfig": {"NetworkMode": f"container:{'1' * 64}", "AutoRemove": False},
            "Mounts": [{"Type": "volume", "Name": "db", "Driver": "dvol:latest", "RW": True}],
        }
    )
    assert (found.needs, found.stop_timeout, found.state) == (("1" * 64,), 0, "running")
    assert found.mounts == (Mounted("db", True),)
