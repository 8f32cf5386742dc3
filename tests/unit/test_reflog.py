"""Where HEAD and the branches pointed, as read from lines of which some are missing or untrue."""

import json
import random
import stat
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from dvol.errors import BadDocument
from dvol.history import reflog
from dvol.history.reflog import Line, append, at, at_time, expire, walk
from dvol.layout import PoolLayout, VolumeLayout
from dvol.model import ReflogEntry

A, B, C, D, E = (digit * 40 for digit in "abcde")
START = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def layout(tmp_path: Path) -> VolumeLayout:
    layout = PoolLayout(tmp_path).volume("data")
    layout.own.mkdir(parents=True)
    return layout


def change(old: str, new: str, hour: int = 0, **fields) -> Line:
    """A reset of the current branch `master`."""
    date = (START + timedelta(hours=hour)).isoformat(timespec="seconds")
    line = Line("master", old, new, "reset", f"moving to {new[:7]}", True, date)
    return line._replace(**fields)


def entries(layout: VolumeLayout, branch: str, head_now: str) -> list[ReflogEntry]:
    return list(reflog.entries(layout, branch, head_now))


def log(layout: VolumeLayout, *lines: Line) -> None:
    for line in lines:
        append(layout, line)


def pointed(lines: list[Line], head_now: str) -> str:
    """Where the branch pointed, newest first: a letter for each commit, `-` for none, upper case
    where the line of the change is there."""
    found = list(walk(reversed(lines), head_now))
    return "".join((line.new[:1].upper() if line.verb else line.new[:1]) or "-" for line in found)


@pytest.mark.parametrize(
    ("changes", "head_now", "expected"),
    [
        ([], "", ""),
        ([], A, "a"),
        (["-a"], A, "A"),
        (["-a", "ab", "bc"], C, "CBA"),
        (["ab", "bc"], C, "CBa"),
        (["-a", "ab", "ba"], A, "ABA"),
        (["-a", "aa"], A, "AA"),
        (["-a", "ab", "bc"], B, "BA"),
        (["-a", "ab", "ac", "cd"], D, "DCA"),
        (["-a", "ab", "ac", "ad"], A, "A"),
        (["-a"], "", ""),
        (["-a", "bc"], C, "CbA"),
        (["-a", "ab"], C, "cBA"),
        (["-a", "bc", "cd", "de"], D, "DCbA"),
        (["-a", "ab", "de"], C, "cEdBA"),
        (["-a", "a-"], "", "-A"),
        (["-a", "a-", "-b"], B, "B-A"),
        (["-a", "-b"], B, "B"),
        (["ab", "-c"], C, "C-Ba"),
    ],
    ids=[
        "none",
        "no line",
        "first",
        "several",
        "older than the reflog",
        "there and back",
        "to itself",
        "last did not happen",
        "one between did not happen",
        "several did not happen",
        "first did not happen",
        "one is missing",
        "last is missing",
        "missing and did not happen",
        "several are missing",
        "deleted",
        "deleted and made anew",
        "first at the second attempt",
        "deletion is missing",
    ],
)
def test_where_a_branch_pointed(changes: list[str], head_now: str, expected: str) -> None:
    ids = dict(zip("abcde-", (A, B, C, D, E, ""), strict=True))
    lines = [change(ids[old], ids[new]) for old, new in changes]
    assert expected == pointed(lines, head_now)


@pytest.mark.parametrize("seed", range(20))
def test_changes_that_never_happened_are_left_out_wherever_they_stand(seed: int) -> None:
    """Of changes drawn at random, some never happened; no two that did lead to the same commit as
    the one before."""
    draw = random.Random(seed)
    lines, true, now = [], [], ""
    for _ in range(200):
        new = draw.choice([id for id in ("", A, B, C, D, E) if id != now])
        lines.append(change(now, new))
        if draw.random() < 0.7:
            true.append(lines[-1])
            now = new
    assert list(walk(reversed(lines), now)) == true[::-1]


def test_an_entry_has_what_the_line_says(layout: VolumeLayout) -> None:
    log(layout, change("", A, verb="commit", message="first"), change(A, B, 1))
    assert entries(layout, "", B) == [
        ReflogEntry(
            "HEAD@{0}", B, "reset", "2026-11-27T13:00:00+00:00", "moving to bbbbbbb", "master"
        ),
        ReflogEntry("HEAD@{1}", A, "commit", "2026-11-27T12:00:00+00:00", "first", "master"),
    ]


def test_a_branch_has_its_own_lines_and_head_those_of_the_current_branch(
    layout: VolumeLayout,
) -> None:
    moving = "moving from master to feature"
    log(
        layout,
        change("", A),
        change(A, B),
        Line("feature", "", A, "branch", "created from HEAD^", False),
        Line("feature", B, A, "checkout", moving, True),
        change(A, C, branch="feature"),
        change(B, "", verb="branch -d", head=False),
    )
    named = [(one.selector, one.id, one.verb) for one in entries(layout, "", C)]
    assert named == [
        ("HEAD@{0}", C, "reset"),
        ("HEAD@{1}", A, "checkout"),
        ("HEAD@{2}", B, "reset"),
        ("HEAD@{3}", A, "reset"),
    ]
    named = [(one.selector, one.id, one.verb) for one in entries(layout, "feature", C)]
    assert named == [("feature@{0}", C, "reset"), ("feature@{1}", A, "branch")]
    assert [one.id for one in entries(layout, "master", "")] == ["", B, A]
    assert entries(layout, "other", "") == []


def test_an_entry_by_number_or_none(layout: VolumeLayout) -> None:
    log(layout, change("", A), change(A, ""), change("", B))
    found = entries(layout, "", B)
    assert [at(found, n) for n in (0, 1, 2, 3, 10**9)] == [B, None, A, None, None]


def test_where_head_pointed_at_a_time(layout: VolumeLayout) -> None:
    log(layout, change("", A, 1), change(A, B, 2), change(B, "", 3), change("", C, 4))
    found = entries(layout, "", C)
    hours = (0.9, 1, 1.9, 2, 3.5, 4, 100)
    ids = [at_time(found, START + timedelta(hours=hour)) for hour in hours]
    assert ids == [None, A, A, B, None, C, C]


def test_before_the_oldest_line_nothing_is_known(layout: VolumeLayout) -> None:
    log(layout, change(A, B, 1))
    found = entries(layout, "", B)
    assert [one.id for one in found] == [B, A]
    assert at_time(found, START) is None
    assert found[1].date == ""


def test_of_missing_lines_the_present_is_pointed_at_now(layout: VolumeLayout) -> None:
    log(layout, change("", A, 1))
    found = entries(layout, "", C)
    assert at_time(found, START + timedelta(hours=2)) == C
    assert (found[0].verb, found[0].date) == ("", "2026-11-27T13:00:00+00:00")


def test_a_line_gets_the_present_date_and_the_title_of_its_message(layout: VolumeLayout) -> None:
    append(layout, change("", A, date="", message="título 🐘 \udcff" + "x" * 1000 + "\nbody"))
    [entry] = entries(layout, "", A)
    assert entry.message == ("título 🐘 \udcff" + "x" * 1000)[:100]
    assert abs(datetime.fromisoformat(entry.date) - datetime.now(UTC)) < timedelta(minutes=1)
    assert stat.S_IMODE(layout.reflog.stat().st_mode) == 0o600


BROKEN = {
    "branch": 1,
    "old": "a" * 39,
    "new": A.upper(),
    "verb": None,
    "message": ["x"],
    "head": 1,
    "date": "2026-11-27",
}


@pytest.mark.parametrize("field", [*BROKEN, *(f"no {name}" for name in BROKEN)])
def test_a_line_with_a_field_that_is_wrong_or_missing_is_ignored(
    layout: VolumeLayout, field: str
) -> None:
    good = change(B, C)
    broken = good._asdict() | {field: BROKEN.get(field)}
    broken.pop(field.removeprefix("no "), None) if field not in BROKEN else None
    layout.reflog.write_text(f"{json.dumps(change('', B)._asdict())}\n{json.dumps(broken)}\n")
    assert [one.id for one in entries(layout, "", B)] == [B]


@pytest.mark.parametrize(
    "torn",
    [b"", b"\n\n", b'{"branch": "mas', b"\0" * 4096, b"\xff\xfe\n", b"[" * 100_000, b"[]", b"1"],
    ids=["nothing", "empty lines", "half", "zeros", "binary", "deep", "list", "number"],
)
def test_what_is_no_line_is_ignored(layout: VolumeLayout, torn: bytes) -> None:
    log(layout, change("", A))
    with layout.reflog.open("ab") as file:
        file.write(torn)
    log(layout, change(A, B))
    assert [one.id for one in entries(layout, "", B)] == [B, A]


def test_a_field_of_a_later_build_is_no_hindrance(layout: VolumeLayout) -> None:
    layout.reflog.write_text(json.dumps(change("", A)._asdict() | {"new field": 1}) + "\n")
    assert [one.verb for one in entries(layout, "", A)] == ["reset"]


def test_an_error_of_the_disk_is_ignored(layout: VolumeLayout) -> None:
    layout.reflog.mkdir()
    append(layout, change("", A))
    layout.reflog.rmdir()
    layout.own.rmdir()
    append(layout, change("", A))


def test_a_symbolic_link_is_refused(layout: VolumeLayout) -> None:
    layout.reflog.symlink_to(layout.root / "other")
    for verb in (lambda: append(layout, change("", A)), lambda: entries(layout, "", A)):
        with pytest.raises(BadDocument):
            verb()
    assert not (layout.root / "other").exists()


def test_expired_lines_are_deleted(layout: VolumeLayout) -> None:
    log(layout, change("", A, 1), change(A, B, 2), change(B, C, 3))
    expire(layout, START + timedelta(hours=2))
    found = [(one.id, one.verb) for one in entries(layout, "", C)]
    assert found == [(C, "reset"), (B, "reset"), (A, "")]
    assert list(layout.staging.iterdir()) == []
    assert stat.S_IMODE(layout.reflog.stat().st_mode) == 0o600
    append(layout, change(C, D, 4))
    assert [one.id for one in entries(layout, "", D)] == [D, C, B, A]


def test_where_nothing_expires_nothing_is_written(layout: VolumeLayout) -> None:
    expire(layout, START)
    assert not layout.reflog.exists()
    log(layout, change("", A, 1))
    inode = layout.reflog.stat().st_ino
    expire(layout, START)
    assert inode == layout.reflog.stat().st_ino


def test_the_reflog_of_endless_resets_stays_small(
    layout: VolumeLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflog, "_MOST", 10_000)
    ids = [f"{number:040x}" for number in range(200)]
    for old, new in pairwise(ids):
        append(layout, change(old, new))
        assert layout.reflog.stat().st_size <= 20_000
    found = [one.id for one in entries(layout, "", ids[-1])]
    assert len(found) > 30
    assert found == ids[-len(found) :][::-1]


def test_ten_thousand_lines(layout: VolumeLayout) -> None:
    """All of them are read, and for the newest entry only the newest line. How long that takes is
    printed, not asserted."""
    ids = ["", *(f"{number * 7919:040x}" for number in range(10_000))]
    lines = [change(old, new, n) for n, (old, new) in enumerate(pairwise(ids))]
    layout.reflog.write_text("".join(json.dumps(line._asdict()) + "\n" for line in lines))
    began = time.monotonic()
    assert at(reflog.entries(layout, "", ids[-1]), 1) == ids[-2]
    first = time.monotonic() - began
    assert len(entries(layout, "", ids[-1])) == 10_000
    both = time.monotonic() - began
    print(
        f"{layout.reflog.stat().st_size} bytes: HEAD@{{1}} {first:.4f} s, all {both - first:.4f} s"
    )
