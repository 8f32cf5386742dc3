"""Tags, which keep commits, and drop and prune, which let them go."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from dvol.engine import Engine
from dvol.errors import (
    AmbiguousEntry,
    BranchIsTag,
    BranchNameInUse,
    CommitIsHead,
    CommitIsTagged,
    InvalidRequest,
    NameInUse,
    NoGroupToUndo,
    NoTagMatches,
    NotInAnyBranch,
    RevisionNotFound,
    TagExists,
    TagIsBranch,
    TagIsId,
    TagNotFound,
)
from dvol.model import Commit, Restored
from tests.contract.conftest import anywhere
from tests.contract.places import Keeper
from tests.contract.pool_files import KEPT_FOR, all_aged, commits_on_disk, entry_of
from tests.contract.verbs import ANN, BAD_NAMES, commit, content, messages, state


@pytest.fixture
def four(engine: Engine, tree: Path) -> list[Commit]:
    """The commits 1 to 4 of `v`, made at noon on four days."""
    done = []
    for day in (1, 2, 3, 4):
        state(tree, str(day))
        date = f"2026-05-0{day}T12:00:00+02:00"
        done.append(engine.commit("v", str(day), ANN, date))
    return done


# -- tags ----------------------------------------------------------------------------------------


def test_a_tag_names_a_commit(engine: Engine, tree: Path, four: list[Commit]) -> None:
    made = engine.tag("v", "v1.0", "HEAD~2")
    assert made == ("v1.0", four[1].id, "2")
    engine.tag("v", "last")
    assert [one.name for one in engine.tags("v")] == ["last", "v1.0"]
    assert messages(engine, revision="v1.0^") == ["1"]
    engine.reset("v", "v1.0")
    assert content(tree) == "2"
    assert engine.log("v", "last") == four[::-1]
    engine.branch("v", "side", "last")
    assert engine.delete_tag("v", "last").commit == four[3].id
    assert [one.name for one in engine.tags("v")] == ["v1.0"]


def test_a_tagged_commit_is_kept_with_its_history(
    engine: Engine, keeper: Keeper, four: list[Commit]
) -> None:
    engine.tag("v", "keep", four[2].id)
    engine.reset("v", four[0].id)
    all_aged(keeper)
    freed = {one.entry: one.kept for one in engine.gc()}
    assert freed.pop(four[3].id) == ""
    reason = "the tag 'keep' keeps it"
    assert {freed.pop(one.id) for one in four[1:3]} == {reason}
    assert commits_on_disk(keeper) == {one.id for one in four[:3]}
    assert messages(engine, revision="keep") == ["3", "2", "1"]
    engine.delete_tag("v", "keep")
    engine.gc()
    assert commits_on_disk(keeper) == {four[0].id}


@anywhere
def test_an_impossible_tag_is_refused(engine: Engine, four: list[Commit]) -> None:
    engine.tag("v", "x")
    with pytest.raises(TagExists, match=four[3].id[:12]):
        engine.tag("v", "x")
    with pytest.raises(TagIsBranch):
        engine.tag("v", "master")
    with pytest.raises(RevisionNotFound):
        engine.tag("v", "y", "nope")
    with pytest.raises(TagNotFound):
        engine.delete_tag("v", "y")
    with pytest.raises(TagIsId):
        engine.tag("v", four[0].id[:6])
    with pytest.raises(BranchIsTag):
        engine.branch("v", "x")
    for name in (*BAD_NAMES.values(), "HEAD", "a" * 40):
        with pytest.raises(InvalidRequest):
            engine.tag("v", name)
    assert [one.name for one in engine.tags("v")] == ["x"]


@anywhere
def test_a_tag_whose_commit_is_missing_is_found(engine: Engine, keeper: Keeper, four) -> None:
    engine.tag("v", "x")
    engine.reset("v", "HEAD^")
    frozen = keeper.frozen("v", four[3].id)
    frozen.rename(keeper.pool / "v/.dvol/away")
    texts = [one.problem for one in engine.fsck()]
    assert any("of the tag 'x' is missing" in text for text in texts)


# -- drop ----------------------------------------------------------------------------------------


def test_drop_takes_one_commit_out_of_the_middle(
    engine: Engine, keeper: Keeper, tree: Path, four: list[Commit]
) -> None:
    engine.branch("v", "side")
    assert engine.drop("v", "HEAD~2") == four[1]
    for branch in ("side", "master"):
        assert messages(engine, revision=branch) == ["4", "3", "1"]
    assert engine.log("v", "side")[1].parent == four[1].id
    assert engine.log("v", four[1].id[:8]) == [four[1], four[0]]
    assert engine.fsck() == []
    engine.checkout("v", "master")
    engine.reset("v", four[0].id)
    engine.delete_branch("v", "side")
    assert messages(engine, revision=four[3].id) == ["4", "3", "1"]
    engine.reset("v", four[1].id)
    assert (content(tree), messages(engine)) == ("2", ["2", "1"])
    with pytest.raises(NotInAnyBranch):
        engine.drop("v", four[2].id)


@anywhere
def test_the_head_of_a_branch_and_a_tagged_commit_are_not_dropped(
    engine: Engine, four: list[Commit]
) -> None:
    engine.tag("v", "x", "HEAD^")
    engine.branch("v", "side", "HEAD~2")
    engine.checkout("v", "master")
    for revision, error in (
        ("HEAD", CommitIsHead),
        ("side", CommitIsHead),
        ("x", CommitIsTagged),
    ):
        with pytest.raises(error):
            engine.drop("v", revision)
    assert messages(engine) == ["4", "3", "2", "1"]


def test_what_was_dropped_from_the_middle_goes_with_gc(
    engine: Engine, keeper: Keeper, four: list[Commit]
) -> None:
    engine.drop("v", four[1].id)
    all_aged(keeper, KEPT_FOR - timedelta(minutes=1))
    assert engine.gc() == []
    all_aged(keeper)
    assert [one.entry for one in engine.gc()] == [four[1].id]
    assert messages(engine) == ["4", "3", "1"]
    assert engine.fsck() == []


# -- prune ---------------------------------------------------------------------------------------


def test_prune_keeps_what_a_rule_keeps(engine: Engine, keeper: Keeper, four: list[Commit]) -> None:
    engine.tag("v", "release-1", four[0].id)
    engine.branch("v", "side")
    would = engine.prune("v", last=2, dry_run=True)
    assert messages(engine) == ["4", "3", "2", "1"]
    judged = engine.prune("v", last=2)
    assert judged == would
    assert [(one.message, one.kept) for one in judged if one.branch == "side"] == [
        ("4", "last"),
        ("3", "last"),
        ("2", ""),
        ("1", "tag release-1 keeps it"),
    ]
    for branch in ("side", "master"):
        assert messages(engine, revision=branch) == ["4", "3", "1"]
    assert len(os.listdir(keeper.pool / "v/.dvol/dropped")) == 1
    assert commits_on_disk(keeper) == {one.id for one in four}
    assert messages(engine, revision=four[1].id) == ["2", "1"]
    assert engine.fsck() == []
    assert [one.kept for one in engine.prune("v", last=2) if not one.kept] == []


def test_neither_prune_nor_drop_takes_the_history_of_a_tag(
    engine: Engine, four: list[Commit]
) -> None:
    engine.tag("v", "x", "HEAD^")
    assert [one.kept for one in engine.prune("v", last=1)] == ["last", *["tag x keeps it"] * 3]
    with pytest.raises(CommitIsTagged, match="tag -d x v"):
        engine.drop("v", four[0].id)
    with pytest.raises(NoTagMatches):
        engine.prune("v", tags="y*")
    assert messages(engine) == ["4", "3", "2", "1"]


def test_prune_never_takes_a_head(engine: Engine, four: list[Commit]) -> None:
    engine.tag("v", "old", four[0].id)
    judged = engine.prune("v", tags="o*")
    assert [one.kept for one in judged] == ["HEAD", "", "", "tag old"]
    assert messages(engine) == ["4", "1"]


@anywhere
@pytest.mark.parametrize("rules", [{}, {"last": 0}, {"daily": -2}, {"groups": True}], ids=repr)
def test_prune_without_a_rule_is_refused(
    engine: Engine, four: list[Commit], rules: dict[str, int]
) -> None:
    with pytest.raises(InvalidRequest):
        engine.prune("v", **rules)
    assert messages(engine) == ["4", "3", "2", "1"]


def test_prune_takes_one_of_a_group_only_when_told(engine: Engine) -> None:
    engine.init("w")
    for text in ("1", "2", "3"):
        engine.commit_group(["v", "w"], "", text, ANN)
    assert [one.kept for one in engine.prune("v", last=1)][1:] == ["one of a group"] * 2
    assert messages(engine) == ["3", "2", "1"]
    engine.prune("v", last=1, groups=True)
    assert messages(engine) == ["3"]
    assert messages(engine, "w") == ["3", "2", "1"]


# -- undo of several volumes ---------------------------------------------------------------------


@pytest.fixture
def group(engine: Engine, keeper: Keeper) -> Engine:
    """`v` and `w` were committed as one twice, and reset as one to the first."""
    engine.init("w")
    for text in ("1", "2"):
        for volume in ("v", "w"):
            state(keeper.tree(volume), text)
        engine.commit_group(["v", "w"], "", text, ANN)
    engine.reset_group(["v", "w"], "", "HEAD^")
    return engine


def both(keeper: Keeper) -> list[str]:
    return [content(keeper.tree(volume)) for volume in ("v", "w")]


def test_a_reset_of_several_is_undone_as_one(group: Engine, keeper: Keeper) -> None:
    done = group.undo_group(["v", "w"], "")
    assert {name: one.message for name, one in done.items()} == {"v": "2", "w": "2"}
    assert both(keeper) == ["2", "2"]
    group.undo_group(["v", "w"], "")
    assert both(keeper) == ["1", "1"]


def test_a_volume_that_the_reset_did_not_change_stays(group: Engine, keeper: Keeper) -> None:
    group.init("x")
    commit(group, "x", "x")
    group.reset_group(["v", "x"], "", "HEAD")
    assert set(group.undo_group(["v", "w", "x"], "")) == {"v", "w"}
    assert both(keeper) == ["2", "2"]


def test_where_one_was_reset_alone_since_all_stay(group: Engine, keeper: Keeper) -> None:
    state(keeper.tree("w"), "scribble")
    group.reset("w")
    with pytest.raises(NoGroupToUndo, match=r"w .*alone"):
        group.undo_group(["v", "w"], "")
    assert both(keeper) == ["1", "1"]
    group.undo("w")
    assert content(keeper.tree("w")) == "scribble"


@anywhere
def test_without_a_reset_of_several_there_is_none_to_undo(engine: Engine, keeper: Keeper) -> None:
    engine.init("w")
    commit(engine, "1")
    with pytest.raises(NoGroupToUndo, match="no reset"):
        engine.undo_group(["v", "w"], "")


# -- restore by name -----------------------------------------------------------------------------


def test_restore_of_a_name_takes_the_newest(engine: Engine, keeper: Keeper) -> None:
    for text in ("older", "newer"):
        engine.init("w")
        commit(engine, text, "w")
        engine.rm("w")
    older, _ = sorted(engine.discarded(), key=lambda one: one.message == "newer")
    assert engine.restore("w") == Restored("w", "")
    assert messages(engine, "w") == ["newer"]
    with pytest.raises(NameInUse, match=f"restore {older.entry} NAME"):
        engine.restore("w")
    engine.restore("w", "w2")
    assert messages(engine, "w2") == ["older"]


def test_restore_of_a_branch_by_its_name(engine: Engine, four: list[Commit]) -> None:
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    engine.branch("v", "side", "HEAD^")
    engine.checkout("v", "master")
    with pytest.raises(BranchNameInUse, match="NAME"):
        engine.restore("v/side")
    engine.restore("v/side", "old")
    assert messages(engine, revision="old") == ["4", "3", "2", "1"]


@anywhere
def test_a_name_that_is_also_the_beginning_of_an_id_is_refused(
    engine: Engine, keeper: Keeper
) -> None:
    engine.init("w")
    engine.rm("w")
    id = entry_of(engine, "rm")
    engine.init(id[:6])
    engine.rm(id[:6])
    with pytest.raises(AmbiguousEntry):
        engine.restore(id[:6])
    engine.restore(id)


def test_the_list_tells_size_commits_and_the_last_message(
    engine: Engine, keeper: Keeper, four: list[Commit]
) -> None:
    state(keeper.tree("v"), "x" * 100_000)
    os.sync()
    engine.reset("v", "HEAD^")
    engine.rm("v")
    (told,) = [one for one in engine.discarded(sizes=True) if one.verb == "rm"]
    assert (told.commits, told.message) == (3, "3")
    assert told.size >= 100_000
    assert engine.discarded()[0].size == -1
