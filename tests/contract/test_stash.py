"""A state that is put aside on a new branch, while the last commit takes its place."""

import os
from pathlib import Path

import pytest

from dvol.engine import Engine
from dvol.errors import (
    BranchExists,
    BranchIsTag,
    InvalidName,
    NoMessage,
    PathOccupied,
    VolumeNotFound,
)
from tests.contract.conftest import anywhere
from tests.contract.places import Keeper
from tests.contract.trees import described
from tests.contract.verbs import ANN, BAD_NAMES, commit, content, messages, state


def stash(engine: Engine, branch: str = "aside", *volumes: str) -> str:
    done = engine.stash(list(volumes or ("v",)), branch, "a failure", ANN)
    return done[(volumes or ("v",))[0]].id


def test_the_state_is_on_the_new_branch_and_the_old_one_is_at_its_commit(
    keeper: Keeper, engine: Engine, tree: Path
) -> None:
    """Byte for byte, and with all times."""
    state(tree, "1")
    commit(engine, "1")
    before = described(tree)
    state(tree, "work")
    (tree / "more").mkdir(mode=0o750)
    os.utime(tree, ns=(1, 1_600_000_000_000_000_007))
    left = described(tree)
    made = engine.stash(["v"], "aside", "a failure", ANN)["v"]
    assert (made.message, made.author, made.parent) == ("a failure", ANN, engine.log("v")[0].id)
    assert described(tree) == before
    assert described(keeper.tree("v", "aside")) == left
    assert described(keeper.pool / "v" / "commits" / made.id) == left
    assert messages(engine) == ["1"]
    assert messages(engine, revision="aside") == ["a failure", "1"]
    branches = {(one.name, one.head, one.current) for one in engine.branches("v")}
    assert branches == {("aside", made.id, False), ("master", made.parent, True)}
    assert engine.discarded() == []
    assert engine.fsck() == []


def test_both_branches_go_on(keeper: Keeper, engine: Engine, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    state(tree, "work")
    stash(engine)
    state(tree, "2")
    commit(engine, "2")
    engine.checkout("v", "aside")
    assert content(keeper.tree("v", "aside")) == "work"
    state(keeper.tree("v", "aside"), "more work")
    commit(engine, "more")
    assert messages(engine) == ["more", "a failure", "1"]
    engine.checkout("v", "master")
    engine.reset("v", "HEAD^")
    assert content(tree) == "1"
    engine.undo("v")
    assert content(tree) == "2"
    assert engine.fsck() == []


def test_what_undo_restores_is_still_there(engine: Engine, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    state(tree, "scribbles")
    engine.reset("v")
    state(tree, "work")
    stash(engine)
    engine.undo("v")
    assert content(tree) == "scribbles"


def test_a_branch_without_a_commit_stays_as_it_is(
    keeper: Keeper, engine: Engine, tree: Path
) -> None:
    state(tree, "work")
    left = described(tree)
    stash(engine)
    assert described(tree) == described(keeper.tree("v", "aside")) == left
    assert messages(engine) == []
    assert messages(engine, revision="aside") == ["a failure"]


def test_several_volumes_are_stashed_as_one(keeper: Keeper, engine: Engine, tree: Path) -> None:
    engine.init("w")
    for volume in ("v", "w"):
        state(keeper.tree(volume), "1")
        commit(engine, "1", volume)
        state(keeper.tree(volume), f"work in {volume}")
    done = engine.stash(["w", "v"], "aside", "a failure", ANN)
    assert done.keys() == {"v", "w"}
    assert len({one.group for one in done.values()} - {""}) == 1
    for volume in ("v", "w"):
        assert content(keeper.tree(volume)) == "1"
        assert content(keeper.tree(volume, "aside")) == f"work in {volume}"
    engine.reset_group(["v", "w"], "", done["v"].id)
    assert content(keeper.tree("w")) == "work in w"


def test_the_reflog_tells_of_the_new_branch_and_not_of_head(engine: Engine, tree: Path) -> None:
    state(tree, "1")
    head = commit(engine, "1").id
    made = stash(engine)
    assert [(one.id, one.verb) for one in engine.reflog("v")] == [(head, "commit")]
    assert [(one.id, one.verb) for one in engine.reflog("v", "aside")] == [(made, "commit")]


def test_all_volumes_or_none(keeper: Keeper, engine: Engine, tree: Path) -> None:
    engine.init("w")
    for volume in ("v", "w"):
        state(keeper.tree(volume), "1")
        commit(engine, "1", volume)
        state(keeper.tree(volume), "work")
    engine.branch("w", "aside")
    engine.checkout("w", "master")
    with pytest.raises(BranchExists):
        stash(engine, "aside", "v", "w")
    assert [one.name for one in engine.branches("v")] == ["master"]
    assert content(tree) == "work"


@anywhere
@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_branch_needs_a_name_that_it_may_have(engine: Engine, tree: Path, name: str) -> None:
    with pytest.raises(InvalidName):
        stash(engine, BAD_NAMES[name])


@anywhere
def test_a_name_that_is_taken_is_refused(keeper: Keeper, engine: Engine, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    engine.tag("v", "tagged")
    keeper.tree("v", "occupied").write_text("a file")
    state(tree, "work")
    for name, error in (
        ("master", BranchExists),
        ("tagged", BranchIsTag),
        ("occupied", PathOccupied),
    ):
        with pytest.raises(error):
            stash(engine, name)
    with pytest.raises(VolumeNotFound):
        stash(engine, "aside", "v", "nope")
    with pytest.raises(NoMessage):
        engine.stash(["v"], "aside", "", ANN)
    assert content(tree) == "work"
    assert messages(engine) == ["1"]
