"""Words for facts: sizes, and where HEAD is."""

import pytest

from dvol.cli import render
from dvol.model import Commit, ReflogEntry, Writer
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


def headers(*writers: Writer, data: str = "") -> list[str]:
    """What the log says between a commit's date and its message."""
    text = render.log([Commit("a" * 40, "x", data=data, writers=writers)])
    return text[: text.index("\n\n")].splitlines()[3:]


def test_the_log_tells_who_wrote_and_which_data() -> None:
    digest = "postgres@sha256:" + "0123456789abcdef" * 4
    one = Writer("/pg", "postgres:17", digest, "/var/lib/postgresql/data", "PostgreSQL 17")
    assert headers(one, data="PostgreSQL 17") == [
        "Data:   PostgreSQL 17",
        "Image:  postgres:17 (digest 0123456789ab) in /pg at /var/lib/postgresql/data",
    ]
    assert headers() == []


def test_containers_of_one_image_share_a_line_of_the_log() -> None:
    app = Writer("/web-1", "app:2", "sha256:" + "f" * 64, "/data")
    three = [app._replace(name=f"/web-{number}") for number in (1, 2, 3)]
    cron = Writer("/cron", "app:2", app.digest, "/mnt")
    assert headers(*three, cron, Writer("/unknown")) == [
        "Image:  app:2 (id ffffffffffff) in /web-1, /web-2, /web-3 at /data",
        "Image:  app:2 (id ffffffffffff) in /cron at /mnt",
    ]
    assert headers(Writer("/x", "a:1")) == ["Image:  a:1 in /x"]
    assert headers(Writer("/x", "", app.digest)) == ["Image:  id ffffffffffff in /x"]


def test_no_name_in_the_log_reaches_the_terminal_as_an_escape() -> None:
    hostile = Writer("/x\x1b[2J", "a\n\x1b[31m", "sha256:\x07\x07", "/\x9b")
    assert all(line.isprintable() for line in headers(hostile, data="\x1b[2J"))
