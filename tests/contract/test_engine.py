"""Every keeper keeps the promise of `engine.py`: each verb, its meaning, and its refusals."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvol.engine import PROTOCOL, Engine
from dvol.errors import (
    ActiveVolumeGone,
    AmbiguousRevision,
    BadDocument,
    BranchActive,
    BranchExists,
    BranchNotFound,
    CannotRemoveMissing,
    CannotSwitchToMissing,
    DvolError,
    InvalidAuthor,
    InvalidDate,
    InvalidName,
    InvalidRequest,
    InvalidRevision,
    NoActiveVolume,
    NoMessage,
    NotFound,
    NothingCommitted,
    RevisionNotFound,
    VolumeExists,
    VolumeNotFound,
)
from dvol.model import Branch
from dvol.tree.delete import delete_tree
from tests.contract.conftest import anywhere
from tests.contract.places import Keeper, environment
from tests.contract.pool_files import staged
from tests.contract.trees import described
from tests.contract.verbs import ANN, BAD_NAMES, commit, content, messages, names, state

# -- volumes -----------------------------------------------------------------------------------


def test_a_new_volume_has_one_branch_without_commits_and_is_active(keeper: Keeper) -> None:
    volume = keeper.engine.init("v")
    assert (
        volume.name,
        volume.branch,
        volume.head,
        volume.commits,
        volume.active,
        volume.problem,
    ) == ("v", "master", "", 0, True, "")
    assert [Branch("master", head="", current=True)] == keeper.engine.branches("v")
    assert keeper.engine.log("v") == []
    assert keeper.engine.active() == "v"
    assert [volume] == keeper.engine.volumes()
    assert volume == keeper.engine.get("v")


def test_a_new_tree_is_empty_and_open_to_all_whatever_the_umask(keeper: Keeper) -> None:
    before = os.umask(0o077)
    try:
        keeper.engine.init("v")
    finally:
        os.umask(before)
    tree = keeper.tree("v")
    assert os.listdir(tree) == []
    assert stat.S_IMODE(tree.stat().st_mode) == 0o755
    assert (tree.stat().st_uid, tree.stat().st_gid) == (os.geteuid(), os.getegid())


def test_the_pool_lies_open_to_nobody_else(keeper: Keeper) -> None:
    keeper.engine.init("v")
    assert stat.S_IMODE(keeper.pool.stat().st_mode) == 0o700


def test_volumes_are_listed_by_name(keeper: Keeper) -> None:
    for name in ("b", "c", "a", "B"):
        keeper.engine.init(name)
    assert names(keeper.engine) == ["B", "a", "b", "c"]


def test_volumes_are_apart(engine: Engine, keeper: Keeper) -> None:
    engine.init("w")
    state(keeper.tree("v"), "of v")
    commit(engine, "in v")
    assert engine.log("w") == []
    assert os.listdir(keeper.tree("w")) == []


def test_a_volume_is_made_once(engine: Engine, tree: Path) -> None:
    state(tree, "mine")
    with pytest.raises(VolumeExists, match=r"^volume v already exists"):
        engine.init("v")
    assert content(tree) == "mine"


def test_a_refused_init_leaves_the_active_volume(engine: Engine) -> None:
    engine.init("w")
    with pytest.raises(VolumeExists):
        engine.init("v")
    assert engine.active() == "w"


@anywhere
@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_volume_of_a_bad_name_is_not_made(keeper: Keeper, name: str) -> None:
    keeper.engine.init("v")
    with pytest.raises(InvalidRequest, match="is not a valid name"):
        keeper.engine.init(name)
    assert names(keeper.engine) == ["v"]


@anywhere
@pytest.mark.parametrize("name", ["current_volume.json", "config.yml"])
def test_a_volume_never_takes_the_place_of_a_file_of_the_pool(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a valid name"):
        engine.init(name)
    assert engine.active() == "v"


def test_init_and_switch_choose_the_active_volume(engine: Engine) -> None:
    engine.init("w")
    assert engine.active() == "w"
    assert engine.switch("v").active
    assert engine.active() == "v"
    assert [(one.name, one.active) for one in engine.volumes()] == [("v", True), ("w", False)]


def test_switching_to_a_missing_volume_is_refused(engine: Engine) -> None:
    with pytest.raises(VolumeNotFound):
        engine.switch("nope")
    assert engine.active() == "v"


def test_before_any_volume_is_chosen_none_is_active(engine: Engine, keeper: Keeper) -> None:
    (keeper.pool / "current_volume.json").unlink()
    with pytest.raises(NoActiveVolume):
        engine.active()


def test_a_removed_active_volume_is_said_to_be_gone(engine: Engine) -> None:
    engine.rm("v")
    with pytest.raises(ActiveVolumeGone, match="Active volume v does not exist"):
        engine.active()


def test_a_removed_volume_is_gone(engine: Engine, keeper: Keeper) -> None:
    engine.init("w")
    engine.rm("v")
    assert names(engine) == ["w"]
    assert not (keeper.pool / "v").exists()
    with pytest.raises(VolumeNotFound):
        engine.get("v")


def test_removing_a_missing_volume_is_refused(engine: Engine) -> None:
    with pytest.raises(CannotRemoveMissing, match="Volume 'nope' does not exist, cannot remove it"):
        engine.rm("nope")


def test_a_new_volume_of_a_removed_ones_name_starts_empty(engine: Engine, tree: Path) -> None:
    state(tree, "old")
    commit(engine)
    engine.rm("v")
    engine.init("v")
    assert os.listdir(tree) == []
    assert engine.log("v") == []


def test_what_rm_discards_is_in_the_trash(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "committed")
    done = commit(engine)
    state(tree, "not committed")
    engine.rm("v")
    assert sorted(trashed(keeper)) == ["committed", "not committed"]
    assert done.id in {path.name for path in (keeper.pool / ".dvol" / "trash").rglob("*")}


def trashed(keeper: Keeper) -> list[str]:
    """What the files say that were discarded; those set aside from a tree are called by numbers."""
    places = [keeper.pool / ".dvol" / "trash", *keeper.pool.glob("*/.dvol/undo")]
    return [
        path.read_text()
        for place in places
        for path in place.rglob("*")
        if path.is_file() and (path.name == "file" or path.name.isdecimal())
    ]


def test_version_says_who_answers_for_which_pool(engine: Engine, keeper: Keeper) -> None:
    version = engine.version()
    assert version.protocol == PROTOCOL
    assert Path(version.pool).samefile(keeper.pool)


# -- commits -----------------------------------------------------------------------------------


def test_a_commit_says_who_what_and_when(engine: Engine) -> None:
    date = "2026-08-31T12:34:56+02:00"
    made = engine.commit("v", "a message\n\nof three lines", ANN, date)
    assert re.fullmatch("[0-9a-f]{40}", made.id)
    assert (made.message, made.author, made.date) == ("a message\n\nof three lines", ANN, date)
    assert [made] == engine.log("v")


def test_a_commit_records_its_parent(engine: Engine, keeper: Keeper) -> None:
    first, second = commit(engine), commit(engine)
    engine.branch("v", "side")
    third = commit(engine)
    assert (first.parent, second.parent, third.parent) == ("", first.id, second.id)
    assert engine.log("v") == [third, second, first]
    listed = json.loads((keeper.pool / "v/branches/side.json").read_text())
    assert [one.get("parent", "") for one in listed] == ["", first.id, second.id]


def test_a_commit_of_before_has_the_one_before_it_in_its_list_for_a_parent(
    engine: Engine, keeper: Keeper
) -> None:
    first, second = commit(engine), commit(engine)
    path = keeper.pool / "v/branches/master.json"
    old = [{"id": one.id, "message": "x"} for one in (first, second)]
    path.write_text(json.dumps(old))
    assert [one.parent for one in engine.log("v")] == [first.id, ""]


def test_a_commit_without_a_date_is_of_now(engine: Engine) -> None:
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)", commit(engine).date
    )


def test_a_commit_is_a_plain_copy_of_the_tree(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "state")
    (tree / "empty").mkdir()
    before = described(tree)
    done = commit(engine)
    assert before == described(keeper.frozen("v", done.id))
    assert before == described(tree)


def test_a_commit_is_not_changed_by_what_comes_after(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "state")
    done = commit(engine)
    before = described(keeper.frozen("v", done.id))
    with (tree / "file").open("r+") as file:
        file.write("other")
    assert before == described(keeper.frozen("v", done.id))


def test_a_commit_is_made_also_where_nothing_changed(engine: Engine, tree: Path) -> None:
    state(tree, "state")
    assert commit(engine, "1").id != commit(engine, "2").id
    assert messages(engine) == ["2", "1"]


def test_the_layout_is_the_originals(engine: Engine, keeper: Keeper, tree: Path) -> None:
    one, two = commit(engine, "1"), commit(engine, "2")
    listed = json.loads((keeper.pool / "v" / "branches" / "master.json").read_text())
    assert [(one.id, "1"), (two.id, "2")] == [(each["id"], each["message"]) for each in listed]
    assert {one.id, two.id} == set(os.listdir(keeper.pool / "v" / "commits"))
    active = json.loads((keeper.pool / "current_volume.json").read_text())
    assert active == {"current_volume": "v"}


def test_the_log_is_newest_first(engine: Engine) -> None:
    made = [commit(engine, str(number)) for number in range(5)]
    assert made[::-1] == engine.log("v")
    volume = engine.get("v")
    assert (made[-1].id, 5) == (volume.head, volume.commits)


def test_the_log_of_a_revision_is_that_commits_history(engine: Engine) -> None:
    made = [commit(engine, str(number)) for number in range(3)]
    assert messages(engine, revision="HEAD^") == ["1", "0"]
    assert messages(engine, revision=made[0].id) == ["0"]
    with pytest.raises(RevisionNotFound):
        engine.log("v", "HEAD^^^")


@anywhere
@pytest.mark.parametrize("message", ["", "\n"])
def test_a_commit_without_a_message_is_refused(engine: Engine, message: str) -> None:
    with pytest.raises(NoMessage, match="You must provide a commit message"):
        commit(engine, message)
    assert engine.log("v") == []


@anywhere
@pytest.mark.parametrize("author", ["", "Ann", "Ann <ann@x\nInjected: y>"])
def test_a_commit_of_nobody_is_refused(engine: Engine, keeper: Keeper, author: str) -> None:
    with pytest.raises(InvalidAuthor):
        engine.commit("v", "x", author)
    assert os.listdir(keeper.pool / "v" / "commits") == []


@anywhere
@pytest.mark.parametrize("date", ["yesterday", "2026-08-31T12:34:56"])
def test_a_commit_at_no_time_is_refused(engine: Engine, date: str) -> None:
    with pytest.raises(InvalidDate):
        engine.commit("v", "x", ANN, date)
    assert engine.log("v") == []


@anywhere
@pytest.mark.parametrize("message", ["ü 🐘", "a\udcffb", "x" * 100_000, '"\\\0', "\x1b[31m"])
def test_any_text_is_a_message_and_comes_back_as_it_was(engine: Engine, message: str) -> None:
    commit(engine, message)
    assert [message] == messages(engine)


def test_a_commit_in_a_missing_volume_is_refused_and_leaves_no_ghost(
    engine: Engine, keeper: Keeper
) -> None:
    with pytest.raises(VolumeNotFound, match="'nope'"):
        commit(engine, volume="nope")
    assert not (keeper.pool / "nope").exists()


# -- reset -------------------------------------------------------------------------------------


def test_reset_puts_the_tree_back(engine: Engine, tree: Path) -> None:
    state(tree, "hello")
    done = commit(engine)
    before = described(tree)
    state(tree, "world")
    (tree / "extra").mkdir()
    assert done == engine.reset("v")
    assert before == described(tree)
    assert [done] == engine.log("v")


def test_reset_goes_back_again_and_again(engine: Engine, tree: Path) -> None:
    state(tree, "hello")
    commit(engine)
    for number in range(3):
        state(tree, str(number))
        engine.reset("v", "HEAD")
        assert content(tree) == "hello"


@pytest.mark.parametrize("revision", ["HEAD^", "HEAD~1", "master^", "id", "prefix", "@~"])
def test_reset_to_an_older_commit_drops_the_newer(
    engine: Engine, tree: Path, revision: str
) -> None:
    state(tree, "1")
    one = commit(engine, "1")
    state(tree, "2")
    commit(engine, "2")
    typed = {"id": one.id, "prefix": one.id[:12]}.get(revision, revision)
    assert one == engine.reset("v", typed)
    assert content(tree) == "1"
    assert [one] == engine.log("v")


def test_commits_that_only_this_branch_had_stay_and_are_found_by_their_ids(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """The original never freed any, or freed all."""
    state(tree, "1")
    one = commit(engine, "1")
    state(tree, "2")
    two = commit(engine, "2")
    state(tree, "not committed")
    engine.reset("v", "HEAD^")
    assert trashed(keeper) == ["not committed"]
    assert engine.reset("v", two.id) == two
    assert (content(tree), engine.log("v")) == ("2", [two, one])


def test_commits_that_another_branch_has_stay(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "1")
    one = commit(engine, "1")
    state(tree, "2")
    two = commit(engine, "2")
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.reset("v", "HEAD^")
    assert {one.id, two.id} == set(os.listdir(keeper.pool / "v" / "commits"))
    assert messages(engine, revision="side") == ["2", "1"]
    assert two == engine.reset("v", "side")
    assert content(tree) == "2"


def test_reset_to_another_branchs_commit_takes_over_its_history(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """The original overwrote the data and then failed."""
    state(tree, "1")
    one = commit(engine, "1")
    engine.branch("v", "side")
    side = keeper.tree("v", "side")
    state(side, "2")
    two = commit(engine, "2")
    state(side, "3")
    commit(engine, "3")
    engine.checkout("v", "master")
    state(tree, "4")
    commit(engine, "4")
    assert two == engine.reset("v", two.id[:8])
    assert [two, one] == engine.log("v")
    assert content(tree) == "2"
    assert messages(engine, revision="side") == ["3", "2", "1"]


def test_reset_before_any_commit_is_refused_and_changes_nothing(engine: Engine, tree: Path) -> None:
    state(tree, "precious")
    with pytest.raises(RevisionNotFound, match="Referenced commit does not exist; check dvol log"):
        engine.reset("v")
    assert content(tree) == "precious"


@anywhere
@pytest.mark.parametrize(
    ("revision", "refusal"),
    [
        ("", InvalidRevision),
        ("HEAD^^", RevisionNotFound),
        ("HEAD~2", RevisionNotFound),
        ("HEAD^" + "^" * 400, RevisionNotFound),
        ("../branches/master", InvalidRevision),
        ("..", InvalidRevision),
        (".", InvalidRevision),
        ("/", InvalidRevision),
        ("deadbeef", RevisionNotFound),
        ("nope", RevisionNotFound),
        ("a\0", InvalidRevision),
        ("a\udcff", InvalidRevision),
        ("x" * 5000, DvolError),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_reset_to_what_is_no_commit_is_refused_and_changes_nothing(
    engine: Engine, keeper: Keeper, tree: Path, revision: str, refusal: type[DvolError]
) -> None:
    state(tree, "committed")
    commit(engine)
    state(tree, "precious")
    before = described(keeper.pool / "v")
    with pytest.raises(refusal):
        engine.reset("v", revision)
    assert before == described(keeper.pool / "v")


def test_an_ambiguous_prefix_is_refused(engine: Engine, keeper: Keeper, tree: Path) -> None:
    twins = [{"id": f"abcd{number:036d}", "message": str(number)} for number in (1, 2)]
    (keeper.pool / "v" / "branches" / "master.json").write_text(json.dumps(twins))
    with pytest.raises(AmbiguousRevision, match="'abcd'"):
        engine.reset("v", "abcd")


def test_reset_leaves_the_other_branches(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    engine.branch("v", "side")
    state(keeper.tree("v", "side"), "changed")
    before = described(tree)
    engine.reset("v")
    assert before == described(tree)
    assert content(keeper.tree("v", "side")) == "1"


# -- branches ----------------------------------------------------------------------------------


def test_a_new_branch_starts_from_the_newest_commit(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "committed")
    done = commit(engine)
    before = described(keeper.frozen("v", done.id))
    assert Branch("side", head=done.id, current=True) == engine.branch("v", "side")
    assert before == described(keeper.tree("v", "side"))
    assert [done] == engine.log("v")
    assert engine.get("v").branch == "side"


def test_uncommitted_changes_stay_with_the_old_branch(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "committed")
    commit(engine)
    state(tree, "not committed")
    engine.branch("v", "side")
    assert content(keeper.tree("v", "side")) == "committed"
    engine.checkout("v", "master")
    assert content(tree) == "not committed"


def test_a_branch_before_any_commit_is_refused_in_the_originals_words(
    engine: Engine, keeper: Keeper
) -> None:
    text = r"You must commit \('dvol commit'\) before you can branch \('dvol checkout -b'\)"
    with pytest.raises(NothingCommitted, match=text):
        engine.branch("v", "side")
    assert [one.name for one in engine.branches("v")] == ["master"]
    assert engine.get("v").branch == "master"


def test_a_branch_is_made_once(engine: Engine, keeper: Keeper) -> None:
    commit(engine)
    engine.branch("v", "alpha")
    with pytest.raises(BranchExists, match="Cannot create existing branch alpha"):
        engine.branch("v", "alpha")
    with pytest.raises(BranchExists, match="Cannot create existing branch master"):
        engine.branch("v", "master")
    assert engine.get("v").branch == "alpha"


@anywhere
@pytest.mark.parametrize(
    "name", [*BAD_NAMES.values(), "HEAD", "x.json"], ids=[*BAD_NAMES, "HEAD", "x.json"]
)
def test_a_branch_of_a_bad_name_is_not_made(engine: Engine, keeper: Keeper, name: str) -> None:
    commit(engine)
    before = described(keeper.pool / "v")
    with pytest.raises(InvalidRequest, match="is not a valid name"):
        engine.branch("v", name)
    assert before == described(keeper.pool / "v")


def test_branches_go_their_own_ways(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    engine.branch("v", "side")
    state(keeper.tree("v", "side"), "2")
    commit(engine, "2")
    engine.checkout("v", "master")
    state(tree, "3")
    commit(engine, "3")
    assert messages(engine) == ["3", "1"]
    engine.checkout("v", "side")
    assert messages(engine) == ["2", "1"]
    assert (content(tree), content(keeper.tree("v", "side"))) == ("3", "2")


def test_branches_are_listed_by_name_with_the_current_one_marked(engine: Engine) -> None:
    done = commit(engine)
    for name in ("beta", "alpha"):
        engine.branch("v", name)
    assert [
        Branch("alpha", done.id, current=True),
        Branch("beta", done.id, current=False),
        Branch("master", done.id, current=False),
    ] == engine.branches("v")


def test_checkout_leaves_each_tree_as_it_was_left(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "1")
    commit(engine)
    engine.branch("v", "side")
    state(keeper.tree("v", "side"), "not committed")
    before = described(keeper.tree("v", "side")), described(tree)
    assert Branch("master", engine.get("v").head, current=True) == engine.checkout("v", "master")
    engine.checkout("v", "side")
    assert before == (described(keeper.tree("v", "side")), described(tree))


def test_checkout_of_the_current_branch_touches_nothing(engine: Engine, keeper: Keeper) -> None:
    commit(engine)
    before = described(keeper.pool / "v" / "branches")
    engine.checkout("v", "master")
    assert before == described(keeper.pool / "v" / "branches")


@anywhere
@pytest.mark.parametrize("name", ["nope", "", "..", "../branches/master", "master.json", "HEAD"])
def test_checkout_of_no_branch_is_refused(engine: Engine, keeper: Keeper, name: str) -> None:
    commit(engine)
    with pytest.raises(CannotSwitchToMissing, match="non-existing branch"):
        engine.checkout("v", name)
    assert engine.get("v").branch == "master"


def test_a_deleted_branch_is_gone_and_its_commits_are_found_by_their_ids(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """The original left its list and its commits."""
    state(tree, "1")
    one = commit(engine, "1")
    engine.branch("v", "side")
    state(keeper.tree("v", "side"), "2")
    two = commit(engine, "2")
    state(keeper.tree("v", "side"), "not committed")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    assert [branch.name for branch in engine.branches("v")] == ["master"]
    assert sorted(os.listdir(keeper.pool / "v" / "branches")) == ["master", "master.json"]
    assert trashed(keeper) == ["not committed"]
    assert engine.log("v", two.id) == [two, one]
    with pytest.raises(RevisionNotFound):
        engine.log("v", "side")


def test_a_branch_of_a_deleted_ones_name_starts_anew(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    commit(engine, "1")
    engine.branch("v", "side")
    commit(engine, "2")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    engine.branch("v", "side")
    assert messages(engine) == ["1"]


def test_the_current_branch_is_not_deleted(engine: Engine) -> None:
    with pytest.raises(BranchActive, match="Cannot delete active branch, use 'dvol checkout'"):
        engine.delete_branch("v", "master")
    assert len(engine.branches("v")) == 1


@anywhere
@pytest.mark.parametrize("name", ["nope", "", "..", "../..", "master.json"])
def test_deleting_no_branch_is_refused(engine: Engine, keeper: Keeper, name: str) -> None:
    before = described(keeper.pool / "v" / "branches")
    with pytest.raises(BranchNotFound, match="does not exist"):
        engine.delete_branch("v", name)
    assert before == described(keeper.pool / "v" / "branches")


# -- never outside the pool --------------------------------------------------------------------


@pytest.fixture
def outside(keeper: Keeper) -> Iterator[Path]:
    """A directory right beside the pool."""
    outside = keeper.pool.parent / "outside"
    outside.mkdir()
    yield outside
    shutil.rmtree(outside)


VERBS = {
    "get": lambda engine, volume: engine.get(volume),
    "switch": lambda engine, volume: engine.switch(volume),
    "rm": lambda engine, volume: engine.rm(volume),
    "commit": lambda engine, volume: engine.commit(volume, "x", ANN),
    "log": lambda engine, volume: engine.log(volume),
    "reset": lambda engine, volume: engine.reset(volume),
    "undo": lambda engine, volume: engine.undo(volume),
    "branches": lambda engine, volume: engine.branches(volume),
    "branch": lambda engine, volume: engine.branch(volume, "side"),
    "checkout": lambda engine, volume: engine.checkout(volume, "master"),
    "delete_branch": lambda engine, volume: engine.delete_branch(volume, "side"),
}


@anywhere
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_volume_that_is_not_there_is_not_found(engine: Engine, verb) -> None:
    with pytest.raises(VolumeNotFound, match="Volume 'nope' does not exist"):
        verb(engine, "nope")


@anywhere
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_name_that_leads_outside_leads_nowhere(keeper: Keeper, outside: Path, verb) -> None:
    """Although a whole volume lies there."""
    keeper.engine.init("v")
    commit(keeper.engine)
    keeper.engine.branch("v", "side")
    keeper.engine.checkout("v", "master")
    shutil.copytree(keeper.pool / "v", outside, dirs_exist_ok=True)
    before = described(outside)
    inside = described(keeper.pool / "v")
    for name in (
        "../outside",
        str(outside),
        "v/../../outside",
        "..",
        ".",
        "",
        "v/",
        "./v",
    ):
        with pytest.raises((InvalidName, NotFound)):
            verb(keeper.engine, name)
    assert before == described(outside)
    assert inside == described(keeper.pool / "v")


@anywhere
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_symlink_is_no_volume(keeper: Keeper, outside: Path, verb) -> None:
    keeper.engine.init("v")
    commit(keeper.engine)
    shutil.copytree(keeper.pool / "v", outside, dirs_exist_ok=True)
    (keeper.pool / "link").symlink_to(outside)
    before = described(outside)
    with pytest.raises(VolumeNotFound):
        verb(keeper.engine, "link")
    assert names(keeper.engine) == ["v"]
    assert before == described(outside)


def test_a_symlink_is_no_branch(keeper: Keeper, engine: Engine, outside: Path) -> None:
    state(outside, "not yours")
    commit(engine)
    (keeper.pool / "v" / "branches" / "link").symlink_to(outside)
    assert [branch.name for branch in engine.branches("v")] == ["master"]
    with pytest.raises(CannotSwitchToMissing):
        engine.checkout("v", "link")
    with pytest.raises(BranchNotFound):
        engine.delete_branch("v", "link")
    assert content(outside) == "not yours"


def test_a_symlink_in_a_tree_is_kept_and_never_followed(
    engine: Engine, outside: Path, tree: Path
) -> None:
    state(outside, "not yours")
    (tree / "link").symlink_to(outside)
    commit(engine)
    (tree / "other").symlink_to(outside)
    engine.reset("v")
    assert (tree / "link").is_symlink()
    assert not (tree / "other").is_symlink()
    engine.rm("v")
    assert content(outside) == "not yours"


def test_a_symlink_in_place_of_the_live_tree_is_not_followed(
    engine: Engine, outside: Path, tree: Path
) -> None:
    state(outside, "not yours")
    done = commit(engine)
    tree.rmdir()
    tree.symlink_to(outside)
    for verb in ("commit", "reset", "branch"):
        with pytest.raises(DvolError):
            VERBS[verb](engine, "v")
    assert content(outside) == "not yours"
    assert not (tree.parent / "side").exists()
    assert [done.id] == os.listdir(tree.parents[1] / "commits")


# -- corrupt files -----------------------------------------------------------------------------

BROKEN = {
    "empty": "",
    "torn": '[{"id": "',
    "number": "7",
    "null": "null",
    "text": '"x"',
    "binary": "\0\0\0",
}


READ_BY = ["get", "commit", "log", "reset", "branches", "branch"]


@anywhere
@pytest.mark.parametrize("broken", [*BROKEN.values(), "{}"], ids=[*BROKEN, "object"])
def test_a_corrupt_list_of_commits_is_named_and_changed_by_nothing(
    engine: Engine, keeper: Keeper, tree: Path, broken: str
) -> None:
    state(tree, "precious")
    commit(engine)
    (keeper.pool / "v" / "branches" / "master.json").write_text(broken)
    before = described(keeper.pool / "v")
    for verb in READ_BY:
        with pytest.raises(BadDocument, match=r"v/branches/master\.json") as refusal:
            VERBS[verb](engine, "v")
        assert refusal.value.exit_code == 8
    assert before == described(keeper.pool / "v")


@anywhere
@pytest.mark.parametrize("broken", [*BROKEN.values(), "[]", "{}"], ids=[*BROKEN, "list", "object"])
def test_a_corrupt_current_branch_is_named_and_changed_by_nothing(
    engine: Engine, keeper: Keeper, broken: str
) -> None:
    commit(engine)
    (keeper.pool / "v" / "current_branch.json").write_text(broken)
    before = described(keeper.pool / "v")
    for verb in READ_BY:
        with pytest.raises(BadDocument, match=r"v/current_branch\.json"):
            VERBS[verb](engine, "v")
    assert before == described(keeper.pool / "v")


@anywhere
@pytest.mark.parametrize("broken", [*BROKEN.values(), "[]", "{}"], ids=[*BROKEN, "list", "object"])
def test_a_corrupt_active_volume_is_named(engine: Engine, keeper: Keeper, broken: str) -> None:
    (keeper.pool / "current_volume.json").write_text(broken)
    with pytest.raises(BadDocument, match=r"current_volume\.json"):
        engine.active()


def test_a_corrupt_active_volume_hinders_no_verb_that_names_its_volume(
    engine: Engine, keeper: Keeper
) -> None:
    (keeper.pool / "current_volume.json").write_text("")
    done = commit(engine)
    assert [done] == engine.log("v")
    assert done == engine.reset("v")
    engine.switch("v")
    assert engine.active() == "v"


@anywhere
@pytest.mark.parametrize(
    "item",
    [
        "{}",
        '{"id": "../branches/master", "message": "x"}',
        '{"id": "deadbeef", "message": "x"}',
        '{"id": 7, "message": "x"}',
        f'{{"id": "{"1" * 40}", "message": 7}}',
        f'{{"id": "{"1" * 40}", "message": "x", "author": ["x"]}}',
        "[]",
        "null",
    ],
)
def test_a_list_of_what_are_no_commits_is_corrupt(
    engine: Engine, keeper: Keeper, tree: Path, item: str
) -> None:
    state(tree, "precious")
    (keeper.pool / "v" / "branches" / "master.json").write_text(f"[{item}]")
    with pytest.raises(BadDocument, match=r"v/branches/master\.json"):
        engine.reset("v")
    assert content(tree) == "precious"


def test_a_current_branch_outside_is_corrupt(engine: Engine, keeper: Keeper, outside: Path) -> None:
    state(outside, "not yours")
    for name in ("../../../outside", str(outside), "..", "."):
        (keeper.pool / "v" / "current_branch.json").write_text(json.dumps({"current_branch": name}))
        with pytest.raises(BadDocument, match="current_branch"):
            commit(engine)
    assert content(outside) == "not yours"


def test_a_frozen_tree_that_is_missing_is_named_and_the_live_one_stays(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "precious")
    done = commit(engine)
    delete_tree(keeper.frozen("v", done.id))
    for verb in ("reset", "branch"):
        with pytest.raises(DvolError, match=done.id) as refusal:
            VERBS[verb](engine, "v")
        assert refusal.value.exit_code == 8
    assert content(tree) == "precious"
    assert engine.get("v").branch == "master"


def test_one_corrupt_volume_hinders_no_other(engine: Engine, keeper: Keeper) -> None:
    engine.init("w")
    (keeper.pool / "v" / "branches" / "master.json").write_text("{")
    described_volumes = {one.name: one for one in engine.volumes()}
    assert "master.json" in described_volumes["v"].problem
    assert described_volumes["w"].problem == ""
    assert commit(engine, volume="w").id == engine.get("w").head


def test_a_corrupt_list_of_one_branch_hinders_no_other_branch(
    engine: Engine, keeper: Keeper
) -> None:
    commit(engine, "1")
    engine.branch("v", "side")
    (keeper.pool / "v" / "branches" / "master.json").write_text("{")
    commit(engine, "2")
    assert messages(engine) == ["2", "1"]


def test_nothing_is_swept_while_a_list_is_unreadable(engine: Engine, keeper: Keeper) -> None:
    """Which commits are in use is then not known."""
    one, two = commit(engine, "1"), commit(engine, "2")
    engine.branch("v", "side")
    path = keeper.pool / "v" / "branches" / "master.json"
    whole = path.read_text()
    path.write_text("{")
    with pytest.raises(DvolError):
        engine.reset("v", "HEAD^")
    path.write_text(whole)
    assert {one.id, two.id} == set(os.listdir(keeper.pool / "v" / "commits"))
    engine.checkout("v", "master")
    assert [two, one] == engine.log("v")


def test_a_corrupt_volume_can_be_removed(engine: Engine, keeper: Keeper) -> None:
    (keeper.pool / "v" / "branches" / "master.json").write_text("{")
    (keeper.pool / "v" / "current_branch.json").write_text("{")
    engine.rm("v")
    assert names(engine) == []


# -- many at once ------------------------------------------------------------------------------


def test_eight_processes_that_commit_at_once_leave_one_history(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    state(tree, "state")
    command = [sys.executable, "-m", "dvol", *keeper.options, "commit", "--author", ANN, "-m"]
    processes = [
        subprocess.Popen(
            [*command, str(number), "v"], env=environment(), stdout=subprocess.PIPE, text=True
        )
        for number in range(8)
    ]
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    log = engine.log("v")
    assert sorted(printed) == sorted(one.id + "\n" for one in log)
    assert sorted(messages(engine)) == [str(number) for number in range(8)]
    assert {one.id for one in log} == set(os.listdir(keeper.pool / "v" / "commits"))
    assert all(content(keeper.frozen("v", one.id)) == "state" for one in log)
    assert staged(keeper) == []


def test_processes_that_make_volumes_at_once_make_them_all(keeper: Keeper) -> None:
    command = [sys.executable, "-m", "dvol", *keeper.options, "init"]
    processes = [
        subprocess.Popen([*command, f"v{number}"], env=environment(), stdout=subprocess.DEVNULL)
        for number in range(6)
    ]
    assert [process.wait() for process in processes] == [0] * 6
    assert [f"v{number}" for number in range(6)] == names(keeper.engine)
    assert keeper.engine.active() in names(keeper.engine)


def test_of_processes_that_make_one_volume_at_once_one_wins(keeper: Keeper) -> None:
    command = [sys.executable, "-m", "dvol", *keeper.options, "init", "v"]
    processes = [
        subprocess.Popen(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(4)
    ]
    assert sorted(process.wait() for process in processes) == [0, 4, 4, 4]
    assert names(keeper.engine) == ["v"]


def test_no_verb_leaves_anything_staged(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "1")
    commit(engine)
    engine.branch("v", "side")
    commit(engine)
    engine.reset("v", "HEAD^")
    engine.undo("v")
    engine.restore(engine.discarded()[0].entry, "old")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    engine.init("w")
    engine.rm("w")
    for discarded in engine.discarded():
        if discarded.verb != "undo":
            engine.restore(discarded.entry)
    engine.gc(now=True)
    engine.fsck(repair=True)
    assert staged(keeper) == []
    assert [
        *keeper.pool.glob(".dvol/journal.json"),
        *keeper.pool.glob("*/.dvol/journal.json"),
    ] == []
