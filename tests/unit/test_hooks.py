"""Which hooks a container has, and what their exit codes mean."""

from __future__ import annotations

import pytest

from dvol.containers.execution import FAILED, HANGS, KILLED
from dvol.containers.hooks import POST_COMMIT, PRE_COMMIT, Hooks, failure, parse


def parsed(**labels: str) -> Hooks:
    listed = {f"dvol.exec.{name.replace('_', '-')}": text for name, text in labels.items()}
    return parse({"Config": {"Labels": listed}})


def test_a_container_without_labels_has_none() -> None:
    assert parse({"Config": {"Labels": None}}) == parsed() == Hooks()
    assert parsed(timeout="x") == Hooks()  # nothing is to be timed


def test_a_label_is_a_line_for_a_shell_or_a_list_of_words() -> None:
    both = parsed(pre_commit="sync; true", post_commit='["a", "b c"]', timeout="5")
    assert both == Hooks("sync; true", '["a", "b c"]', 5)
    assert both.command(PRE_COMMIT) == ("/bin/sh", "-c", "sync; true")
    assert both.command(POST_COMMIT) == ("a", "b c")


@pytest.mark.parametrize("timeout", ["0", "-1", "1.5", "1 s", "86401", "9" * 5000, "\u0663"])
def test_a_time_that_is_none_is_a_problem(timeout: str) -> None:
    assert timeout in parsed(pre_commit="x", timeout=timeout).problem


@pytest.mark.parametrize("timeout", ["1", "86400"])
def test_a_time_is_a_number_of_seconds(timeout: str) -> None:
    found = parsed(post_commit="x", timeout=timeout)
    assert (found.timeout, found.problem) == (int(timeout), "")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, ""),
        (FAILED, "exit code 1"),
        (127, "exit code 127; its image may lack that program"),
        (KILLED, "it did not end in 5 s, and was killed"),
        (HANGS, "it did not end in 5 s, and its process could not be killed"),
    ],
)
def test_a_failure_has_a_reason(code: int, said: str) -> None:
    assert failure(code, 5) == said
