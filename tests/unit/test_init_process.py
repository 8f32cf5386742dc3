"""Whether the first process of a container catches the signal that stops it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dvol.containers.init_process import catches, signal_number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("", signal.SIGTERM),
        ("SIGINT", signal.SIGINT),
        ("quit", signal.SIGQUIT),
        ("9", 9),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("SIGNOTHING", 0),
        ("SIGTERM+x", 0),
    ],
)
def test_an_image_may_name_any_signal(name: str, number: int) -> None:
    assert signal_number(name) == number


@pytest.mark.parametrize(
    ("status", "caught"),
    [
        ("SigIgn:\t0000000000004000\nSigCgt:\t0000000000000000\n", False),
        ("SigCgt:\t0000000000004002\n", True),
        ("SigCgt:\t0000000000000002\n", False),
        ("SigBlk:\t0000000000004000\nSigCgt:\t0000000000000000\n", None),  # it waits
        ("SigBlk:\t0000000000000001\nSigCgt:\t0000000000000000\n", False),
        ("cat: can't open '/proc/1/status'", None),
        ("", None),
    ],
)
def test_a_process_catches_what_it_has_a_handler_for(status: str, caught: bool | None) -> None:
    assert catches(status, signal.SIGTERM) is caught


def test_this_process_is_read_as_it_is() -> None:
    before = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    try:
        status = Path("/proc/self/status").read_text()
        assert catches(status, signal.SIGUSR1)
        assert catches(status, signal.SIGUSR2) is False
    finally:
        signal.signal(signal.SIGUSR1, before)
