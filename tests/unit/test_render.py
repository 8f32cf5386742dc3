"""Words for facts: sizes, and where HEAD is."""

import pytest

from dvol.cli import render
from dvol.model import Commit, ReflogEntry
from dvol.sizes import readable


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_048_575, "1.0 MiB"),
        (1_288_490_189, "1.2 GiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 63, "8.0 EiB"),
    ],
)
def test_a_size_is_readable(size: int, text: str) -> None:
    assert readable(size) == text


def test_head_is_said_as_git_says_it() -> None:
    commit = Commit("0123456789" * 4, "the title\nand more")
    assert render.head(commit) == "HEAD is now at 0123456 the title"
    assert render.head(Commit("", "")) == "HEAD is now before the first commit"


def test_the_reflog_is_printed_as_git_prints_it() -> None:
    one, two = "1f2e3d4" + "0" * 33, "a" * 40
    date = "2026-11-27T15:40:10+00:00"
    found = [
        ReflogEntry("HEAD@{0}", one, "reset", date, "moving to 1f2e3d4", "master"),
        ReflogEntry("HEAD@{1}", two, "commit", date, "a\x1b[31m title", "master"),
        ReflogEntry("HEAD@{2}", "", "undo", date, "", "master"),
        ReflogEntry("HEAD@{3}", one),
    ]
    assert render.reflog(found) == (
        "1f2e3d4 HEAD@{0}: reset: moving to 1f2e3d4\n"
        "aaaaaaa HEAD@{1}: commit: a\\x1b[31m title\n"
        "0000000 HEAD@{2}: undo\n"
        "1f2e3d4 HEAD@{3}\n"
    )
    assert render.reflog([]) == ""
