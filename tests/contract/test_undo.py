"""Undo: what a reset discarded comes back whole, and undo twice is redo."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dvol.engine import Engine
from dvol.engine.local import LocalEngine
from dvol.engine.reset import KEPT
from dvol.errors import CommitsGone, NothingToUndo, PathOccupied, VolumeNotFound
from dvol.tree.delete import delete_tree
from tests.contract.changes import CHANGES, DAY, Change, everything, many_kinds, rewritten
from tests.contract.conftest import anywhere
from tests.contract.places import Keeper, eventually
from tests.contract.pool_files import commits_on_disk, set_aside
from tests.contract.trees import described
from tests.contract.verbs import commit, content, messages, state
from tests.lab.filesystems import bound, mounted

# -- what is in a tree -------------------------------------------------------------------------


def extended(tree: Path) -> None:
    for name in ("file", "directory"):
        os.setxattr(tree / name, "user.one", b"a \0 value")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_reset_discarded_comes_back_byte_for_byte(
    engine: Engine, tree: Path, change: Change
) -> None:
    many_kinds(tree)
    done = commit(engine)
    committed = described(tree)
    change(tree)
    changed = described(tree)
    engine.reset("v")
    assert committed == described(tree)
    assert done == engine.undo("v")
    assert changed == described(tree)
    engine.undo("v")
    assert committed == described(tree)
    engine.undo("v")
    assert changed == described(tree)


def test_extended_attributes_come_back(engine: Engine, tree: Path) -> None:
    many_kinds(tree)
    try:
        os.setxattr(tree, "user.probe", b"x")
    except OSError:
        pytest.skip("no extended attributes of users here")
    commit(engine)
    extended(tree)
    changed = described(tree)
    engine.reset("v")
    assert changed != described(tree)
    engine.undo("v")
    assert changed == described(tree)


def test_what_is_set_aside_is_the_discarded_files_themselves(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """Hence it costs no copy."""
    state(tree, "1")
    commit(engine)
    (tree / "file").unlink()
    state(tree, "discarded")
    inode = (tree / "file").stat().st_ino
    engine.reset("v")
    (entry,) = set_aside(keeper)
    assert inode in {path.lstat().st_ino for path in entry.rglob("*")}


# -- lists and commits -------------------------------------------------------------------------


def test_the_list_and_its_commits_come_back_with_the_tree(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    one = commit(engine, "1")
    state(tree, "2")
    two = commit(engine, "2")
    frozen = described(keeper.frozen("v", two.id))
    state(tree, "not committed")
    engine.reset("v", "HEAD^")
    assert commits_on_disk(keeper) == {one.id, two.id}
    assert two == engine.undo("v")
    assert [two, one] == engine.log("v")
    assert content(tree) == "not committed"
    assert frozen == described(keeper.frozen("v", two.id))
    assert two == engine.reset("v", two.id)
    assert content(tree) == "2"


def test_undo_twice_is_redo(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "1")
    one = commit(engine, "1")
    state(tree, "2")
    two = commit(engine, "2")
    engine.reset("v", "HEAD^")
    for _ in range(3):
        engine.undo("v")
        assert (content(tree), engine.log("v")) == ("2", [two, one])
        assert commits_on_disk(keeper) == {one.id, two.id}
        engine.undo("v")
        assert (content(tree), engine.log("v")) == ("1", [one])
        assert commits_on_disk(keeper) == {one.id, two.id}
        assert len(os.listdir(keeper.pool / "v/.dvol/dropped")) == 1
    assert len(set_aside(keeper)) == 1


def test_a_reset_that_changes_nothing_leaves_what_undo_would_bring_back(
    engine: Engine, tree: Path
) -> None:
    """Else a reset by mistake, once more, would take the way back."""
    state(tree, "1")
    commit(engine)
    state(tree, "2")
    engine.reset("v")
    engine.reset("v")
    engine.undo("v")
    assert content(tree) == "2"


def test_a_reset_right_after_a_commit_sets_nothing_aside(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    commit(engine)
    engine.reset("v")
    assert set_aside(keeper) == []


def test_undo_of_a_reset_that_changed_the_list_only(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    for message in ("1", "again 1"):
        commit(engine, message)
    engine.reset("v", "HEAD~1")
    assert (messages(engine), content(tree)) == (["1"], "1")
    engine.undo("v")
    assert (messages(engine), content(tree)) == (["again 1", "1"], "1")
    engine.undo("v")
    assert (messages(engine), content(tree)) == (["1"], "1")
    state(tree, "2")
    assert content(keeper.frozen("v", engine.log("v")[0].id)) == "1"
    assert engine.fsck() == []


def test_undo_sets_aside_what_changed_since(engine: Engine, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    state(tree, "first")
    engine.reset("v")
    state(tree, "second")
    engine.undo("v")
    assert content(tree) == "first"
    engine.undo("v")
    assert content(tree) == "second"


def test_undo_sets_aside_what_was_committed_since(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    one = commit(engine, "1")
    state(tree, "2")
    two = commit(engine, "2")
    engine.reset("v", "HEAD^")
    state(tree, "3")
    three = commit(engine, "3")
    assert two == engine.undo("v")
    assert (content(tree), engine.log("v")) == ("2", [two, one])
    assert commits_on_disk(keeper) == {one.id, two.id, three.id}
    assert three == engine.undo("v")
    assert (content(tree), engine.log("v")) == ("3", [three, one])


def test_undo_of_several_resets_brings_back_the_last(engine: Engine, tree: Path) -> None:
    """Older ones are still there for `restore`."""
    for text in ("1", "2", "3"):
        state(tree, text)
        commit(engine, text)
    engine.reset("v", "HEAD^")
    engine.reset("v", "HEAD^")
    engine.undo("v")
    assert (content(tree), messages(engine)) == ("2", ["2", "1"])
    assert [one.verb for one in engine.discarded()] == ["undo", "reset"]


def test_undo_after_taking_over_another_branchs_history(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    commit(engine, "1")
    engine.branch("v", "side")
    state(keeper.tree("v", "side"), "2")
    commit(engine, "2")
    engine.checkout("v", "master")
    state(tree, "3")
    commit(engine, "3")
    engine.reset("v", "side")
    engine.undo("v")
    assert (content(tree), messages(engine)) == ("3", ["3", "1"])
    assert messages(engine, revision="side") == ["2", "1"]


def test_undo_may_lead_back_to_before_the_first_commit(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """As a list of the original may be, while another branch has commits."""
    state(tree, "1")
    commit(engine, "1")
    engine.branch("v", "side")
    engine.checkout("v", "master")
    (keeper.pool / "v" / "branches" / "master.json").unlink()
    state(tree, "mine")
    engine.reset("v", "side")
    assert engine.undo("v").id == ""
    assert (engine.log("v"), content(tree)) == ([], "mine")


def test_each_branch_has_its_own(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    state(tree, "on master")
    engine.reset("v")
    engine.branch("v", "side")
    with pytest.raises(NothingToUndo, match="'side'"):
        engine.undo("v")
    state(keeper.tree("v", "side"), "on side")
    engine.reset("v")
    engine.checkout("v", "master")
    engine.undo("v")
    assert content(tree) == "on master"
    engine.checkout("v", "side")
    engine.undo("v")
    assert content(keeper.tree("v", "side")) == "on side"


# -- commits that another branch's verb has moved ----------------------------------------------


def test_a_commit_that_went_with_a_deleted_branch_comes_back(
    shared: Engine, keeper: Keeper, tree: Path
) -> None:
    shared.delete_branch("v", "side")
    two = shared.undo("v")
    assert (content(tree), messages(shared)) == ("2", ["2", "1"])
    assert content(keeper.frozen("v", two.id)) == "2"
    shared.restore(next(one.entry for one in shared.discarded() if one.verb == "branch -d"))
    assert messages(shared, revision="side") == ["2", "1"]


def test_a_commit_that_another_branchs_reset_dropped_comes_back(
    shared: Engine, keeper: Keeper, tree: Path
) -> None:
    shared.checkout("v", "side")
    shared.reset("v", "HEAD^")
    shared.checkout("v", "master")
    shared.undo("v")
    assert (content(tree), messages(shared)) == ("2", ["2", "1"])
    shared.checkout("v", "side")
    shared.undo("v")
    assert (content(keeper.tree("v", "side")), messages(shared)) == ("2", ["2", "1"])
    assert shared.fsck() == []


def test_a_commit_dropped_by_a_branch_that_was_then_deleted_comes_back(
    shared: Engine, keeper: Keeper, tree: Path
) -> None:
    shared.checkout("v", "side")
    shared.reset("v", "HEAD^")
    shared.checkout("v", "master")
    shared.delete_branch("v", "side")
    shared.undo("v")
    assert (content(tree), messages(shared)) == ("2", ["2", "1"])


@anywhere
def test_undo_without_a_commit_of_its_list_is_refused_and_changes_nothing(
    shared: Engine, keeper: Keeper, tree: Path
) -> None:
    two = shared.log("v", "side")[0]
    shared.delete_branch("v", "side")
    delete_tree(keeper.frozen("v", two.id))
    places = [keeper.pool / "v" / name for name in ("branches", "commits", ".dvol/undo")]
    before = [described(path) for path in places]
    with pytest.raises(CommitsGone, match=two.id[:12]) as refusal:
        shared.undo("v")
    assert refusal.value.exit_code == 3
    assert before == [described(path) for path in places]


# -- nothing to undo, and no more than is kept -------------------------------------------------


def test_without_a_reset_there_is_nothing_to_undo(engine: Engine, tree: Path) -> None:
    state(tree, "1")
    commit(engine)
    with pytest.raises(NothingToUndo, match="'master'") as refusal:
        engine.undo("v")
    assert refusal.value.exit_code == 3
    assert content(tree) == "1"


def test_after_gc_there_is_nothing_to_undo(engine: Engine, tree: Path) -> None:
    state(tree, "1")
    commit(engine)
    state(tree, "discarded")
    engine.reset("v")
    engine.gc(now=True)
    with pytest.raises(NothingToUndo):
        engine.undo("v")
    assert content(tree) == "1"


def test_undo_of_a_missing_volume_is_refused(engine: Engine) -> None:
    with pytest.raises(VolumeNotFound):
        engine.undo("nope")


def test_the_last_ten_of_a_branch_are_kept(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "committed")
    commit(engine)
    for number in range(KEPT + 3):
        state(tree, f"number {number}")
        engine.reset("v")
    kept = set_aside(keeper)
    assert len(kept) == KEPT
    eventually(lambda: os.listdir(keeper.pool / ".dvol" / "garbage") == [])
    assert kept[-1].name == f"{KEPT + 3:08d}"
    engine.undo("v")
    assert content(tree) == f"number {KEPT + 2}"
    oldest = engine.discarded()[-1]
    engine.restore(oldest.entry, "oldest")
    assert content(keeper.tree("v", "oldest")) == "number 3"


def test_states_of_which_all_is_committed_go_first(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """Going back and forth between commits must not push out a day's work."""
    for text in ("1", "2"):
        state(tree, text)
        commit(engine, text)
    two = engine.log("v")[0]
    state(tree, "a day's work")
    engine.reset("v")
    for _ in range(KEPT):
        engine.reset("v", "HEAD^")
        engine.reset("v", two.id)
    assert len(set_aside(keeper)) == KEPT
    oldest = engine.discarded()[-1].entry
    engine.restore(oldest, "work")
    assert content(keeper.tree("v", "work")) == "a day's work"


@pytest.mark.root
def test_a_reset_before_each_test_does_not_fill_the_disk() -> None:
    """What is set aside takes room of its own on ext4; the newest is always there."""
    with mounted("ext4", 256 << 20) as root:
        pool = LocalEngine(root / "volumes")
        pool.init("v")
        file = root / "volumes/v/branches/master/table"
        file.write_bytes(os.urandom(20 << 20))
        pool.commit("v", "seed", "Ann <ann@example.org>")
        for _ in range(15):
            file.write_bytes(ruin := os.urandom(20 << 20))
            pool.reset("v")
        kept = os.listdir(root / "volumes/v/.dvol/undo/master")
        assert 1 <= len(kept) < KEPT
        pool.undo("v")
        assert file.read_bytes() == ruin


def test_a_surplus_state_takes_no_commit_with_it_that_a_kept_one_needs(
    shared: Engine, keeper: Keeper, tree: Path
) -> None:
    """`side` has dropped the commit that `master` would come back to."""
    shared.checkout("v", "side")
    shared.reset("v", "HEAD^")
    for number in range(KEPT + 2):
        state(keeper.tree("v", "side"), str(number))
        shared.reset("v")
    assert len(set_aside(keeper, "side")) == KEPT
    shared.checkout("v", "master")
    shared.undo("v")
    assert messages(shared) == ["2", "1"]


@anywhere
def test_a_surplus_state_takes_no_commit_with_it_that_a_deleted_branch_needs(
    shared: Engine, keeper: Keeper, tree: Path
) -> None:
    shared.undo("v")
    shared.delete_branch("v", "side")
    branch = shared.discarded()[0].entry
    shared.reset("v", "HEAD^")
    for number in range(KEPT + 2):
        state(tree, str(number))
        shared.reset("v")
    assert len(set_aside(keeper)) == KEPT
    shared.restore(branch)
    shared.checkout("v", "side")
    assert messages(shared) == ["2", "1"]


# -- afterwards --------------------------------------------------------------------------------


def test_what_is_committed_after_an_undo_is_what_is_there(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """What is known of the tree by its index must not be of before."""
    many_kinds(tree)
    commit(engine)
    everything(tree)
    engine.reset("v")
    rewritten(tree)
    engine.undo("v")
    done = commit(engine, "after the undo")
    assert described(tree) == described(keeper.frozen("v", done.id))
    engine.undo("v")
    done = commit(engine, "after the redo")
    assert described(tree) == described(keeper.frozen("v", done.id))
    assert engine.fsck() == []


def test_undo_where_the_tree_is_that_already(engine: Engine, keeper: Keeper, tree: Path) -> None:
    """Somebody has made the discarded change again, by hand."""
    state(tree, "1")
    commit(engine)
    state(tree, "2")
    for path in (tree / "file", tree):
        os.utime(path, ns=(DAY, DAY))
    before = described(tree)
    engine.reset("v")
    state(tree, "2")
    for path in (tree / "file", tree):
        os.utime(path, ns=(DAY, DAY))
    engine.undo("v")
    assert before == described(tree)
    commit(engine)
    assert engine.fsck() == []


def test_undo_in_a_volume_that_was_brought_back_under_another_name(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    commit(engine)
    state(tree, "2")
    engine.reset("v")
    engine.undo("v")
    engine.rm("v")
    engine.init("v")  # whose commits are others
    engine.restore(engine.discarded()[0].entry, "w")
    engine.undo("w")
    assert content(keeper.tree("w")) == "1"
    engine.undo("w")
    assert content(keeper.tree("w")) == "2"


@anywhere
def test_an_undo_whose_note_is_torn_is_refused(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "1")
    commit(engine)
    state(tree, "2")
    engine.reset("v")
    (entry,) = set_aside(keeper)
    (entry / "entry.json").write_text('{"format": 1')
    with pytest.raises(Exception, match=r"entry\.json") as refusal:
        engine.undo("v")
    assert refusal.value.exit_code == 8
    assert content(tree) == "1"


@anywhere
@pytest.mark.parametrize("base", ["", "/etc", "../outside", "v/branches/master", "x/commits/..", 7])
def test_a_note_that_leads_elsewhere_is_refused(
    engine: Engine, keeper: Keeper, tree: Path, base: object
) -> None:
    state(tree, "1")
    commit(engine)
    state(tree, "2")
    engine.reset("v")
    (entry,) = set_aside(keeper)
    note = json.loads((entry / "entry.json").read_text())
    (entry / "entry.json").write_text(json.dumps({**note, "base": base}))
    with pytest.raises(Exception, match="made from") as refusal:
        engine.undo("v")
    assert refusal.value.exit_code == 8
    assert content(tree) == "1"


# -- what others do meanwhile ------------------------------------------------------------------


def test_who_had_a_file_open_before_writes_to_nothing_that_counts(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """A daemon on the host, that no Docker knows of."""
    state(tree, "1")
    commit(engine, "1")
    state(tree, "not committed")
    (file,) = (path for path in tree.iterdir() if path.is_file())
    with file.open("r+b", buffering=0) as held:
        engine.reset("v")
        engine.undo("v")
        held.write(b"LATER")
        assert content(tree) == "not committed"
        done = commit(engine, "2")
        assert described(keeper.frozen("v", done.id)) == described(tree)


def test_a_verb_that_happened_says_so_though_nothing_can_be_remembered(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    commit(engine, "1")
    state(tree, "discarded")
    index = keeper.pool / "v/.dvol/index"
    if index.exists():
        shutil.rmtree(index)
    index.write_text("in the way")
    engine.reset("v")
    assert content(tree) == "1"
    engine.undo("v")
    assert content(tree) == "discarded"
    engine.branch("v", "side")
    assert content(keeper.tree("v", "side")) == "1"


@anywhere
def test_any_time_that_a_file_can_have_comes_back(engine: Engine, keeper: Keeper, tree: Path):
    """From before 1970, and from after 2262, to which 64 bits of nanoseconds do not reach."""
    for name, year in (("old", -200), ("new", 400)):
        (tree / name).write_text(name)
        os.utime(tree / name, ns=(year * 365 * DAY, year * 365 * DAY))
    before = described(tree)
    done = commit(engine, "1")
    assert described(keeper.frozen("v", done.id)) == before
    (tree / "new").unlink()
    (tree / "old").write_text("changed")
    engine.reset("v")
    assert described(tree) == before
    engine.undo("v")
    engine.undo("v")
    assert described(tree) == before


@pytest.mark.parametrize("keeper", ["disk"], indirect=True)
@pytest.mark.root
@pytest.mark.parametrize("point", ["kept", "new/inner"])
def test_what_is_mounted_in_a_tree_is_not_carried_off(
    engine: Engine, keeper: Keeper, tree: Path, tmp_path: Path, point: str
) -> None:
    (tree / "kept").mkdir()
    commit(engine, "1")
    (tree / "new/inner").mkdir(parents=True)
    with bound(tmp_path, tree / point):
        with pytest.raises(PathOccupied, match=f"mounted at .*{point}"):
            engine.reset("v")
        assert os.path.ismount(tree / point) or os.listdir(tree / point) == os.listdir(tmp_path)
    engine.reset("v")
    assert not (tree / "new").exists()
