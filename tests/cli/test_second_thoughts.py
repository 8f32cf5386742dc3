"""The commands that go back on others, and look after what these left: undo, restore, gc, fsck."""

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Dvol, on_disk
from tests.contract.injuries import writable
from tests.contract.locking import lock, locked
from tests.contract.places import Keeper
from tests.contract.pool_files import aged

ENTRY = r"[0-9a-f]{12}"
WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}"


def write(volume: Keeper, text: str, branch: str = "master") -> None:
    (volume.tree("v", branch) / "file").write_text(text)


def content(volume: Keeper, branch: str = "master") -> str:
    return (volume.tree("v", branch) / "file").read_text()


# -- undo --------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [[], ["v"]])
def test_undo_brings_back_and_says_where_head_is(
    dvol: Dvol, volume: Keeper, argv: list[str]
) -> None:
    two, one = (commit.id[:7] for commit in volume.engine.log("v"))
    assert dvol("reset", "--hard", "HEAD^").code == 0
    back = "with the state before the last reset or undo; to redo, 'dvol undo v'"
    assert dvol("undo", *argv).said() == f"HEAD is now at {two} 2, {back}"
    assert content(volume) == "not committed"
    leaves = f"commits that left branch 'master': 1, the newest is {two} '2'"
    again = f"'dvol reset --hard {two} v' goes back to it"
    said = f"dvol: {leaves}; {again}\nHEAD is now at {one} 1, {back}\n"
    assert dvol("undo", *argv).err == said
    assert content(volume) == "1"


def test_nothing_to_undo_is_told(dvol: Dvol, unchanged: Keeper) -> None:
    assert "Nothing to undo on branch 'master'" in dvol("undo").refused(3)


@on_disk
def test_only_the_first_line_of_a_message_is_said(dvol: Dvol, volume: Keeper) -> None:
    dvol("commit", "-m", "the title\x1b[31m\n\nand more").well()
    head = volume.engine.log("v")[0].id[:7]
    said = dvol("reset", "--hard").said()
    assert said == rf"HEAD is now at {head} the title\x1b[31m"


@on_disk
def test_undo_may_lead_to_before_the_first_commit(dvol: Dvol, volume: Keeper) -> None:
    (volume.pool / "v" / "branches" / "master.json").unlink()
    dvol("reset", "--hard", "side").said()
    assert "\nHEAD is now before the first commit" in dvol("undo").err


# -- restore -----------------------------------------------------------------------------------


def test_restore_lists_what_can_be_brought_back(dvol: Dvol, volume: Keeper) -> None:
    dvol("reset", "--hard")
    dvol("branch", "-d", "side")
    volume.engine.init("w")
    dvol("rm", "-f", "w")
    header, *rows = dvol("restore").well().splitlines()
    assert re.fullmatch(r"ENTRY +DISCARDED +SIZE +COMMITS +WHAT", header)
    size = r"[\d.]+ [KM]?i?B"
    told = [re.fullmatch(rf"({ENTRY})   ({WHEN})   ({size}) +(\d) +(.+)", row) for row in rows]
    assert [row.group(4, 5) for row in told if row] == [
        ("2", "branch v/side: 2"),
        ("2", "state of v/master before reset: 2"),
        ("0", "volume w"),
    ]


def test_without_anything_discarded_the_list_is_its_header(dvol: Dvol, volume: Keeper) -> None:
    assert len(dvol("restore").well().splitlines()) == 1


def entry(dvol: Dvol, what: str) -> str:
    """The id in the row that says so."""
    (row,) = [row for row in dvol("restore").well().splitlines() if what in row]
    return row.split()[0]


def test_restore_says_what_came_back(dvol: Dvol, volume: Keeper) -> None:
    dvol("reset", "--hard")
    dvol("branch", "-d", "side")
    assert dvol("restore", entry(dvol, "side")[:5]).well() == "Restored branch v/side\n"
    state = entry(dvol, "reset")
    assert f"'dvol restore {state} NAME'" in dvol("restore", state).refused(2)
    assert dvol("restore", state, "old").well() == "Restored branch v/old\n"
    assert content(volume, "old") == "not committed"
    dvol("rm", "-f", "v")
    assert dvol("restore", entry(dvol, "volume v"), "w").well() == "Restored volume w\n"
    assert dvol("log", "w").well().count("commit ") == 2


@on_disk
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["nope"], 3),
        ([""], 3),
        (["../.."], 3),
        (["0000"], 3),
        (["a\nb"], 3),
        (["a", "b", "c"], 2),
        (["--now"], 2),
    ],
    ids=repr,
)
def test_restore_of_what_is_no_entry_is_refused(
    dvol: Dvol, unchanged: Keeper, argv: list[str], code: int
) -> None:
    dvol("restore", *argv).refused(code)


@on_disk
def test_restore_over_what_is_there_is_refused(dvol: Dvol, volume: Keeper) -> None:
    dvol("rm", "-f", "v")
    dvol("init", "v")
    assert "volume v exists; 'dvol restore " in dvol("restore", "v").refused(4)


# -- tags, drop and prune ----------------------------------------------------------------------


def test_a_tag_is_made_listed_and_deleted(dvol: Dvol, volume: Keeper) -> None:
    two, one = volume.engine.log("v")
    assert dvol("tag", "new").well() == dvol("tag", "old", "HEAD^", "v").well() == ""
    assert dvol("tag", "third", "v").well() == ""
    dvol("tag", "-d", "third").said()
    shown = f"new   {two.id[:7]}   2\nold   {one.id[:7]}   1\n"
    assert dvol("tag").well() == dvol("tag", "v").well() == shown
    assert dvol("tag", "-d", "new", "v").said() == f"Deleted tag 'new' (was {two.id[:7]})"
    assert dvol("log", "old").well().count("commit ") == 1


def test_drop_says_how_to_go_back(dvol: Dvol, volume: Keeper) -> None:
    one = volume.engine.log("v")[1]
    back = f"'dvol checkout -b NAME {one.id[:7]} v' goes back to it until gc deletes it"
    assert dvol("drop", "HEAD^").said() == f"Dropped {one.id[:7]} 1; {back}"
    dvol("checkout", "-b", "back", one.id[:7]).said()
    assert content(volume, "back") == "1"
    assert "is the newest of branch" in dvol("drop", "HEAD").refused(4)
    dvol("drop").refused(2)


def test_prune_tells_what_becomes_of_each_commit(dvol: Dvol, volume: Keeper) -> None:
    would = dvol("prune", "--keep-last", "1", "--dry-run", "v").well().splitlines()
    done = dvol("prune", "--keep-last", "1").well().splitlines()
    assert would[:-1] == done[:-1]
    assert [row.split("  ")[0] for row in done[:2]] == ["keep (last)", "drop"]
    assert (would[-1], done[-1]) == ("Would drop 2 commits", "Dropped 2 commits")
    assert "needs a rule" in dvol("prune").refused(2)
    assert "must be a number" in dvol("prune", "--keep-last", "many").refused(2)


def test_undo_of_several_volumes_says_where_each_head_is(dvol: Dvol, volume: Keeper) -> None:
    volume.engine.init("w")
    assert dvol("commit", "-m", "1", "w").code == 0
    dvol("reset", "--hard", "--volume", "v", "--volume", "w")
    two = volume.engine.log("v")[0].id[:7]
    assert dvol("undo", "--volume", "v", "--volume", "w").said() == f"v: HEAD is now at {two} 2"
    assert content(volume) == "not committed"


# -- gc ----------------------------------------------------------------------------------------


def test_gc_says_what_it_frees_and_the_sum(dvol: Dvol, volume: Keeper) -> None:
    assert dvol("gc").well() == "Freed 0 B\n"
    dvol("reset", "--hard")
    state = entry(dvol, "reset")
    *rows, total = dvol("gc", "--now", "--dry-run").well().splitlines()
    size = r"\d+(\.\d)? (B|KiB)"
    assert re.fullmatch(rf"{state}   {size}   state of v/master before reset", "\n".join(rows))
    assert re.fullmatch(rf"Would free {size}", total)
    young = dvol("gc")
    assert (young.code, young.out, young.err[:7]) == (0, "Freed 0 B\n", "1 entry")
    asked = "would still keep: states before resets: 1"
    assert asked in dvol("gc", "--now").refused(2)
    assert asked in dvol("gc", state[:6]).refused(2)
    aged(volume, state, timedelta(seconds=2))
    assert asked in dvol("gc", "--older-than", "1s").refused(2)
    assert "names nothing" in dvol("gc", "").refused(2)
    head = volume.engine.log("v")[0].id[:12]
    listed = dvol("gc", head)
    assert (listed.code, listed.err) == (4, f"kept {head}: a branch has it\n")
    assert "no entry has the id" in dvol("gc", "0123456").refused(3)
    assert "no time such as 30d" in dvol("gc", "--older-than", "soon").refused(2)
    *rows, total = dvol("gc", "--now", "-f").well().splitlines()
    assert (len(rows), total[:6]) == (1, "Freed ")
    assert len(dvol("restore").well().splitlines()) == 1


@on_disk
def test_a_dry_run_counts_nothing_as_kept_that_would_go(dvol: Dvol, volume: Keeper) -> None:
    dvol("reset", "--hard")
    aged(volume, entry(dvol, "reset"))
    assert dvol("gc", "--dry-run").well().count("\n") == 2


def test_gc_says_which_volume_was_busy(dvol: Dvol, volume: Keeper) -> None:
    dvol("reset", "--hard")
    with locked(lock(volume.pool)):
        done = dvol("gc", "--now", "-f")
    assert (done.code, done.out) == (0, "Freed 0 B\n")
    assert re.fullmatch(r"dvol: nothing of v is freed: volume v is busy.*\n", done.err)


# -- fsck --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv", [[], ["v"], ["--repair"], ["--repair", "v"], ["--data"], ["--data", "--repair", "v"]]
)
def test_fsck_of_what_is_sound_prints_nothing(dvol: Dvol, volume: Keeper, argv: list[str]) -> None:
    assert dvol("fsck", *argv).said() == "nothing wrong was found"


def test_fsck_prints_a_line_for_each_thing_and_its_exit_code(dvol: Dvol, volume: Keeper) -> None:
    (volume.pool / "v" / "stray").touch()
    (volume.pool / "stray").touch()
    os.mkdir(volume.pool / "v" / ".dvol" / "staging" / "left")
    done = dvol("fsck")
    assert (done.code, done.err) == (8, "dvol: found 2 broken, 1 leftover\n")
    assert done.out.splitlines() == [
        "the pool: stray is no file of dvol's",
        "v: .dvol/staging/left was left by a command that died",
        "v: stray is no file of dvol's",
    ]
    for path in ("stray", "v/stray"):
        (volume.pool / path).unlink()
    assert (dvol("fsck").code, dvol("fsck").err) == (0, "dvol: found 1 leftover\n")
    done = dvol("fsck", "--repair", "v")
    assert (done.code, done.err) == (0, "dvol: found 1 repaired\n")
    assert done.out == "v: .dvol/staging/left was left by a command that died (repaired)\n"
    assert dvol("fsck").said() == "nothing wrong was found"


def test_fsck_names_a_damaged_commit_and_marks_it(dvol: Dvol, volume: Keeper) -> None:
    newest = volume.engine.log("v")[0]
    with writable(volume.frozen("v", newest.id)):
        (volume.frozen("v", newest.id) / "added").touch()
    done = dvol("fsck", "--repair")
    label = f"v: commit {newest.id[:12]} '{newest.message}' of branch 'master'"
    assert (done.code, done.err) == (8, "dvol: found 1 broken\n")
    assert re.fullmatch(rf"{re.escape(label)}: .*\(marked\)\n", done.out)
    refused = dvol("reset", "--hard", "HEAD", "v").refused(8)
    assert f"commit {newest.id[:12]} is damaged" in refused
    assert "dvol fsck --repair v" in refused


@on_disk
def test_fsck_means_every_volume_unless_one_is_named(dvol: Dvol, volume: Keeper) -> None:
    volume.engine.init("w")
    (volume.pool / "v" / "stray").touch()
    assert dvol("fsck", DVOL_VOLUME="w").code == 8
    assert dvol("fsck", "w").code == 0
    assert "'nope' does not exist" in dvol("fsck", "nope").refused(3)


def test_fsck_tells_of_a_busy_volume(dvol: Dvol, volume: Keeper) -> None:
    with locked(lock(volume.pool)):
        done = dvol("fsck")
        (volume.pool / "stray").touch()
        worse = dvol("fsck")
    assert (done.code, done.err) == (5, "dvol: found 1 busy\n")
    assert re.fullmatch(r"v: volume v is busy.*\n", done.out)
    assert (worse.code, worse.err) == (8, "dvol: found 1 broken, 1 busy\n")


@on_disk
def test_fsck_of_odd_names_prints_lines(dvol: Dvol, volume: Keeper, tmp_path: Path) -> None:
    (volume.pool / "v" / os.fsdecode(b"new\nline \xff")).touch()
    done = dvol("fsck")
    assert (done.code, len(done.out.splitlines())) == (8, 1)


# -- commit --full -----------------------------------------------------------------------------


def test_commit_full_is_a_commit(dvol: Dvol, volume: Keeper) -> None:
    printed = dvol("commit", "--full", "-m", "all of it").well()
    newest = volume.engine.log("v")[0]
    assert (printed.strip(), newest.message) == (newest.id, "all of it")
    assert (volume.frozen("v", newest.id) / "file").read_text() == "not committed"
