"""Words for facts: sizes, and where HEAD is."""

import pytest

from dvol.cli import render
from dvol.model import Commit
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
