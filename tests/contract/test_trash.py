"""What was discarded: listed, brought back, and deleted for good."""

import json
import os
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dvol.backends import choose
from dvol.engine import Engine
from dvol.engine.local import LocalEngine
from dvol.errors import (
    AmbiguousEntry,
    BranchExists,
    CommitsGone,
    EntryNotFound,
    InvalidRequest,
    NameRequired,
    NoSpace,
    PathOccupied,
    UnfinishedRemoval,
    VolumeExists,
    VolumeGone,
)
from dvol.model import Restored
from dvol.tree.delete import delete_tree
from tests.contract.changes import many_kinds
from tests.contract.conftest import anywhere, indexed
from tests.contract.locking import lock, locked
from tests.contract.places import Keeper, eventually
from tests.contract.pool_files import (
    KEPT_FOR,
    aged,
    all_aged,
    commits_on_disk,
    entry_of,
    path_of,
    set_aside,
    staged,
)
from tests.contract.trees import described, inodes
from tests.contract.verbs import ANN, BAD_NAMES, commit, content, messages, names, state
from tests.lab import Unavailable
from tests.lab.filesystems import mounted

MIB = 1 << 20


def swept(keeper: Keeper) -> bool:
    return os.listdir(keeper.pool / ".dvol" / "garbage") == []


# -- the list ----------------------------------------------------------------------------------


def test_what_was_discarded_is_listed_newest_first(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    assert engine.discarded() == []
    state(tree, "1")
    commit(engine)
    state(tree, "2")
    engine.reset("v")
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    aged(keeper, entry_of(engine, "branch -d"), timedelta(minutes=1))
    aged(keeper, entry_of(engine, "reset"), timedelta(minutes=2))
    engine.init("w")
    engine.rm("w")
    told = [(one.verb, one.volume, one.branch) for one in engine.discarded()]
    assert told == [("rm", "w", ""), ("branch -d", "v", "side"), ("reset", "v", "master")]
    assert all(len(one.entry) == 12 for one in engine.discarded())
    dates = [datetime.fromisoformat(one.date) for one in engine.discarded()]
    assert all(timedelta(0) <= datetime.now(UTC) - date < timedelta(minutes=3) for date in dates)


@anywhere
@pytest.mark.parametrize("note", ["", "{", "[]", '{"format": 99, "verb": "rm"}', None])
def test_what_nobody_can_tell_is_not_listed_and_hinders_nothing(
    engine: Engine, keeper: Keeper, note: str | None
) -> None:
    engine.rm("v")
    entry = entry_of(engine, "rm")
    path = path_of(keeper, entry) / "entry.json"
    path.unlink()
    if note is not None:
        path.write_text(note)
    with pytest.raises(EntryNotFound):
        engine.restore(entry)
    (keeper.pool / ".dvol" / "trash" / "stray").write_text("x")
    engine.init("w")
    engine.rm("w")
    assert [one.volume for one in engine.discarded()] == ["w"]
    engine.restore(engine.discarded()[0].entry)


# -- an entry is meant by its id ---------------------------------------------------------------


@anywhere
def test_an_entry_is_meant_by_how_its_id_begins(engine: Engine) -> None:
    engine.rm("v")
    assert Restored("v", "") == engine.restore(entry_of(engine, "rm")[:4].upper())


@anywhere
@pytest.mark.parametrize("typed", ["", "abc", "00000000", "../..", "nope", "*", "\0", "a\udcff"])
def test_what_is_no_entry_is_not_found(engine: Engine, typed: str) -> None:
    engine.rm("v")
    with pytest.raises(EntryNotFound) as refusal:
        engine.restore(typed)
    assert refusal.value.exit_code == 3
    assert names(engine) == []


@anywhere
def test_an_id_of_three_digits_is_too_short(engine: Engine) -> None:
    engine.rm("v")
    with pytest.raises(EntryNotFound):
        engine.restore(entry_of(engine, "rm")[:3])


@anywhere
def test_an_id_that_may_mean_two_is_refused(engine: Engine, keeper: Keeper) -> None:
    engine.init("w")
    for volume, id in (("v", "abcd00000001"), ("w", "abcd00000002")):
        engine.rm(volume)
        newest = next(one for one in engine.discarded() if one.volume == volume)
        note = path_of(keeper, newest.entry) / "entry.json"
        note.write_text(json.dumps({**json.loads(note.read_text()), "id": id}))
    with pytest.raises(AmbiguousEntry, match="abcd00000001, abcd00000002") as refusal:
        engine.restore("abcd")
    assert refusal.value.exit_code == 4
    assert Restored("w", "") == engine.restore("abcd00000002")


# -- bringing back a volume --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "other"])
def test_a_volume_comes_back_whole(engine: Engine, keeper: Keeper, tree: Path, name: str) -> None:
    many_kinds(tree)
    commit(engine, "1")
    engine.branch("v", "side")
    state(tree, "discarded")
    engine.checkout("v", "master")
    engine.reset("v")
    state(tree, "not committed")
    before = described(keeper.pool / "v")
    engine.rm("v")
    assert Restored(name or "v", "") == engine.restore(entry_of(engine, "rm"), name)
    after = described(keeper.pool / (name or "v"))
    assert {path: one for path, one in before.items() if b"/.dvol/staging" not in path} == {
        path: one for path, one in after.items() if b"/.dvol/staging" not in path
    }
    assert engine.fsck() == []
    assert not [one for one in engine.discarded() if one.verb == "rm"]
    engine.undo(name or "v")
    assert content(keeper.tree(name or "v")) == "discarded"
    eventually(lambda: swept(keeper))


def test_a_volume_that_comes_back_is_not_the_active_one(engine: Engine) -> None:
    engine.rm("v")
    engine.init("w")
    engine.restore(entry_of(engine, "rm"))
    assert engine.active() == "w"


def test_a_volume_is_not_brought_back_over_another(engine: Engine, tree: Path) -> None:
    engine.rm("v")
    engine.init("v")
    state(tree, "the new one")
    with pytest.raises(VolumeExists) as refusal:
        engine.restore(entry_of(engine, "rm"))
    assert refusal.value.exit_code == 4
    assert content(tree) == "the new one"
    assert Restored("old", "") == engine.restore(entry_of(engine, "rm"), "old")
    assert names(engine) == ["old", "v"]


@anywhere
def test_a_volume_is_not_brought_back_over_a_file(engine: Engine, keeper: Keeper) -> None:
    engine.rm("v")
    (keeper.pool / "v").write_text("mine")
    with pytest.raises(PathOccupied):
        engine.restore(entry_of(engine, "rm"))
    assert (keeper.pool / "v").read_text() == "mine"


@anywhere
@pytest.mark.parametrize("name", [name for name in BAD_NAMES.values() if name], ids=repr)
def test_a_volume_is_not_brought_back_under_a_bad_name(
    engine: Engine, keeper: Keeper, name: str
) -> None:
    engine.rm("v")
    with pytest.raises(InvalidRequest, match="not a valid name"):
        engine.restore(entry_of(engine, "rm"), name)
    assert names(engine) == []


@anywhere
def test_a_volume_in_the_midst_of_a_verb_returns_under_its_own_name_only(
    engine: Engine, keeper: Keeper
) -> None:
    """Its journal would be taken for one of another volume, or change that."""
    engine.rm("v")
    engine.init("v")
    entry = entry_of(engine, "rm")
    journal = path_of(keeper, entry) / "volume" / ".dvol" / "journal.json"
    steps = [["discard", "v/branches/master"]]
    journal.write_text(json.dumps({"format": 1, "verb": "x", "steps": steps}))
    with pytest.raises(UnfinishedRemoval, match="'v'") as refusal:
        engine.restore(entry, "w")
    assert refusal.value.exit_code == 4
    engine.volumes()
    assert keeper.tree("v").is_dir()


# -- bringing back a branch --------------------------------------------------------------------


@pytest.fixture
def side(engine: Engine, keeper: Keeper, tree: Path) -> Engine:
    """`v` had a branch `side` with a commit of its own, an undone reset, and changes."""
    state(tree, "1")
    commit(engine, "1")
    engine.branch("v", "side")
    other = keeper.tree("v", "side")
    many_kinds(other)
    state(other, "2")
    commit(engine, "2")
    state(other, "set aside")
    engine.reset("v")
    state(other, "not committed")
    engine.checkout("v", "master")
    return engine


@pytest.mark.parametrize("name", ["", "other"])
def test_a_branch_comes_back_with_its_list_tree_and_commits(
    side: Engine, keeper: Keeper, name: str
) -> None:
    before, had = described(keeper.tree("v", "side")), commits_on_disk(keeper)
    log = side.log("v", "side")
    side.delete_branch("v", "side")
    assert had == commits_on_disk(keeper)
    new = name or "side"
    assert Restored("v", new) == side.restore(entry_of(side, "branch -d"), name)
    assert before == described(keeper.tree("v", new))
    assert (log, had) == (side.log("v", new), commits_on_disk(keeper))
    assert side.get("v").branch == "master"
    assert "side" in side.discarded()[0].branch or name
    side.checkout("v", new)
    side.undo("v")
    assert content(keeper.tree("v", new)) == "set aside"
    assert side.fsck() == []
    assert staged(keeper) == []


def test_what_is_committed_on_a_branch_that_came_back_is_what_is_there(
    side: Engine, keeper: Keeper
) -> None:
    side.delete_branch("v", "side")
    side.restore(entry_of(side, "branch -d"))
    side.checkout("v", "side")
    done = commit(side, "3")
    assert described(keeper.tree("v", "side")) == described(keeper.frozen("v", done.id))
    assert side.fsck() == []


def test_a_branch_is_not_brought_back_over_another(side: Engine, keeper: Keeper) -> None:
    side.delete_branch("v", "side")
    side.branch("v", "side")
    before = described(keeper.tree("v", "side"))
    with pytest.raises(BranchExists) as refusal:
        side.restore(entry_of(side, "branch -d"))
    assert refusal.value.exit_code == 4
    assert before == described(keeper.tree("v", "side"))
    side.restore(entry_of(side, "branch -d"), "old")
    assert messages(side, revision="old") == ["2", "1"]


def test_a_branch_without_its_volume_is_not_brought_back(side: Engine) -> None:
    side.delete_branch("v", "side")
    side.rm("v")
    with pytest.raises(VolumeGone, match="'v'") as refusal:
        side.restore(entry_of(side, "branch -d"))
    assert refusal.value.exit_code == 3
    side.restore(entry_of(side, "rm"))
    side.restore(entry_of(side, "branch -d"))
    assert messages(side, revision="side") == ["2", "1"]


def test_a_branch_whose_commit_is_nowhere_is_refused_and_says_which(
    side: Engine, keeper: Keeper
) -> None:
    two = side.log("v", "side")[0]
    side.delete_branch("v", "side")
    entry = entry_of(side, "branch -d")
    delete_tree(keeper.frozen("v", two.id))
    with pytest.raises(CommitsGone, match=two.id[:12]):
        side.restore(entry)
    assert [branch.name for branch in side.branches("v")] == ["master"]
    assert staged(keeper) == []


@anywhere
@pytest.mark.parametrize("name", ["HEAD", "x.json", "a/b", "..", "a b"])
def test_a_branch_is_not_brought_back_under_a_bad_name(side: Engine, name: str) -> None:
    side.delete_branch("v", "side")
    with pytest.raises(InvalidRequest, match="not a valid name"):
        side.restore(entry_of(side, "branch -d"), name)


@anywhere
@pytest.mark.parametrize("where", ["branches/side", ".dvol/undo/side"])
def test_a_branch_is_not_brought_back_over_something_else(
    side: Engine, keeper: Keeper, where: str
) -> None:
    side.delete_branch("v", "side")
    path = keeper.pool / "v" / where
    path.symlink_to("/nowhere/in/particular")
    with pytest.raises(PathOccupied):
        side.restore(entry_of(side, "branch -d"))
    assert path.is_symlink()


# -- bringing back a state ---------------------------------------------------------------------


def test_a_state_becomes_a_new_branch_and_can_still_be_undone(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    many_kinds(tree)
    one = commit(engine, "1")
    state(tree, "2")
    two = commit(engine, "2")
    state(tree, "not committed")
    (tree / "directory/inner").unlink()
    before = described(tree)
    engine.reset("v", "HEAD^")
    after = described(tree)
    assert Restored("v", "old") == engine.restore(entry_of(engine, "reset"), "old")
    assert before == described(keeper.tree("v", "old"))
    assert [two, one] == engine.log("v", "old")
    assert (after, [one]) == (described(tree), engine.log("v"))
    assert engine.get("v").branch == "master"
    assert two == engine.undo("v")
    assert before == described(tree)
    assert engine.fsck() == []
    assert staged(keeper) == []


def test_a_state_that_came_back_shares_no_file_with_what_is_kept(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    many_kinds(tree)
    done = commit(engine)
    state(tree, "set aside")
    engine.reset("v")
    engine.restore(entry_of(engine, "reset"), "old")
    mine = inodes(keeper.tree("v", "old"))
    for other in (keeper.frozen("v", done.id), tree, *set_aside(keeper)):
        assert not mine & inodes(other)


def test_a_state_that_came_back_goes_its_own_way(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    commit(engine, "1")
    state(tree, "2")
    commit(engine, "2")
    engine.reset("v", "HEAD^")
    engine.restore(entry_of(engine, "reset"), "old")
    engine.checkout("v", "old")
    state(keeper.tree("v", "old"), "3")
    done = commit(engine, "3")
    assert described(keeper.tree("v", "old")) == described(keeper.frozen("v", done.id))
    engine.checkout("v", "master")
    engine.delete_branch("v", "old")
    engine.undo("v")
    assert (content(tree), messages(engine)) == ("2", ["2", "1"])


def test_an_older_state_comes_back_although_later_resets_dropped_its_commits(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    for text in ("1", "2", "3"):
        state(tree, text)
        commit(engine, text)
    state(tree, "oldest")
    engine.reset("v", "HEAD")
    engine.reset("v", "HEAD^^")
    oldest = engine.discarded()[-1]
    engine.restore(oldest.entry, "old")
    assert content(keeper.tree("v", "old")) == "oldest"
    assert messages(engine, revision="old") == ["3", "2", "1"]
    engine.undo("v")
    assert messages(engine) == ["3", "2", "1"]
    assert engine.fsck() == []


@anywhere
def test_a_state_needs_a_name(engine: Engine, tree: Path) -> None:
    commit(engine)
    state(tree, "2")
    engine.reset("v")
    entry = entry_of(engine, "reset")
    with pytest.raises(NameRequired, match=f"dvol restore {entry} NAME") as refusal:
        engine.restore(entry)
    assert refusal.value.exit_code == 2
    with pytest.raises(BranchExists):
        engine.restore(entry, "master")


def test_a_state_of_an_older_build_with_its_whole_tree_in_the_trash_comes_back(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    one = commit(engine, "1")
    old = keeper.pool / ".dvol" / "trash" / "20260101T000000Z-0123456789ab"
    (old / "commits").mkdir(parents=True)
    choose(keeper.pool).create(old / "tree")
    state(old / "tree", "whole")
    note = {"format": 1, "date": "2026-01-01T00:00:00+00:00", "verb": "reset", "volume": "v"}
    line = [{"id": one.id, "message": "1"}]
    (old / "entry.json").write_text(json.dumps({**note, "branch": "master", "commits": line}))
    assert engine.discarded()[0].entry == "0123456789ab"
    assert Restored("v", "old") == engine.restore("0123456789ab", "old")
    assert content(keeper.tree("v", "old")) == "whole"
    assert not old.exists()


# -- deleting for good -------------------------------------------------------------------------


@pytest.fixture
def discarded(side: Engine, keeper: Keeper) -> Engine:
    """One of each kind: a state of `v/master`, a branch, and a volume `w`."""
    side.delete_branch("v", "side")
    state(keeper.tree("v"), "set aside")
    side.reset("v")
    side.init("w")
    state(keeper.tree("w"), "of w")
    commit(side, volume="w")
    side.rm("w")
    return side


def verbs(engine: Engine) -> set[str]:
    return {one.verb for one in engine.discarded()}


def test_gc_deletes_nothing_that_is_not_past_its_time(discarded: Engine, keeper: Keeper) -> None:
    all_aged(keeper, KEPT_FOR - timedelta(minutes=1))
    assert discarded.gc() == []
    assert verbs(discarded) == {"reset", "branch -d", "rm"}


@pytest.mark.parametrize("verb", ["reset", "branch -d", "rm"])
def test_gc_deletes_what_is_past_its_time(discarded: Engine, keeper: Keeper, verb: str) -> None:
    entry = entry_of(discarded, verb)
    aged(keeper, entry)
    path = path_of(keeper, entry)
    (freed,) = discarded.gc()
    assert (freed.entry, freed.verb) == (entry, verb)
    assert verbs(discarded) == {"reset", "branch -d", "rm"} - {verb}
    assert not path.exists()
    eventually(lambda: swept(keeper))


def test_gc_now_deletes_everything(discarded: Engine, keeper: Keeper) -> None:
    listed = {one.entry for one in discarded.discarded()}
    two = next(iter(commits_on_disk(keeper) - {discarded.log("v")[0].id}))
    assert listed | {two} == {one.entry for one in discarded.gc(now=True)}
    assert commits_on_disk(keeper) == {discarded.log("v")[0].id}
    assert os.listdir(keeper.pool / "v/.dvol/dropped") == []
    assert discarded.discarded() == []
    assert discarded.gc(now=True) == []
    eventually(lambda: swept(keeper))
    assert os.listdir(keeper.pool / ".dvol" / "trash") == []
    assert discarded.fsck() == []
    assert [messages(discarded), content(keeper.tree("v"))] == [["1"], "1"]


def test_a_dry_run_tells_the_same_and_deletes_nothing(discarded: Engine, keeper: Keeper) -> None:
    aged(keeper, entry_of(discarded, "rm"))
    before = described(keeper.pool / ".dvol" / "trash"), described(keeper.pool / "v")
    told = discarded.gc(dry_run=True), discarded.gc(now=True, dry_run=True)
    assert before == (described(keeper.pool / ".dvol" / "trash"), described(keeper.pool / "v"))
    assert ([one.verb for one in told[0]], len(told[1])) == (["rm"], 4)
    assert told[0] == discarded.gc()
    assert sorted(one.entry for one in told[1][:3]) == sorted(
        one.entry for one in discarded.gc(now=True)
    )


@anywhere
def test_what_nobody_can_tell_is_deleted_only_with_everything(
    engine: Engine, keeper: Keeper
) -> None:
    engine.rm("v")
    (path_of(keeper, entry_of(engine, "rm")) / "entry.json").unlink()
    assert engine.gc() == []
    (freed,) = engine.gc(now=True)
    assert freed.verb == ""
    assert os.listdir(keeper.pool / ".dvol" / "trash") == []


def test_a_commit_that_a_kept_state_needs_is_not_deleted(
    shared: Engine, keeper: Keeper, tree: Path
) -> None:
    """A branch had it that was deleted longer ago."""
    two = shared.log("v", "side")[0]
    shared.delete_branch("v", "side")
    all_aged(keeper)
    aged(keeper, kept := entry_of(shared, "reset"), timedelta(0))
    freed = {one.entry: one.kept for one in shared.gc()}
    reason = f"'{kept}' in the list of 'dvol restore' needs it"
    assert freed.pop(two.id) == reason
    assert set(freed.values()) == {""}
    shared.undo("v")
    assert (content(tree), messages(shared)) == ("2", ["2", "1"])
    assert shared.gc() == []
    assert messages(shared) == ["2", "1"]


def test_a_frozen_tree_that_a_kept_state_is_against_is_not_deleted(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """The commit that a reset went to was dropped by a later one, which looks older."""
    state(tree, "1")
    commit(engine, "1")
    state(tree, "2")
    commit(engine, "2")
    state(tree, "set aside")
    engine.reset("v")
    kept = entry_of(engine, "reset")
    engine.reset("v", "HEAD^")
    all_aged(keeper)
    aged(keeper, kept, timedelta(0))
    note = path_of(keeper, kept) / "entry.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "commits": []}))
    assert "reset" in [one.verb for one in engine.gc() if not one.kept]
    engine.restore(kept, "old")
    assert content(keeper.tree("v", "old")) == "set aside"


def test_where_it_is_not_known_what_is_needed_no_commit_is_deleted(
    shared: Engine, keeper: Keeper
) -> None:
    two = shared.log("v", "side")[0]
    shared.delete_branch("v", "side")
    all_aged(keeper)
    (path_of(keeper, entry_of(shared, "reset")) / "entry.json").write_text("{")
    (kept,) = [one for one in shared.gc() if one.kept]
    assert (kept.entry, kept.kept) == (two.id, "what needs it can't be read: see 'dvol fsck'")
    assert two.id in commits_on_disk(keeper)


def test_a_state_in_a_discarded_volume_keeps_what_it_needs(
    shared: Engine, keeper: Keeper, tree: Path
) -> None:
    shared.delete_branch("v", "side")
    all_aged(keeper)
    shared.rm("v")
    assert [one.verb for one in shared.gc()] == ["branch -d"]
    shared.restore(entry_of(shared, "rm"))
    shared.undo("v")
    assert messages(shared) == ["2", "1"]


def test_a_busy_volume_is_left_for_the_next_time(discarded: Engine, keeper: Keeper) -> None:
    with locked(lock(keeper.pool)):
        assert {one.verb for one in discarded.gc(now=True)} == {"rm"}
    assert {one.verb for one in discarded.gc(now=True)} == {"reset", "branch -d", "drop"}


def test_a_gc_that_died_is_taken_up_by_the_next(discarded: Engine, keeper: Keeper) -> None:
    entry = path_of(keeper, entry_of(discarded, "rm"))
    entry.rename(keeper.pool / ".dvol" / "garbage" / "half")
    discarded.gc()
    eventually(lambda: swept(keeper))
    assert verbs(discarded) == {"reset", "branch -d"}


def test_a_link_in_the_place_of_what_was_discarded_is_not_followed(
    discarded: Engine, keeper: Keeper, tmp_path: Path
) -> None:
    (tmp_path / "master" / "00000001").mkdir(parents=True)
    undo = keeper.pool / "v" / ".dvol" / "undo"
    shutil.rmtree(undo, ignore_errors=True)
    delete_tree(undo)
    undo.symlink_to(tmp_path)
    discarded.gc(now=True)
    assert (tmp_path / "master" / "00000001").is_dir()


# -- how much ----------------------------------------------------------------------------------


def test_gc_says_how_much_it_frees(engine: Engine, keeper: Keeper, tree: Path) -> None:
    (tree / "large").write_bytes(os.urandom(MIB))
    commit(engine)
    (tree / "large").write_bytes(os.urandom(2 * MIB))
    os.sync()
    engine.reset("v")
    (freed,) = engine.gc(now=True, dry_run=True)
    assert 2 * MIB <= freed.size < 3.5 * MIB


@indexed
def test_what_a_commit_has_too_is_not_freed(engine: Engine, keeper: Keeper, tree: Path) -> None:
    (tree / "large").write_bytes(os.urandom(MIB))
    commit(engine, "1")
    commit(engine, "2")
    os.sync()
    engine.reset("v", "HEAD^")
    freed = engine.gc(now=True, dry_run=True)
    assert [one.verb for one in freed] == ["reset", "drop"]
    assert sum(one.size for one in freed) < MIB / 2


@indexed
def test_what_several_entries_have_is_freed_with_the_last(
    engine: Engine, keeper: Keeper, tree: Path, kind: str
) -> None:
    commit(engine, "empty")
    (tree / "large").write_bytes(os.urandom(MIB))
    commit(engine, "1")
    commit(engine, "2")
    (tree / "large").unlink()
    os.sync()
    engine.reset("v", "HEAD^")
    engine.reset("v", "HEAD^")
    sizes = [one.size + one.shared for one in engine.gc(now=True, dry_run=True)]
    assert len(sizes) == 4  # two states, and two commits
    # both commits' one, and the second reset's, which is the same one where blocks are shared
    least = MIB if kind == "xfs" else 2 * MIB
    assert least <= sum(sizes) < least + MIB / 2


@pytest.mark.root
def test_without_space_a_verb_is_refused_before_it_changes_anything() -> None:
    """And it is said what would help."""
    with ExitStack() as undo:
        try:
            root = undo.enter_context(mounted("tmpfs", 24 * MIB))
        except Unavailable as reason:
            pytest.skip(str(reason))
        pool = LocalEngine(root / "volumes")
        pool.init("v")
        tree = root / "volumes" / "v" / "branches" / "master"
        (tree / "large").write_bytes(os.urandom(7 * MIB))
        pool.commit("v", "1", ANN)
        (tree / "more").write_bytes(os.urandom(3 * MIB))
        with pytest.raises(NoSpace, match=r"checkout of 'v': it needs 8\.\d MiB, [\d.]+ MiB") as no:
            pool.branch("v", "side")
        assert no.value.exit_code == 7
        (tree / "large").write_bytes(os.urandom(7 * MIB))
        with pytest.raises(NoSpace, match="commit of 'v': it needs 1"):
            pool.commit("v", "2", ANN)
        pool.init("w")
        (root / "volumes" / "w" / "branches" / "master" / "file").write_bytes(bytes(4096))
        pool.rm("w")
        with pytest.raises(
            NoSpace, match=r"reset of 'v'.* gc --now' would free [\d.]+ KiB \(.* of rem"
        ):
            pool.reset("v")
        assert [commit.message for commit in pool.log("v")] == ["1"]
        assert os.listdir(tree.parents[1] / "commits") == [pool.log("v")[0].id]
        assert pool.fsck() == []
