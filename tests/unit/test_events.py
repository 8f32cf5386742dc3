"""What another command has said to a container, by Docker's events."""

from __future__ import annotations

from typing import Any

import pytest

from dvol.containers.events import Call, has_run, state_by_others

STOPS = [Call("stop", 100)]


def events(*words: str) -> list[dict[str, Any]]:
    """`50 kill 15`: the time, the action, the signal."""
    found = []
    for word in words:
        time, action, *signal = word.split()
        attributes = {"signal": signal[0]} if signal else {}
        event = {"timeNano": int(time), "Action": action, "Actor": {"Attributes": attributes}}
        found.append(event)
    return found


OWN_STOP = ("101 kill 15", "105 die", "106 stop")


@pytest.mark.parametrize(
    ("happened", "word"),
    [
        ((), ""),
        (OWN_STOP, ""),
        (("101 kill 2", "103 kill 9", "105 die", "106 stop"), ""),  # it did not stop in time
        (("101 kill 15", "102 kill 15", "105 die", "106 stop"), ""),  # repeated by dvol
        (("101 kill 15", "102 kill 15", "103 kill 15", "105 die", "106 stop"), "stopped"),
        (("101 kill 15", "102 kill 15", "105 die", "106 stop", "107 stop"), "stopped"),
        ((*OWN_STOP, "107 stop"), "stopped"),
        (("101 kill 15", "102 kill 1", "105 die", "106 stop"), ""),  # a signal to reload
        (("101 kill 9", "102 kill 9", "103 kill 9", "105 die", "106 stop"), ""),  # STOPSIGNAL 9
        (
            ("101 kill 15", "102 pause", "103 kill 9", "104 unpause", "105 die", "106 stop"),
            "paused",
        ),
        (("50 kill 15", "55 die", "60 stop"), "stopped"),  # before dvol's stop, which did nothing
        (("50 kill 15", "55 die", "60 stop", "70 start", *OWN_STOP), ""),
        (("50 kill 9", "55 die"), "stopped"),
        (("55 die",), ""),  # it has ended by itself
        (("50 pause", "101 kill 15", "102 unpause", "105 die", "106 stop"), "paused"),
        (("50 pause", "60 unpause", *OWN_STOP), ""),
        (("101 kill 15", "102 kill 15", "105 die", "106 stop", "107 start"), ""),  # and restarted
        (("50 exec_create: pg_isready", *OWN_STOP), ""),
    ],
)
def test_what_counts_is_what_dvol_did_not_do(happened: tuple[str, ...], word: str) -> None:
    assert state_by_others(events(*happened), STOPS) == word


@pytest.mark.parametrize(
    ("happened", "word"),
    [
        (("101 kill 9", "105 die"), ""),
        (("101 kill 9", "102 kill 9", "105 die"), "stopped"),
        (("101 kill 9", "102 kill 15", "105 die"), "stopped"),
    ],
)
def test_beside_a_kill(happened: tuple[str, ...], word: str) -> None:
    assert state_by_others(events(*happened), [Call("kill", 100)]) == word


def test_a_container_may_have_been_ended_twice() -> None:
    calls = [Call("stop", 100), Call("stop", 200)]
    again = ("150 start", "201 kill 15", "205 die", "206 stop")
    assert state_by_others(events(*OWN_STOP, *again), calls) == ""


def test_beside_a_pause() -> None:
    calls = [Call("pause", 100)]
    assert state_by_others(events("101 pause"), calls) == ""
    assert state_by_others(events("101 pause", "102 kill 15", "103 die", "104 stop"), calls)


@pytest.mark.parametrize(
    ("happened", "ran"),
    [
        (("50 start", "60 unpause", "101 pause"), False),
        (("101 pause", "102 exec_create: x"), False),
        (("101 pause", "102 unpause", "103 pause"), True),
        (("101 pause", "102 kill 15", "103 unpause", "104 die"), True),
    ],
)
def test_one_that_is_paused_may_have_run(happened: tuple[str, ...], ran: bool) -> None:
    assert has_run(events(*happened), 100) is ran
