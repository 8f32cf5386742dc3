"""What a user types to mean a commit, and the commit it means."""

import pytest

from dvol.errors import AmbiguousRevision, DvolError, InvalidRevision, RevisionNotFound
from dvol.history.revisions import resolve
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
        "HEAD@{1}",
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
