"""The redo journal: steps happen all or not at all, from every state a crash can leave."""

import json
import os
from functools import cache
from pathlib import Path

import pytest

from dvol.backends.copy.copy import Copy
from dvol.errors import BadDocument, NoSpace, NoSpaceToFinish
from dvol.journal.journal import Journal
from dvol.journal.steps import decode
from dvol.tree.delete import delete_tree


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    own = tmp_path / ".dvol"
    (own / "staging").mkdir(parents=True)
    return Journal(own / "journal.json", tmp_path, own / "staging", Copy)


def run(journal: Journal, steps: list) -> None:
    decoded = [decode(step) for step in steps]
    journal.stage("reset", decoded)
    journal.run(decoded)


def left_by_a_crash(journal: Journal, steps: list) -> None:
    """The journal as its process left it when it died."""
    journal.path.write_text(json.dumps({"format": 1, "verb": "reset", "steps": steps}))


def tree(path: Path, content: str) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_text(content)
    return path


def content(path: Path) -> str:
    return (path / "file").read_text()


@pytest.fixture
def exchanging(journal: Journal) -> tuple[Journal, Path, Path]:
    """An exchange under way of the staged tree 'new' with the live tree 'old'."""
    staged = tree(journal.staging / "reset" / "tree", "new")
    live = tree(journal.root / "branches" / "master", "old")
    inodes = (os.lstat(staged).st_ino, os.lstat(live).st_ino)
    steps = [
        ["exchange", ".dvol/staging/reset/tree", "branches/master", *inodes],
        ["move", ".dvol/staging/reset", "trash"],
    ]
    left_by_a_crash(journal, steps)
    return journal, staged, live


def assert_exchanged(journal: Journal) -> None:
    journal.complete()
    assert content(journal.root / "branches" / "master") == "new"
    assert content(journal.root / "trash" / "tree") == "old"
    assert not journal.pending()
    assert journal.staged() == []


def test_an_exchange_not_yet_begun_is_completed(exchanging) -> None:
    journal, _, _ = exchanging
    assert journal.pending()
    assert_exchanged(journal)


class Interrupted(Copy):
    """Ctrl-C comes at the second look at an inode."""

    looks = 0

    def identity(self, path: Path) -> int:
        self.looks += 1
        if self.looks == 2:
            raise KeyboardInterrupt
        return super().identity(path)


def test_a_verb_that_is_interrupted_among_its_steps_is_completed_first(journal: Journal) -> None:
    """It happens all the same, and its containers could not be started before it has."""
    journal = Journal(journal.path, journal.root, journal.staging, cache(Interrupted))
    steps = []
    for name in ("one", "two"):
        staged = tree(journal.staging / "reset" / name, "new")
        live = tree(journal.root / name, "old")
        inodes = (os.lstat(staged).st_ino, os.lstat(live).st_ino)
        steps.append(["exchange", f".dvol/staging/reset/{name}", name, *inodes])
    steps.append(["move", ".dvol/staging/reset", "trash"])
    with pytest.raises(KeyboardInterrupt):
        run(journal, steps)
    assert not journal.pending()
    assert [content(journal.root / name) for name in ("one", "two")] == ["new", "new"]


def test_an_exchange_already_made_is_not_undone(exchanging) -> None:
    journal, staged, live = exchanging
    live.rename(journal.root / "swap")
    staged.rename(live)
    (journal.root / "swap").rename(staged)
    assert_exchanged(journal)


def test_a_journal_whose_every_step_was_taken_changes_nothing(exchanging) -> None:
    journal, staged, live = exchanging
    live.rename(staged.with_name("old"))
    staged.rename(live)
    staged.with_name("old").rename(staged)
    staged.parent.rename(journal.root / "trash")
    assert_exchanged(journal)


def test_without_exchange_the_live_tree_may_be_aside(exchanging) -> None:
    """Renames took the place of RENAME_EXCHANGE, and the first of three was taken."""
    journal, staged, live = exchanging
    live.rename(staged.with_name("tree.aside"))
    assert_exchanged(journal)


def test_without_exchange_the_new_tree_may_be_live_and_the_old_one_aside(exchanging) -> None:
    journal, staged, live = exchanging
    live.rename(staged.with_name("tree.aside"))
    staged.rename(live)
    assert_exchanged(journal)


MOVES = [
    ["move", ".dvol/staging/b/list.json", "branches/b.json"],
    ["move", ".dvol/staging/b/tree", "branches/b"],
    ["move", ".dvol/staging/b/current.json", "current_branch.json"],
    ["discard", ".dvol/staging/b"],
]


@pytest.mark.parametrize("taken", range(len(MOVES) + 1))
def test_moves_are_completed_from_every_step(journal: Journal, taken: int) -> None:
    staged = journal.staging / "b"
    tree(staged / "tree", "tree of b")
    (staged / "list.json").write_text("list of b")
    (staged / "current.json").write_text("b")
    (journal.root / "current_branch.json").write_text("a")
    (journal.root / "branches").mkdir()
    left_by_a_crash(journal, MOVES)
    for kind, path, *target in MOVES[:taken]:
        if kind == "move":
            (journal.root / path).rename(journal.root / target[0])
        else:
            delete_tree(journal.root / path)
    journal.complete()
    assert content(journal.root / "branches" / "b") == "tree of b"
    assert (journal.root / "branches" / "b.json").read_text() == "list of b"
    assert (journal.root / "current_branch.json").read_text() == "b"
    assert os.listdir(journal.staging) == []
    assert not journal.pending()


def test_run_takes_the_steps_and_leaves_no_journal(journal: Journal) -> None:
    tree(journal.staging / "x", "x")
    run(journal, [["move", ".dvol/staging/x", "x"]])
    assert content(journal.root / "x") == "x"
    assert not journal.pending()
    assert journal.staged() == []


def test_a_first_step_that_cannot_be_taken_is_withdrawn(journal: Journal) -> None:
    """Else nothing could be done with the volume any more."""
    tree(journal.staging / "x", "x")
    (journal.root / "in_the_way").write_text("")
    with pytest.raises(NotADirectoryError):
        run(journal, [["move", ".dvol/staging/x", "in_the_way"]])
    assert not journal.pending()
    assert content(journal.staging / "x") == "x"


def test_an_exchange_of_trees_unknown_by_their_inodes_is_corrupt(exchanging) -> None:
    """As in a pool that was copied file by file in the midst of a reset."""
    journal, _, live = exchanging
    live.rename(live.with_name("gone"))
    tree(live, "copied")
    with pytest.raises(BadDocument, match="neither the old one nor the new"):
        journal.complete()
    assert content(live) == "copied"


def test_steps_before_one_that_cannot_be_taken_are_taken_back(journal: Journal) -> None:
    tree(journal.root / "live", "old")
    tree(journal.staging / "x" / "live", "new")
    tree(journal.staging / "x" / "added", "added")
    inodes = [os.lstat(p / "live").st_ino for p in (journal.staging / "x", journal.root)]
    (journal.root / "in_the_way").write_text("")
    steps = [
        ["exchange", ".dvol/staging/x/live", "live", *inodes],
        ["move", ".dvol/staging/x/added", "added"],
        ["move", ".dvol/staging/x", "in_the_way"],
    ]
    with pytest.raises(NotADirectoryError):
        run(journal, steps)
    assert content(journal.root / "live") == "old"
    assert not (journal.root / "added").exists()
    assert not journal.pending()


def test_a_journal_that_a_power_cut_brings_back_changes_nothing(journal: Journal) -> None:
    """The volume may have been written to since, so no step is looked at but the last."""
    tree(journal.staging / "x" / "live", "new")
    tree(journal.root / "live", "old")
    inodes = [os.lstat(p / "live").st_ino for p in (journal.staging / "x", journal.root)]
    steps = [
        ["exchange", ".dvol/staging/x/live", "live", *inodes],
        ["move", ".dvol/staging/x", "trash"],
    ]
    run(journal, steps)
    (journal.root / "live").rename(journal.root / "replaced")
    tree(journal.root / "live", "by the user")
    left_by_a_crash(journal, steps)
    journal.complete()
    assert content(journal.root / "live") == "by the user"
    assert not journal.pending()


def test_a_discard_half_made_is_completed(journal: Journal) -> None:
    half = tree(journal.staging / "x", "x")
    (half / "file").unlink()
    left_by_a_crash(journal, [["discard", ".dvol/staging/x"]])
    journal.complete()
    assert journal.staged() == []


def test_recovery_without_a_journal_sweeps_what_was_only_staged(journal: Journal) -> None:
    tree(journal.staging / "half-made", "x")
    journal.recover()
    assert journal.staged() == []


def test_completing_without_a_journal_does_nothing(journal: Journal) -> None:
    tree(journal.staging / "at-work", "x")
    journal.complete()
    assert journal.staged() == ["at-work"]


@pytest.mark.parametrize(
    "steps",
    [
        [["move", "../outside", "x"]],
        [["move", "x", "a/../../outside"]],
        [["move", "/etc/passwd", "x"]],
        [["move", "x", "/etc/x"]],
        [["discard", ".."]],
        [["discard", "/"]],
        [["discard", "a/../.."]],
        [["chmod", "x"]],
        [[]],
        ["discard"],
        "discard",
        None,
    ],
    ids=str,
)
def test_a_journal_that_leads_elsewhere_is_corrupt_and_moves_nothing(
    journal: Journal, steps: object
) -> None:
    left_by_a_crash(journal, steps)
    before = sorted(journal.root.rglob("*"))
    with pytest.raises(BadDocument, match=r"journal\.json"):
        journal.complete()
    assert before == sorted(journal.root.rglob("*"))


@pytest.mark.parametrize(
    "steps",
    [
        [["discard"]],
        [["move", "x"]],
        [["move", "x", 7]],
        [["discard", ""]],
        [["discard", "."]],
        [["exchange", "x", "y"]],
        [["exchange", "x", "y", 1]],
        [["exchange", "x", "y", "1", "2"]],
        [[[]]],
        [["move", "x\ud800", "y"]],
        [["move", "x\0", "y"]],
    ],
    ids=str,
)
def test_a_step_of_the_wrong_shape_is_corrupt_and_takes_no_step(
    journal: Journal, steps: list
) -> None:
    """Also where a sound step stands before it."""
    tree(journal.root / "sound", "x")
    left_by_a_crash(journal, [["move", "sound", "moved"], *steps])
    with pytest.raises(BadDocument, match=r"journal\.json"):
        journal.complete()
    assert content(journal.root / "sound") == "x"


def test_a_torn_journal_is_corrupt_and_named(journal: Journal) -> None:
    journal.path.write_text('{"format": 1, "st')
    with pytest.raises(BadDocument, match=r"journal\.json"):
        journal.complete()


def test_a_journal_of_a_newer_format_is_refused(journal: Journal) -> None:
    """Its steps may mean something else."""
    tree(journal.root / "x", "x")
    document = {"format": 3, "verb": "rm", "steps": [["discard", "x"]]}
    journal.path.write_text(json.dumps(document))
    with pytest.raises(BadDocument):
        journal.complete()
    assert content(journal.root / "x") == "x"


# -- a refill, which can't be reverted ---------------------------------------------------------

REFILL = [
    ["refill", "v/commits/c0ffee", "v/live", "v/index", ".dvol/staging/x"],
    ["move", ".dvol/staging/x", "garbage"],
]


class Full(Copy):
    """The disk is full."""

    def refill(self, frozen: Path, tree: Path, index: Path, aside: Path) -> None:
        raise NoSpace(str(tree), "4096", "0")


@pytest.fixture
def refilling(journal: Journal) -> Journal:
    """A journal with a refill, left by a crash."""
    tree(journal.root / "v" / "commits" / "c0ffee", "committed")
    tree(journal.root / "v" / "live", "ruin")
    tree(journal.staging / "x", "x")
    left_by_a_crash(journal, REFILL)
    return journal


def test_a_refill_is_completed(refilling: Journal) -> None:
    assert refilling.refilling()
    refilling.complete()
    assert content(refilling.root / "v" / "live") == "committed"
    assert not refilling.pending()
    assert refilling.staged() == []
    assert not refilling.refilling()


def test_a_refill_that_fails_stays_and_reverts_nothing(refilling: Journal) -> None:
    full = Journal(refilling.path, refilling.root, refilling.staging, cache(Full))
    with pytest.raises(NoSpaceToFinish) as error:
        full.complete()
    assert error.value.subject == ("v", "4096", "0")
    assert content(refilling.staging / "x") == "x"
    refilling.complete()
    assert content(refilling.root / "v" / "live") == "committed"


def test_a_refill_that_a_power_cut_brings_back_discards_nothing(refilling: Journal) -> None:
    """What was written since is kept: the move shows that the refill was made."""
    refilling.complete()
    (refilling.root / "v" / "live" / "file").write_text("written since")
    left_by_a_crash(refilling, REFILL)
    refilling.complete()
    assert content(refilling.root / "v" / "live") == "written since"


def test_the_commit_that_a_refill_needs_is_named_by_its_journal(refilling: Journal) -> None:
    assert "c0ffee" in refilling.components()


def test_a_journal_that_can_not_be_read_is_no_refill(journal: Journal) -> None:
    """It is reported by what completes it."""
    journal.path.write_text("{")
    assert not journal.refilling()
