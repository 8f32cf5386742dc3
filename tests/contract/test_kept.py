"""A commit that was reported is kept: whatever drops it from the lists, its id finds it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dvol.engine import Engine
from dvol.engine.gc import Collector
from dvol.engine.local import LocalEngine
from dvol.errors import CommitsGone, EntryNotFound, NotSoManyToUndo, RevisionNotFound
from dvol.fs.clock import Moment
from dvol.model import Commit, Freed
from dvol.pool.access import Access, open_pool
from dvol.trash.expiry import Expiry
from dvol.trash.selection import Wanted
from tests.contract.conftest import anywhere
from tests.contract.places import Keeper, environment
from tests.contract.pool_files import KEPT_FOR, all_aged, commits_on_disk, entry_of
from tests.contract.trees import described
from tests.contract.verbs import ANN, commit, content, messages, state

DAY = timedelta(days=1)


# -- the losses that were seen -------------------------------------------------------------------


def test_a_loop_of_test_resets_loses_no_commit(engine: Engine, keeper: Keeper, tree: Path) -> None:
    state(tree, "seed")
    seed = commit(engine, "seed")
    state(tree, "important")
    important = commit(engine, "important")
    for number in range(15):
        engine.reset("v", seed.id)
        state(tree, f"scribble {number}")
    assert engine.log("v", important.id) == [important, seed]
    engine.reset("v", important.id)
    assert (content(tree), engine.log("v")) == ("important", [important, seed])


def test_an_id_that_was_just_the_head_is_found_again(
    engine: Engine, tree: Path, three: list[Commit]
) -> None:
    engine.reset("v", "HEAD~2")
    assert engine.reset("v", three[2].id) == three[2]
    assert (content(tree), engine.log("v")) == ("3", three[::-1])


# -- what drops a commit -------------------------------------------------------------------------


def by_undo(engine: Engine, tree: Path) -> None:
    """A reset is undone, and what was committed since leaves the list."""
    engine.undo("v")


def by_branch_d(engine: Engine, tree: Path) -> None:
    engine.branch("v", "other", "HEAD^")
    engine.delete_branch("v", "master")


DROPS: dict[str, Callable[[Engine, Path], None]] = {
    "reset": lambda engine, tree: engine.reset("v", "HEAD^") and None,
    "reset to another branch": lambda engine, tree: engine.reset("v", "side") and None,
    "undo": by_undo,
    "branch -d": by_branch_d,
    "rm and restore": lambda engine, tree: by_rm_and_restore(engine),
    "together": lambda engine, tree: engine.reset_group(["v", "w"], "", "HEAD^") and None,
}


def by_rm_and_restore(engine: Engine) -> None:
    engine.reset("v", "HEAD^")
    engine.rm("v")
    engine.restore(entry_of(engine, "rm"))


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS)
def test_what_drops_a_commit_keeps_it(
    engine: Engine, keeper: Keeper, tree: Path, drop: Callable[[Engine, Path], None]
) -> None:
    engine.init("w")
    for text in ("0", "1"):
        commit(engine, text, "w")
        state(tree, text)
        commit(engine, text)
    engine.branch("v", "side", "HEAD^")
    engine.checkout("v", "master")
    state(tree, "scribble")
    engine.reset("v")
    state(tree, "kept")
    last = commit(engine, "kept")
    frozen = described(keeper.frozen("v", last.id))
    drop(engine, tree)
    assert "kept" not in messages(engine)
    for number in range(12):  # what was set aside is pushed out, and gc takes what is old
        current = engine.get("v").branch
        state(keeper.tree("v", current), str(number))
        engine.reset("v")
    all_aged(keeper, KEPT_FOR - DAY)
    engine.gc()
    assert described(keeper.frozen("v", last.id)) == frozen
    assert messages(engine, revision=last.id[:10]) == ["kept", "1", "0"]
    engine.branch("v", "back", last.id)
    assert content(keeper.tree("v", "back")) == "kept"
    assert engine.fsck() == []


def test_a_random_walk_finds_every_commit_again(engine: Engine, tree: Path) -> None:
    made = []
    for number in range(34):
        state(tree, str(number))
        made.append(commit(engine, str(number)))
        if number % 3 == 2:
            engine.reset("v", made[(number * 7) % len(made)].id)
    for one in made:
        assert engine.reset("v", one.id) == one
        assert content(tree) == one.message


def test_a_history_goes_on_over_a_commit_that_was_deleted(
    engine: Engine, keeper: Keeper, tree: Path, three: list[Commit]
) -> None:
    one, two, last = three
    engine.reset("v", one.id)
    (freed,) = engine.gc(entry=two.id[:12])
    assert (freed.entry, freed.kept) == (
        two.id,
        f"'{entry_of(engine, 'reset')}' in the list of 'dvol restore' needs it",
    )
    engine.gc(entry=entry_of(engine, "reset"))
    assert [freed.kept for freed in engine.gc(entry=two.id[:12])] == [""]
    assert engine.log("v", last.id) == [last, one]
    engine.reset("v", last.id)
    assert (content(tree), engine.log("v")) == ("3", [last, one])
    with pytest.raises(RevisionNotFound):
        engine.log("v", two.id)
    assert engine.fsck() == []


def test_of_two_lists_that_had_it_the_last_drops_it(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.reset("v", "HEAD^")
    assert os.listdir(keeper.pool / "v/.dvol/dropped") == []
    engine.delete_branch("v", "side")
    assert len(os.listdir(keeper.pool / "v/.dvol/dropped")) == 1
    assert engine.log("v", three[2].id) == three[::-1]


def test_back_and_forth_leaves_one_record(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    for _ in range(20):
        engine.reset("v", "HEAD^")
        engine.reset("v", three[2].id)
    engine.reset("v", "HEAD^")
    assert len(os.listdir(keeper.pool / "v/.dvol/dropped")) == 1


def test_a_commit_of_a_group_that_one_volume_has_dropped_is_found(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    engine.init("w")
    done = {}
    for text in ("1", "2"):
        state(tree, text)
        state(keeper.tree("w"), text)
        done[text] = engine.commit_group(["v", "w"], "", text, ANN)
    engine.reset("w", "HEAD^")
    engine.reset_group(["v", "w"], "", done["2"]["v"].id)
    assert (content(tree), content(keeper.tree("w"))) == ("2", "2")
    engine.reset_group(["v", "w"], "", done["1"]["v"].id)
    engine.reset_group(["v", "w"], "", done["2"]["v"].group[:8])
    assert messages(engine, "w") == messages(engine) == ["2", "1"]


def test_gc_of_commits_of_several_records_keeps_what_another_one_needs(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """A whole record goes, and a commit in another one came after what it had."""
    made = {}
    for name in "AXYW":
        state(tree, name)
        made[name] = commit(engine, name)
    engine.branch("v", "a", made["X"].id)
    made["Z"] = commit(engine, "Z")
    engine.prune("v", last=1)
    assert len(os.listdir(keeper.pool / "v/.dvol/dropped")) == 2
    engine.gc(entry=made["A"].id)
    engine.gc(entry=made["X"].id)
    assert messages(engine, revision=made["Y"].id) == ["Y"]
    assert engine.fsck() == []


def test_gc_of_a_commit_that_a_branch_has_says_so(engine: Engine, three: list[Commit]) -> None:
    (kept,) = engine.gc(entry=three[1].id[:8])
    assert (kept.entry, kept.kept) == (three[1].id, "a branch has it")
    assert messages(engine) == ["3", "2", "1"]


@anywhere
def test_a_setting_that_cannot_be_read_keeps_no_other_volume(
    engine: Engine, keeper: Keeper
) -> None:
    for name in ("w", "x"):
        engine.init(name)
        engine.rm(name)
    config = next(keeper.pool.glob(".dvol/trash/*/volume/.dvol")) / "config.json"
    config.write_text("{")
    all_aged(keeper)
    assert [one.verb for one in engine.gc()] == ["rm", "rm"]


@anywhere
def test_a_commit_without_a_message_can_leave_the_list(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """As a pool of the original dvol may have it."""
    commit(engine, "1")
    state(tree, "2")
    engine.reset("v")
    last = commit(engine, "2")
    listed = keeper.pool / "v/branches/master.json"
    listed.write_text(listed.read_text().replace('"message": "2"', '"message": ""'))
    assert engine.undo("v").message == "1"
    assert engine.log("v", last.id)[0] == last._replace(message="")


def test_a_reader_finds_a_commit_while_it_is_dropped_and_listed(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    """Another process drops it and lists it again all the time."""
    url = [*keeper.options, "--disable-docker-integration"]
    words = f"reset --hard HEAD^ v; reset --hard {three[2].id} v"
    calls = "; ".join(f"main({[*url, *each.split()]!r})" for each in words.split(";"))
    loop = f"from dvol.cli.main import main\nfor n in range(60): {calls}"
    with subprocess.Popen(
        [sys.executable, "-c", loop], env=environment(), cwd="/", stderr=subprocess.DEVNULL
    ) as other:
        reads = 0
        while other.poll() is None:
            assert engine.log("v", three[2].id)[0] == three[2]
            reads += 1
    assert reads > 10


# -- undo ----------------------------------------------------------------------------------------


def test_undo_goes_back_further(engine: Engine, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    for text in ("a", "b", "c"):
        state(tree, text)
        engine.reset("v")
    engine.undo("v", 3)
    assert content(tree) == "a"
    engine.undo("v", 1)
    assert content(tree) == "1"
    with pytest.raises(NotSoManyToUndo, match="only 3"):
        engine.undo("v", 4)
    engine.undo("v", 2)
    assert content(tree) == "c"


# -- gc ------------------------------------------------------------------------------------------


def test_gc_deletes_a_dropped_commit_when_it_is_past_its_time(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    engine.reset("v", "HEAD^")
    all_aged(keeper, KEPT_FOR - timedelta(minutes=1))
    assert engine.gc() == []
    all_aged(keeper)
    gone = {(one.verb, one.kept) for one in engine.gc()}
    assert gone == {("reset", ""), ("drop", "")}
    assert commits_on_disk(keeper) == {one.id for one in three[:2]}
    assert os.listdir(keeper.pool / "v/.dvol/dropped") == []
    with pytest.raises(RevisionNotFound):
        engine.log("v", three[2].id)


def test_of_two_records_of_a_commit_the_newer_one_counts(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    engine.reset("v", "HEAD~2")
    engine.reset("v", three[1].id)
    all_aged(keeper)
    engine.reset("v", "HEAD^", discard=True)
    records = [one.read_text() for one in (keeper.pool / "v/.dvol/dropped").iterdir()]
    assert sum(three[1].id in record for record in records) == 2
    engine.gc()
    assert commits_on_disk(keeper) == {one.id for one in three[:2]}
    assert engine.log("v", three[1].id) == [three[1], three[0]]


@pytest.mark.parametrize("where", ["v", ""])
def test_how_long_it_is_kept_is_a_setting(
    engine: Engine, keeper: Keeper, three: list[Commit], where: str
) -> None:
    engine.config(where, "gc.keep", "1h")
    engine.reset("v", "HEAD^")
    all_aged(keeper, timedelta(minutes=59))
    assert engine.gc() == []
    all_aged(keeper, timedelta(minutes=61))
    assert len(engine.gc(dry_run=True)) == 2
    engine.config(where, "gc.keep", "forever")
    all_aged(keeper, 9999 * DAY)
    assert engine.gc() == []


def test_gc_of_an_age_and_of_one_volume(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    engine.init("w")
    commit(engine, "1", "w")
    commit(engine, "2", "w")
    for volume in ("v", "w"):
        engine.reset(volume, "HEAD^")
    all_aged(keeper, 2 * DAY)
    assert engine.gc(older_than="3d") == []
    freed = engine.gc(older_than="1d", volume="w")
    assert {one.volume for one in freed} == {"w"}
    assert {one.volume for one in engine.gc(older_than="1d")} == {"v"}


@pytest.mark.parametrize(
    "date", ["1970-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00", "", "soon"]
)
def test_a_date_that_cannot_be_right_counts_from_now(
    engine: Engine, keeper: Keeper, three: list[Commit], date: str
) -> None:
    engine.reset("v", "HEAD^")
    (record,) = (keeper.pool / "v/.dvol/dropped").iterdir()
    record.write_text(json.dumps({**json.loads(record.read_text()), "date": date}))
    assert engine.gc() == []
    assert three[2].id in commits_on_disk(keeper)


def test_a_tag_keeps_a_commit_and_its_history(engine: Engine, three: list[Commit]) -> None:
    engine.tag("v", "t", three[2].id)
    engine.reset("v", "HEAD~2")
    engine.gc(now=True)
    assert engine.log("v", "t") == three[::-1]
    engine.delete_tag("v", "t")
    engine.gc(now=True)
    with pytest.raises(RevisionNotFound):
        engine.log("v", three[1].id)


def test_a_commit_stays_that_the_changes_of_an_entry_are_against(
    engine: Engine, tree: Path, three: list[Commit]
) -> None:
    """The list before the reset does not have it, and no other entry does."""
    engine.branch("v", "side", "HEAD~2")
    base = commit(engine, "base")
    engine.checkout("v", "master")
    state(tree, "set aside")
    engine.reset("v", "side")
    for branch in ("side", "master"):
        engine.checkout("v", branch)
        commit(engine, "later")
    engine.drop("v", base.id)
    (freed,) = engine.gc(entry=base.id)
    assert "in the list of 'dvol restore' needs it" in freed.kept
    engine.undo("v")
    assert (content(tree), engine.log("v")) == ("set aside", three[::-1])
    assert engine.fsck() == []


def test_a_commit_stays_that_an_entry_inside_a_deleted_branch_needs(
    engine: Engine, tree: Path, three: list[Commit]
) -> None:
    engine.branch("v", "side")
    commit(engine, "on side")
    last = engine.log("v")[0]
    engine.reset("v", "HEAD^")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    (freed,) = engine.gc(entry=last.id)
    assert "in the list of 'dvol restore' needs it" in freed.kept
    engine.restore("v/side")
    engine.checkout("v", "side")
    assert engine.undo("v") == last


# -- gc.auto -------------------------------------------------------------------------------------


class Clocks:
    """A wall clock and a clock since the boot, set by a test."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.wall = datetime.now(UTC)
        self.boot = "first"
        self.uptime = 1000.0

    def auto(self) -> set[str]:
        """The verbs of what gc.auto deletes now."""
        return {one.verb for one in self.gc(Wanted(auto=True)) if not one.kept}

    def gc(self, wanted: Wanted) -> list[Freed]:
        moment = Moment(self.wall, self.boot, self.uptime)
        return Collector(self.access, moment).collect(wanted)

    def sleep(self, time: timedelta) -> None:
        self.wall += time
        self.uptime += time.total_seconds()

    def reboot(self) -> None:
        self.boot += "+"
        self.uptime = 10.0


@pytest.fixture
def clocks(tmp_path: Path) -> Clocks:
    """Of a pool with a volume that has dropped a commit and a state, and a removed volume."""
    engine = LocalEngine(tmp_path / "volumes")
    for volume in ("v", "w"):
        engine.init(volume)
        for text in ("1", "2"):
            commit(engine, text, volume)
    engine.reset("v", "HEAD^")
    engine.rm("w")
    return Clocks(open_pool(tmp_path / "volumes", lambda text: None, 1.0))


def test_what_is_past_its_time_goes_a_day_after_that_was_found(clocks: Clocks) -> None:
    assert clocks.auto() == set()
    clocks.sleep(KEPT_FOR + DAY)
    assert clocks.auto() == set()
    clocks.sleep(DAY - timedelta(minutes=1))
    assert clocks.auto() == set()
    clocks.sleep(timedelta(minutes=1))
    assert clocks.auto() == {"reset", "drop", "rm"}


def test_a_clock_that_jumps_deletes_nothing(clocks: Clocks) -> None:
    clocks.wall += 9999 * DAY
    for _ in range(5):
        assert clocks.auto() == set()
    clocks.wall -= 9999 * DAY
    clocks.sleep(2 * DAY)
    assert clocks.auto() == set()
    clocks.wall += 9999 * DAY
    assert clocks.auto() == set()


def test_after_reboots_three_different_days_count(clocks: Clocks) -> None:
    clocks.sleep(KEPT_FOR + DAY)
    clocks.wall = clocks.wall.replace(hour=12) + DAY
    for _ in range(2):
        for _ in range(3):
            assert clocks.auto() == set()
            clocks.reboot()
            clocks.wall += timedelta(minutes=1)
        clocks.wall += DAY
    assert clocks.auto() == set()
    clocks.reboot()
    assert clocks.auto() == {"reset", "drop", "rm"}


def test_a_day_counts_only_in_the_boot_in_which_it_began(clocks: Clocks) -> None:
    """The uptimes of two boots say nothing of each other."""
    clocks.sleep(KEPT_FOR + DAY)
    assert clocks.auto() == set()
    clocks.reboot()
    clocks.uptime = 99 * DAY.total_seconds()
    assert clocks.auto() == set()
    clocks.sleep(timedelta(hours=1))
    assert clocks.auto() == set()
    clocks.sleep(timedelta(hours=23))
    assert clocks.auto() == {"reset", "drop", "rm"}


@pytest.mark.parametrize("date", ["2999-01-01T00:00:00+00:00", "", "soon"])
def test_an_entry_whose_date_cannot_be_right_counts_from_now(clocks: Clocks, date: str) -> None:
    for note in clocks.access.pool.layout.trash.glob("*/entry.json"):
        note.write_text(json.dumps({**json.loads(note.read_text()), "date": date}))
    assert clocks.gc(Wanted()) == []
    clocks.sleep(KEPT_FOR - timedelta(minutes=1))
    assert "rm" not in {one.verb for one in clocks.gc(Wanted())}
    clocks.sleep(timedelta(minutes=2))
    assert "rm" in {one.verb for one in clocks.gc(Wanted())}


def test_a_commit_that_is_listed_again_begins_anew(clocks: Clocks) -> None:
    engine = LocalEngine(clocks.access.pool.layout.root)
    engine.gc(entry=entry_of(engine, "rm"))
    clocks.sleep(KEPT_FOR + DAY)
    assert clocks.auto() == set()
    engine.undo("v")
    clocks.sleep(2 * DAY)
    assert clocks.auto() == set()
    engine.reset("v", "HEAD^")
    clocks.sleep(2 * DAY)
    assert "drop" not in clocks.auto()


def test_what_was_found_by_a_shorter_gc_keep_does_not_count(clocks: Clocks) -> None:
    engine = LocalEngine(clocks.access.pool.layout.root)
    engine.config("", "gc.keep", "1h")
    clocks.sleep(timedelta(hours=2))
    assert clocks.auto() == set()
    engine.config("", "gc.keep", "30d")
    clocks.sleep(DAY)
    clocks.wall += 9999 * DAY
    assert clocks.auto() == set()


def test_what_gc_of_an_age_has_found_does_not_count(clocks: Clocks) -> None:
    engine = LocalEngine(clocks.access.pool.layout.root)
    reset = entry_of(engine, "reset")
    (dropped,) = [one.entry for one in engine.gc(now=True, dry_run=True) if one.verb == "drop"]
    engine.tag("v", "t", dropped)
    clocks.sleep(timedelta(hours=2))
    found = clocks.gc(Wanted(older_than=timedelta(hours=1)))
    assert {one.entry for one in found} >= {reset, dropped}
    engine.delete_tag("v", "t")
    clocks.sleep(DAY)
    clocks.wall += 9999 * DAY
    assert clocks.auto() == set()
    assert engine.log("v", dropped)[0].id == dropped


def test_what_was_found_before_it_was_dropped_again_does_not_count(clocks: Clocks) -> None:
    engine = LocalEngine(clocks.access.pool.layout.root)
    (dropped,) = [one.entry for one in engine.gc(now=True, dry_run=True) if one.verb == "drop"]
    clocks.sleep(KEPT_FOR + DAY)
    assert clocks.auto() == set()
    engine.reset("v", dropped)
    with pytest.MonkeyPatch.context() as patched:
        date = clocks.wall.isoformat(timespec="seconds")
        patched.setattr("dvol.dates.now", lambda: date)
        engine.reset("v", "HEAD^")
    shutil.rmtree(engine.root / "v/.dvol/undo")  # its entries need the commit
    clocks.sleep(DAY)
    clocks.wall += 9999 * DAY
    clocks.auto()
    assert engine.log("v", dropped)[0].id == dropped


def test_an_impossible_date_counts_anew_when_the_commit_is_dropped_again() -> None:
    moment = Moment(datetime(2026, 1, 1, tzinfo=UTC), "first", 1000.0)
    first = Expiry({}, moment)
    assert not first.is_past("id", DAY, "2999-01-01T00:00:00+00:00")
    later = moment._replace(wall=moment.wall + 2 * DAY)
    assert Expiry(first.document(), later).is_past("id", DAY, "2999-01-01T00:00:00+00:00")
    assert not Expiry(first.document(), later).is_past("id", DAY, "2999-01-02T00:00:00+00:00")


@anywhere
def test_undo_of_a_state_whose_commit_is_deleted_by_hand_says_which(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    engine.reset("v", "HEAD^")
    (keeper.frozen("v", three[2].id)).rename(keeper.pool / "moved")
    with pytest.raises(CommitsGone, match=three[2].id[:12]):
        engine.undo("v")
    (keeper.pool / "moved").rename(keeper.frozen("v", three[2].id))


# -- what was damaged, or is of another volume -----------------------------------------------------


def test_while_a_record_cannot_be_read_no_commit_is_deleted(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    """It may be what a tag's history leads through."""
    engine.tag("v", "t")
    for _ in range(2):
        engine.reset("v", "HEAD^")
    (keeper.pool / "v/.dvol/dropped/00000001.json").write_text("garbage")
    engine.gc(now=True)
    assert commits_on_disk(keeper) == {one.id for one in three}


@anywhere
def test_an_id_in_a_note_leads_nowhere(engine: Engine, keeper: Keeper, three) -> None:
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    [note] = keeper.pool.glob(".dvol/trash/*/entry.json")
    outside = "aaaa/../../../../../outside"
    note.write_text(json.dumps({**json.loads(note.read_text()), "id": outside}))
    engine.restore("v/side")
    assert not (keeper.pool.parent / "outside").exists()
    assert engine.log("v", "side") == three[::-1]


@anywhere
def test_an_entry_that_is_a_link_is_not_restored(engine: Engine, keeper: Keeper, three) -> None:
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    [note] = keeper.pool.glob(".dvol/trash/*/entry.json")
    note.parent.rename(keeper.pool.parent / "elsewhere")
    note.parent.symlink_to(keeper.pool.parent / "elsewhere")
    with pytest.raises(EntryNotFound):
        engine.restore("v/side")
    commit(engine, "4")


@anywhere
def test_the_longest_time_of_a_name_counts_for_its_branches(
    engine: Engine, keeper: Keeper, three: list[Commit]
) -> None:
    """The volume is removed, and another one of that name has a shorter time."""
    engine.config("v", "gc.keep", "forever")
    engine.branch("v", "side")
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    engine.rm("v")
    all_aged(keeper, 9999 * DAY)
    assert engine.gc() == []
    engine.init("v")
    engine.config("v", "gc.keep", "1s")
    assert engine.gc() == []


def test_gc_by_an_age_or_a_name_proves_nothing_to_gc_auto(clocks: Clocks) -> None:
    engine = LocalEngine(clocks.access.pool.layout.root)
    engine.tag("v", "t", engine.reflog("v")[1].id)
    all_aged(Keeper("disk", engine, engine.root, []), DAY)
    engine.gc(older_than="1s", volume="v")
    engine.delete_tag("v", "t")
    clocks.sleep(2 * DAY)
    clocks.wall += KEPT_FOR
    assert "drop" not in clocks.auto()


@pytest.mark.parametrize("found", [{"uptime": float("-inf")}, {"days": ["x", "y", "z"]}], ids=repr)
def test_garbage_proves_nothing_to_gc_auto(clocks: Clocks, found: dict) -> None:
    clocks.sleep(KEPT_FOR + DAY)
    assert clocks.auto() == set()
    for path in clocks.access.pool.layout.root.rglob("expired.json"):
        document = json.loads(path.read_text())
        past = {key: {**one, "uptime": 1e9, **found} for key, one in document["past"].items()}
        path.write_text(json.dumps({**document, "past": past}))
    assert clocks.auto() == set()
