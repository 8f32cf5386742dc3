"""The reflog: where HEAD and each branch pointed, whatever verb made them point there."""

import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dvol.engine import Engine
from dvol.engine.gc import collect_expired
from dvol.errors import (
    BadDocument,
    BranchNotFound,
    DvolError,
    NotInReflog,
    NotOneGroup,
    RevisionNotFound,
)
from dvol.history.reflog import Line, append
from dvol.layout import PoolLayout, VolumeLayout
from dvol.model import Commit
from dvol.pool.access import open_pool
from dvol.tree.delete import delete_tree
from tests.contract.conftest import anywhere
from tests.contract.places import Keeper
from tests.contract.pool_files import KEPT_FOR, commits_on_disk, entry_of, staged
from tests.contract.verbs import ANN, commit, content, state

DAY = timedelta(days=1)


@pytest.fixture
def layout(keeper: Keeper) -> VolumeLayout:
    return PoolLayout(keeper.pool).volume("v")


def changes(engine: Engine, branch: str = "", volume: str = "v") -> list[str]:
    """What each entry says, oldest first: verb and message."""
    return [f"{one.verb}: {one.message}" for one in reversed(engine.reflog(volume, branch))]


def pointed(engine: Engine, branch: str = "", volume: str = "v") -> list[str]:
    """The ids that were pointed at, oldest first."""
    return [one.id for one in reversed(engine.reflog(volume, branch))]


# -- what each verb writes -----------------------------------------------------------------------


def test_before_the_first_commit_there_is_nothing(engine: Engine) -> None:
    assert engine.reflog("v") == engine.reflog("v", "master") == []


def test_each_commit_is_an_entry(engine: Engine, three: list[Commit]) -> None:
    assert pointed(engine) == [one.id for one in three]
    newest = engine.reflog("v")[0]
    assert newest[:3] == ("HEAD@{0}", three[2].id, "commit")
    assert newest[4:] == ("3", "master")
    assert abs(datetime.fromisoformat(newest.date) - datetime.now(UTC)) < timedelta(minutes=1)
    assert engine.reflog("v", "master")[0].selector == "master@{0}"


@pytest.mark.parametrize("head", ["HEAD", "@"])
def test_head_can_be_named(engine: Engine, three: list[Commit], head: str) -> None:
    assert engine.reflog("v", head) == engine.reflog("v")


def test_reset_and_undo_are_entries(engine: Engine, tree: Path, three: list[Commit]) -> None:
    engine.reset("v", "HEAD^")
    engine.reset("v", "HEAD^")
    engine.undo("v")
    engine.undo("v", 2)
    assert changes(engine)[3:] == [
        "reset: moving to HEAD^",
        "reset: moving to HEAD^",
        "undo: going back 1 state",
        "undo: going back 2 states",
    ]
    one, two, last = (commit.id for commit in three)
    assert pointed(engine) == [one, two, last, two, one, two, last]


def test_a_reset_that_moves_no_head_is_no_entry(
    engine: Engine, tree: Path, three: list[Commit]
) -> None:
    state(tree, "scribble")
    engine.reset("v")
    engine.reset("v")
    engine.undo("v")
    assert (content(tree), len(engine.reflog("v"))) == ("scribble", 3)


def test_a_new_branch_is_an_entry_of_its_own_and_of_head(
    engine: Engine, three: list[Commit]
) -> None:
    engine.branch("v", "feature", "HEAD^")
    assert changes(engine)[3:] == ["checkout: moving from master to feature"]
    assert changes(engine, "feature") == ["branch: created from HEAD^"]
    assert pointed(engine) == [one.id for one in (*three, three[1])]
    assert pointed(engine, "feature") == [three[1].id]
    assert len(engine.reflog("v", "master")) == 3


def test_checkout_back_and_forth(engine: Engine, keeper: Keeper, three: list[Commit]) -> None:
    engine.branch("v", "feature", "HEAD^")
    last = commit(engine, "on feature")
    for branch in ("master", "master", "feature", "master"):
        engine.checkout("v", branch)
    assert changes(engine)[4:] == [
        "commit: on feature",
        "checkout: moving from feature to master",
        "checkout: moving from master to feature",
        "checkout: moving from feature to master",
    ]
    assert pointed(engine)[4:] == [last.id, three[2].id, last.id, three[2].id]
    assert changes(engine, "feature") == ["branch: created from HEAD^", "commit: on feature"]
    assert changes(engine, "master") == ["commit: 1", "commit: 2", "commit: 3"]


def test_a_deleted_branch_keeps_its_entries(engine: Engine, three: list[Commit]) -> None:
    engine.branch("v", "feature", "HEAD^")
    engine.checkout("v", "master")
    engine.delete_branch("v", "feature")
    assert changes(engine, "feature") == ["branch: created from HEAD^", "branch -d: "]
    assert pointed(engine, "feature") == [three[1].id, ""]
    engine.branch("v", "feature")
    assert pointed(engine, "feature") == [three[1].id, "", three[2].id]
    with pytest.raises(BranchNotFound):
        engine.reflog("v", "other")


@pytest.mark.parametrize("name", ["", "again"])
def test_a_restored_branch(engine: Engine, three: list[Commit], name: str) -> None:
    engine.branch("v", "feature", "HEAD^")
    engine.checkout("v", "master")
    engine.delete_branch("v", "feature")
    entry = entry_of(engine, "branch -d")
    engine.restore(entry, name)
    assert changes(engine, name or "feature")[-1] == f"restore: from {entry}"
    assert pointed(engine, name or "feature")[-1] == three[1].id
    assert len(pointed(engine, name or "feature")) == (1 if name else 3)
    assert changes(engine)[-1] == "checkout: moving from feature to master"


def test_a_restored_state(engine: Engine, three: list[Commit]) -> None:
    engine.reset("v", "HEAD^")
    entry = entry_of(engine, "reset")
    engine.restore(entry, "old")
    assert (changes(engine, "old"), pointed(engine, "old")) == (
        [f"restore: from {entry}"],
        [three[2].id],
    )


@pytest.mark.parametrize("name", ["", "again"])
def test_a_restored_volume_has_its_reflog(engine: Engine, three: list[Commit], name: str) -> None:
    engine.reset("v", "HEAD^")
    before = engine.reflog("v")
    engine.rm("v")
    engine.restore(entry_of(engine, "rm"), name)
    assert engine.reflog(name or "v") == before


def test_several_volumes_as_one(engine: Engine, keeper: Keeper) -> None:
    engine.init("w")
    made = [engine.commit_group(["v", "w"], "", text, ANN) for text in ("1", "2")]
    engine.reset_group(["v", "w"], "", made[0]["v"].id)
    for volume in ("v", "w"):
        assert changes(engine, "", volume) == [
            "commit: 1",
            "commit: 2",
            f"reset: moving to {made[0]['v'].id}",
        ]
        first, second = (each[volume].id for each in made)
        assert pointed(engine, "", volume) == [first, second, first]


def test_fifty_resets(engine: Engine, three: list[Commit]) -> None:
    for number in range(50):
        engine.reset("v", three[number % 2].id)
    assert pointed(engine)[3:] == [three[number % 2].id for number in range(50)]


def test_a_commit_that_is_refused_is_no_entry(engine: Engine, three: list[Commit]) -> None:
    for verb in (
        lambda: engine.commit("v", " ", ANN),
        lambda: engine.reset("v", "HEAD~9"),
        lambda: engine.branch("v", "master"),
        lambda: engine.checkout("v", "nowhere"),
        lambda: engine.delete_branch("v", "master"),
    ):
        with pytest.raises(DvolError):
            verb()
    assert len(engine.reflog("v")) == 3


# -- revisions by the reflog ---------------------------------------------------------------------


def test_where_head_was_before_a_reset_is_a_revision(
    engine: Engine, tree: Path, three: list[Commit]
) -> None:
    engine.reset("v", "HEAD~2")
    state(tree, "scribble")
    assert engine.log("v", "HEAD@{1}") == three[::-1]
    assert engine.log("v", "@{1}^") == engine.log("v", "master@{2}") == three[1::-1]
    assert engine.log("v", "HEAD@{now}") == three[:1]
    assert engine.reset("v", "HEAD@{1}") == three[2]
    assert (content(tree), engine.log("v")) == ("3", three[::-1])
    assert changes(engine)[-1] == "reset: moving to HEAD@{1}"


def test_a_deleted_branch_is_made_again_from_where_it_was(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    engine.branch("v", "feature", "HEAD^")
    state(keeper.tree("v", "feature"), "4")
    last = commit(engine, "4")
    engine.checkout("v", "master")
    engine.delete_branch("v", "feature")
    assert engine.branch("v", "again", "feature@{1}").head == last.id
    assert content(keeper.tree("v", "again")) == "4"
    assert engine.log("v") == [last, three[1], three[0]]


def test_every_commit_of_a_loop_is_found_by_its_number(
    engine: Engine, tree: Path, three: list[Commit]
) -> None:
    engine.reset("v", three[0].id)
    made = []
    for number in range(15):
        state(tree, str(number))
        made.append(commit(engine, str(number)))
        engine.reset("v", three[0].id)
    for number, one in enumerate(reversed(made)):
        assert engine.log("v", f"HEAD@{{{2 * number + 1}}}") == [one, three[0]]


def test_a_commit_that_gc_has_deleted(engine: Engine, keeper: Keeper, three: list[Commit]) -> None:
    engine.reset("v", "HEAD^")
    engine.gc(now=True)
    with pytest.raises(RevisionNotFound):
        engine.log("v", "HEAD@{1}")
    assert engine.log("v", "HEAD@{2}") == three[1::-1]


def test_a_reflog_that_does_not_reach_that_far(engine: Engine, three: list[Commit]) -> None:
    for revision in ("HEAD@{3}", "@{yesterday}"):
        with pytest.raises(NotInReflog, match="has 3 entries"):
            engine.reset("v", revision)


def test_a_commit_by_its_message(engine: Engine, tree: Path, three: list[Commit]) -> None:
    engine.reset("v", "HEAD~2")
    assert engine.log("v", ":/3") == three[::-1]
    assert engine.reset("v", ":/2") == three[1]
    assert changes(engine)[-1] == "reset: moving to :/2"
    with pytest.raises(RevisionNotFound):
        engine.log("v", ":/4")


def test_several_volumes_go_back_by_their_own_reflogs(engine: Engine, keeper: Keeper) -> None:
    engine.init("w")
    trees = {volume: keeper.tree(volume) for volume in ("v", "w")}
    made = []
    for text in ("1", "2"):
        for tree in trees.values():
            state(tree, text)
        made.append(engine.commit_group(["v", "w"], "", text, ANN))
    engine.reset_group(["v", "w"], "", made[0]["v"].id)
    assert engine.reset_group(["v", "w"], "", "HEAD@{1}") == made[1]
    assert [content(tree) for tree in trees.values()] == ["2", "2"]
    assert engine.reset_group(["v", "w"], "", ":/1") == made[0]
    commit(engine, "3", "w")
    with pytest.raises(NotOneGroup):
        engine.reset_group(["v", "w"], "", "HEAD@{1}")


# -- gc ------------------------------------------------------------------------------------------


def all_lines_aged(layout: VolumeLayout, *ages: timedelta) -> None:
    """Set the dates of the lines, from the oldest on, to so long ago."""
    lines = [json.loads(line) for line in layout.reflog.read_text().splitlines()]
    for line, age in zip(lines, ages, strict=False):
        line["date"] = (datetime.now(UTC) - age).isoformat(timespec="seconds")
    layout.reflog.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_gc_deletes_lines_that_are_older_than_its_setting(
    engine: Engine, layout: VolumeLayout, three: list[Commit]
) -> None:
    engine.reset("v", "HEAD^")
    all_lines_aged(layout, KEPT_FOR + DAY, KEPT_FOR + DAY, KEPT_FOR - DAY)
    engine.config("v", "gc.keep", "forever")
    engine.gc()
    assert len(changes(engine)) == 4
    engine.config("v", "gc.keep", "", unset=True)
    engine.gc(dry_run=True)
    assert len(changes(engine)) == 4
    engine.gc()
    assert changes(engine) == [": ", "commit: 3", "reset: moving to HEAD^"]
    assert engine.fsck() == []


def test_gc_that_runs_by_itself_believes_no_clock(
    engine: Engine, keeper: Keeper, layout: VolumeLayout, three: list[Commit]
) -> None:
    engine.reset("v", "HEAD^")
    all_lines_aged(layout, KEPT_FOR + DAY, KEPT_FOR + DAY)
    collect_expired(open_pool(keeper.pool, print, 60.0))
    assert len(changes(engine)) == 4


@anywhere
def test_a_reflog_that_is_no_file_hinders_no_gc(
    engine: Engine, layout: VolumeLayout, three: list[Commit]
) -> None:
    engine.reset("v", "HEAD^")
    layout.reflog.unlink()
    layout.reflog.mkdir()
    assert {one.verb for one in engine.gc(now=True)} == {"reset", "drop"}


# -- a reflog that is damaged, missing or can't be written ---------------------------------------


def test_a_torn_last_line_costs_that_line(
    engine: Engine, layout: VolumeLayout, three: list[Commit]
) -> None:
    os.truncate(layout.reflog, layout.reflog.stat().st_size - 20)
    assert [(one.id, one.verb) for one in engine.reflog("v")][:2] == [
        (three[2].id, ""),
        (three[1].id, "commit"),
    ]
    engine.reset("v", "HEAD^")
    assert pointed(engine) == [three[0].id, three[1].id, three[2].id, three[1].id]


def test_a_missing_line_is_an_entry_without_a_verb(
    engine: Engine, layout: VolumeLayout, three: list[Commit]
) -> None:
    lines = layout.reflog.read_bytes().splitlines(keepends=True)
    layout.reflog.write_bytes(lines[0] + lines[2])
    assert changes(engine) == ["commit: 1", ": ", "commit: 3"]
    assert pointed(engine) == [one.id for one in three]


def test_without_a_reflog_there_is_the_present(
    engine: Engine, layout: VolumeLayout, three: list[Commit]
) -> None:
    layout.reflog.unlink()
    assert pointed(engine) == [three[2].id]
    engine.reset("v", "HEAD^")
    assert changes(engine) == [": ", "reset: moving to HEAD^"]


def test_a_change_that_never_happened_is_no_entry(
    engine: Engine, layout: VolumeLayout, three: list[Commit]
) -> None:
    """As when a verb is killed after it appended its line, and before it published its change."""
    one, two, last = (commit.id for commit in three)
    append(layout, Line("master", last, one, "reset", "moving to HEAD~2", True))
    assert pointed(engine) == [one, two, last]
    append(layout, Line("feature", "", one, "branch", "created from HEAD~2", False))
    append(layout, Line("feature", last, one, "checkout", "moving from master to feature", True))
    assert pointed(engine) == [one, two, last]
    engine.reset("v", "HEAD^")
    assert pointed(engine) == [one, two, last, two]
    engine.branch("v", "feature", last)
    assert pointed(engine) == [one, two, last, two, last]
    assert pointed(engine, "feature") == [last]


Act = Callable[[Engine], object]
VERBS: dict[str, Act] = {
    "commit": lambda engine: commit(engine, "4"),
    "reset": lambda engine: engine.reset("v", "HEAD^"),
    "checkout": lambda engine: engine.checkout("v", "side"),
    "checkout -b": lambda engine: engine.branch("v", "new"),
    "branch -d": lambda engine: engine.delete_branch("v", "side"),
}
verbs = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)


@pytest.fixture
def side(engine: Engine, three: list[Commit]) -> list[Commit]:
    engine.branch("v", "side", "HEAD^")
    engine.checkout("v", "master")
    return three


def full(path: Path) -> None:
    """Every write to it fails, for want of space."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.mknod(path, stat.S_IFCHR | 0o600, os.stat("/dev/full").st_rdev)


@anywhere
@verbs
@pytest.mark.parametrize("obstacle", [Path.mkdir, full], ids=["directory", "full disk"])
def test_a_reflog_that_cant_be_written_fails_no_verb(
    engine: Engine, layout: VolumeLayout, side: list[Commit], verb: Act, obstacle
) -> None:
    layout.reflog.unlink()
    obstacle(layout.reflog)
    verb(engine)
    with pytest.raises(BadDocument):
        engine.reflog("v")
    delete_tree(layout.reflog)
    assert engine.reflog("v")[0].id == engine.get("v").head
    assert engine.fsck() == []


@anywhere
@verbs
def test_a_symbolic_link_is_refused(
    engine: Engine, keeper: Keeper, layout: VolumeLayout, side: list[Commit], verb: Act
) -> None:
    before = (engine.log("v"), engine.branches("v"), commits_on_disk(keeper))
    layout.reflog.rename(keeper.pool / "elsewhere")
    layout.reflog.symlink_to(keeper.pool / "elsewhere")
    with pytest.raises(BadDocument):
        verb(engine)
    (keeper.pool / "elsewhere").rename(layout.reflog)
    assert before == (engine.log("v"), engine.branches("v"), commits_on_disk(keeper))
    assert staged(keeper) == []
