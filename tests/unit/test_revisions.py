"""What a user types to mean a commit, and the commit it means."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dvol.errors import (
    AmbiguousRevision,
    DvolError,
    InvalidRevision,
    NotInReflog,
    RevisionNotFound,
)
from dvol.history import dropped
from dvol.history.commits import as_document
from dvol.history.history import History
from dvol.history.reflog import Line, append
from dvol.history.revisions import resolve
from dvol.layout import PoolLayout, VolumeLayout
from dvol.model import Commit


def commit(digits: str) -> Commit:
    return Commit(id=digits.ljust(40, "0"), message=digits)


ONE, TWO, THREE, FOUR = (commit(digits) for digits in ("1111a", "2222b", "3333c", "4444d"))
LINES = {"master": (ONE, TWO, THREE), "side": (ONE, TWO, FOUR), "empty": ()}


def meant(revision: str, current: str = "master", lines=LINES) -> Commit:
    return resolve(revision, current, lines)[-1]


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        ("HEAD", THREE),
        ("@", THREE),
        ("HEAD^", TWO),
        ("HEAD^^", ONE),
        ("HEAD~1", TWO),
        ("HEAD~", TWO),
        ("HEAD~2", ONE),
        ("HEAD~0", THREE),
        ("HEAD^~1", ONE),
        ("HEAD~1^", ONE),
        ("HEAD~~", ONE),
        ("@^", TWO),
        ("@~2", ONE),
        ("master", THREE),
        ("master^^", ONE),
        ("side", FOUR),
        ("side^", TWO),
        ("side~2", ONE),
        ("3333", THREE),
        ("3333c", THREE),
        ("3333C", THREE),
        ("3333^", TWO),
        ("3333~2", ONE),
        ("4444", FOUR),
        ("4444^", TWO),
        (THREE.id, THREE),
        (THREE.id.upper(), THREE),
        (THREE.id + "^^", ONE),
    ],
)
def test_a_revision_means_a_commit(revision: str, expected: Commit) -> None:
    assert expected == meant(revision)


def test_the_answer_is_the_commits_own_history() -> None:
    assert resolve("HEAD^", "master", LINES) == (ONE, TWO)
    assert resolve("4444", "master", LINES) == (ONE, TWO, FOUR)


def test_head_is_the_current_branchs() -> None:
    assert meant("HEAD", current="side") == FOUR


@pytest.mark.parametrize(
    "revision",
    [
        "HEAD^^^",
        "HEAD~3",
        "HEAD~99999999",
        "empty",
        "empty^",
        "side~3",
        "3333~3",
        "nope",
        "nope^",
        "9999",
        "deadbeef",
        "d" * 40,
        "111",
    ],
)
def test_what_is_not_there_is_not_found(revision: str) -> None:
    with pytest.raises(RevisionNotFound, match=r"^Referenced commit does not exist"):
        resolve(revision, "master", LINES)


def test_head_before_any_commit_is_not_found() -> None:
    with pytest.raises(RevisionNotFound):
        resolve("HEAD", "empty", LINES)


@pytest.mark.parametrize(
    "revision",
    [
        "",
        "^",
        "~1",
        "^HEAD",
        "HEAD^2",
        "HEAD~-1",
        "HEAD~1x",
        "HEAD~x",
        "HEAD ",
        " HEAD",
        "HEAD\n",
        "a/b",
        "..",
        "../branches/master",
        ".",
        "@{}",
        "HEAD@{}",
        "HEAD@{-1}",
        "HEAD@{upstream}",
        "HEAD@{soon}",
        "HEAD@{2 hours}",
        "HEAD@{2026-13-01}",
        "HEAD@{1234567890}",
        "HEAD@{٣}",
        "HEAD@{1",
        "HEAD@1}",
        "HEAD@{1}x",
        "HEAD@{1}@{1}",
        "HEAD^@{1}",
        "a/b@{1}",
        ":/",
        ":",
        ":x",
        "HEAD:/x",
        "HEAD~٣",
        "a\0b",
        "a\udcff",
    ],
)
def test_what_no_commit_could_be_called_is_malformed(revision: str) -> None:
    with pytest.raises(DvolError) as refusal:
        resolve(revision, "master", LINES)
    assert InvalidRevision is type(refusal.value)


@pytest.mark.parametrize(
    "revision",
    ["a" * 5000, "1" * 41, "HEAD" + "^" * 5000, "HEAD~" + "9" * 5000, "HEAD" + "~999999999" * 90],
    ids=["name", "id", "carets", "number", "numbers"],
)
def test_an_overlong_revision_is_refused(revision: str) -> None:
    with pytest.raises((InvalidRevision, RevisionNotFound)):
        resolve(revision, "master", LINES)


def test_a_prefix_of_several_commits_is_ambiguous_and_names_them() -> None:
    twins = {"master": (commit("abcd1"), commit("abcd2"))}
    with pytest.raises(AmbiguousRevision, match=r"'abcd' .*abcd1.*abcd2"):
        resolve("abcd", "master", twins)
    assert commit("abcd1") == meant("abcd1", lines=twins)


def test_a_prefix_is_ambiguous_across_branches_too() -> None:
    lines = {"master": (commit("abcd1"),), "side": (commit("abcd2"),)}
    with pytest.raises(AmbiguousRevision):
        resolve("abcd", "master", lines)


def test_a_commit_that_several_branches_have_is_not_ambiguous() -> None:
    assert meant("2222") == TWO


def test_a_commit_of_several_branches_comes_with_the_current_ones_history() -> None:
    """Lists of one commit can differ, where the original's were made by hand."""
    lines = {"a": (TWO, ONE), "b": (THREE, ONE)}
    assert resolve("1111", "b", lines) == (THREE, ONE)
    assert resolve("1111", "a", lines) == (TWO, ONE)


def test_a_branch_wins_over_an_id_prefix() -> None:
    lines = {"master": (ONE, TWO), "2222": (ONE,)}
    assert meant("2222", lines=lines) == ONE
    assert meant("2222b", lines=lines) == TWO


def test_a_whole_id_wins_over_a_branch_of_that_name() -> None:
    lines = {"master": (ONE, TWO), TWO.id: (ONE,)}
    assert meant(TWO.id, lines=lines) == TWO


def test_a_branch_that_looks_like_an_id_is_found_where_no_commit_is() -> None:
    lines = {"master": (ONE, TWO), "f" * 40: (ONE,)}
    assert meant("f" * 40, lines=lines) == ONE


def test_a_branch_called_at_some_digits_takes_carets() -> None:
    lines = {"master": (ONE, TWO), "1234": (ONE, TWO, THREE)}
    assert meant("1234^", lines=lines) == TWO


# -- the reflog ----------------------------------------------------------------------------------


NOW = datetime.now(UTC)


def date(hours_ago: float) -> str:
    return (NOW - timedelta(hours=hours_ago)).isoformat(timespec="seconds")


def line(branch: str, old: Commit | None, new: Commit | None, ago: float, **fields) -> Line:
    """A line of `ago` hours ago; by default of a reset of the current branch."""
    ids = (old.id if old else "", new.id if new else "")
    return Line(branch, *ids, "reset", "", head=True, date=date(ago))._replace(**fields)


@pytest.fixture
def layout(tmp_path: Path) -> VolumeLayout:
    """A volume with the branches of LINES and a deleted one. The dropped commits are FIVE, of which
    the tree is there, and SIX, which gc has deleted."""
    layout = PoolLayout(tmp_path).volume("v")
    for branch, commits in LINES.items():
        layout.tree(branch).mkdir(parents=True)
        layout.commit_list(branch).write_text(json.dumps(as_document(commits)))
    for one in (ONE, TWO, THREE, FOUR, FIVE):
        layout.commit(one.id).mkdir(parents=True)
    layout.dropped.mkdir(parents=True)
    record = dropped.as_record([(FIVE, TWO.id), (SIX, FIVE.id)], "master")
    (layout.dropped / "1.json").write_text(json.dumps(record))
    for one in (
        line("master", None, ONE, 50, verb="commit"),
        line("master", ONE, TWO, 40, verb="commit"),
        line("master", TWO, FIVE, 30, verb="commit"),
        line("master", FIVE, SIX, 20, verb="commit"),
        line("side", None, FOUR, 10, verb="branch", head=False),
        line("side", SIX, FOUR, 10, verb="checkout"),
        line("master", FOUR, SIX, 8, verb="checkout"),
        line("master", SIX, THREE, 5),
        line("gone", None, TWO, 4, verb="branch", head=False),
        line("gone", TWO, None, 3, verb="branch -d", head=False),
    ):
        append(layout, one)
    return layout


FIVE, SIX = (commit(digits) for digits in ("5555e", "6666f"))


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        ("HEAD@{0}", THREE),
        ("HEAD@{2}", FOUR),
        ("HEAD@{4}", FIVE),
        ("HEAD@{6}", ONE),
        ("HEAD@{006}", ONE),
        ("@@{4}", FIVE),
        ("@{0}", THREE),
        ("@{2}", FIVE),
        ("master@{2}", FIVE),
        ("side@{0}", FOUR),
        ("gone@{1}", TWO),
        ("HEAD@{4}^", TWO),
        ("HEAD@{4}~2", ONE),
        ("HEAD@{4}^~", ONE),
        ("@{2}^^", ONE),
        ("HEAD@{now}", THREE),
        ("HEAD@{9 hours ago}", FOUR),
        ("HEAD@{9.hours.ago}^", TWO),
        ("HEAD@{yesterday}", FIVE),
        ("master@{25 hours ago}", FIVE),
        ("@{1 day ago}", FIVE),
        ("side@{1 hour ago}", FOUR),
    ],
)
def test_what_head_or_a_branch_pointed_at(
    layout: VolumeLayout, revision: str, expected: Commit
) -> None:
    assert History(layout).resolve(revision)[-1].id == expected.id


@pytest.mark.parametrize(("ago", "expected"), [(9, FOUR), (41, ONE)])
def test_what_head_pointed_at_on_a_date(layout: VolumeLayout, ago: int, expected: Commit) -> None:
    assert History(layout).resolve(f"HEAD@{{{date(ago)}}}")[-1].id == expected.id


def test_a_dropped_commit_comes_with_its_history(layout: VolumeLayout) -> None:
    found = History(layout).resolve("HEAD@{4}")
    assert [one.id for one in found] == [one.id for one in (ONE, TWO, FIVE)]


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ("HEAD@{7}", "the reflog of HEAD has 7 entries"),
        ("HEAD@{999999999}^", "the reflog of HEAD has 7 entries"),
        ("HEAD@{51 hours ago}", "the reflog of HEAD has 7 entries"),
        ("@{5}", "the reflog of master has 5 entries"),
        ("side@{1}", "the reflog of side has 1 entry"),
        ("gone@{0}", "the reflog of gone has 2 entries"),
        ("empty@{0}", "the reflog of empty has 0 entries"),
        ("nope@{0}", "the reflog of nope has 0 entries"),
        ("nope@{yesterday}", "the reflog of nope has 0 entries"),
        ("1111@{0}", "the reflog of 1111 has 0 entries"),
    ],
)
def test_a_reflog_that_does_not_reach_that_far(
    layout: VolumeLayout, revision: str, reason: str
) -> None:
    with pytest.raises(NotInReflog) as refusal:
        History(layout).resolve(revision)
    assert str(refusal.value).startswith(f"'{revision}' means no commit: {reason}")


@pytest.mark.parametrize("revision", ["HEAD@{1}", "HEAD@{3}", "HEAD@{6 hours ago}", "HEAD@{6}^"])
def test_a_commit_that_gc_has_deleted_is_not_found(layout: VolumeLayout, revision: str) -> None:
    with pytest.raises(RevisionNotFound) as refusal:
        History(layout).resolve(revision)
    assert type(refusal.value) is RevisionNotFound


def test_without_a_reflog_there_is_no_entry() -> None:
    with pytest.raises(NotInReflog):
        resolve("HEAD@{1}", "master", LINES)


# -- messages ------------------------------------------------------------------------------------


def said(digits: str, message: str, when: str = "") -> Commit:
    return commit(digits)._replace(message=message, date=when)


def test_the_newest_commit_whose_message_holds_a_text() -> None:
    lines = {
        "a": (said("aaaa", "seed"), said("bbbb", "fix the seed"), said("cccc", "last")),
        "b": (said("dddd", "seed of b"), said("eeee", "rare\n\nin the body ^~@{1}")),
    }
    expected = {
        (":/seed", "a"): "bbbb",
        (":/seed", "b"): "dddd",
        (":/rare", "a"): "eeee",
        (":/in the body ^~@{1}", "a"): "eeee",
        (":/e", "a"): "bbbb",
        (":/the seed", "b"): "bbbb",
    }
    for (revision, current), digits in expected.items():
        assert meant(revision, current, lines) == next(
            one for commits in lines.values() for one in commits if one.id.startswith(digits)
        )
    assert resolve(":/fix", "b", lines) == lines["a"][:2]


@pytest.mark.parametrize("revision", [":/Seed", ":/se.d", ":/seed^", ":/ seed", ":/!seed", ":/x"])
def test_a_message_is_no_pattern_and_has_its_case(revision: str) -> None:
    with pytest.raises(RevisionNotFound):
        resolve(revision, "master", {"master": (said("aaaa", "seed"),)})


def test_dropped_commits_come_last_the_newest_first(layout: VolumeLayout) -> None:
    """By their own dates; one without a date, of the original dvol, is the oldest."""
    dates = {"7777": "2026-11-27T10:00:00+05:00", "8888": "2026-11-27T06:00:00+00:00", "9999": ""}
    gone = [said(digits, f"1111a gone {digits}", when) for digits, when in dates.items()]
    record = dropped.as_record([(one, ONE.id) for one in gone], "master")
    (layout.dropped / "2.json").write_text(json.dumps(record))
    for one in gone:
        layout.commit(one.id).mkdir()
    history = History(layout)
    assert history.resolve(":/1111a")[-1].id == ONE.id
    assert [one.id for one in history.resolve(":/gone")] == [ONE.id, gone[1].id]
    layout.commit(gone[1].id).rmdir()
    assert History(layout).resolve(":/gone")[-1].id == gone[0].id
    layout.commit(gone[0].id).rmdir()
    assert History(layout).resolve(":/gone")[-1].id == gone[2].id
    assert History(layout).resolve(":/5555")[-1].id == FIVE.id
    with pytest.raises(RevisionNotFound):
        History(layout).resolve(":/6666")
