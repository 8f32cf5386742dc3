"""What lies in a pool and should not: each refused whole, with nothing outside touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dvol.backends import FreezeHints
from dvol.backends.copy.copy import Copy
from dvol.engine.docker_volumes import DockerVolumes
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from dvol.errors import (
    BadDocument,
    Corrupt,
    DvolError,
    EntryNotFound,
    NotAPool,
    PathOccupied,
    TreeChanged,
)
from tests.contract.trees import described

AUTHOR = "A <a@b>"
ANONYMOUS = "0123456789abcdef" * 4


@pytest.fixture
def pool(tmp_path: Path) -> LocalEngine:
    """A pool with a volume `v` of one commit."""
    pool = LocalEngine(tmp_path / "volumes")
    pool.init("v")
    pool.commit("v", "one", AUTHOR)
    return pool


def still_well(pool: LocalEngine) -> bool:
    """Whether reading and changing go on."""
    assert [commit.message for commit in pool.log("v")] == ["one"]
    pool.commit("v", "two", AUTHOR)
    pool.reset("v", "HEAD^")
    assert pool.active() == "v"
    return True


def make_file(path: Path) -> None:
    path.write_text("mine")


def make_link(path: Path) -> None:
    path.symlink_to("/nowhere/in/particular")


@pytest.mark.parametrize("make", [make_file, make_link])
@pytest.mark.parametrize("verb", ["init", "create"])
def test_a_volume_is_not_made_over_something_else(pool: LocalEngine, make, verb: str) -> None:
    make(pool.root / "foo")
    with pytest.raises(PathOccupied, match="volumes/foo is in the way"):
        (pool.init if verb == "init" else DockerVolumes(pool.access).create)("foo")
    assert os.path.lexists(pool.root / "foo")
    assert still_well(pool)


@pytest.mark.parametrize("make", [make_file, make_link])
def test_a_branch_is_not_made_over_something_else(pool: LocalEngine, make) -> None:
    make(pool.root / "v/branches/feat")
    with pytest.raises(PathOccupied):
        pool.branch("v", "feat")
    assert still_well(pool)


def test_a_branch_is_not_made_over_a_directory_in_the_place_of_its_list(pool: LocalEngine) -> None:
    (pool.root / "v/branches/feat.json").mkdir()
    with pytest.raises(PathOccupied):
        pool.branch("v", "feat")
    assert still_well(pool)


def test_a_directory_in_the_place_of_the_active_volume_harms_no_volume(pool: LocalEngine) -> None:
    (pool.root / "current_volume.json").unlink()
    (pool.root / "current_volume.json").mkdir()
    with pytest.raises(PathOccupied):
        pool.init("w")
    assert [commit.message for commit in pool.log("v")] == ["one"]


@pytest.mark.root
@pytest.mark.parametrize(
    ("place", "verb"),
    [
        ("v/branches/master", lambda pool: pool.reset("v")),
        ("v", lambda pool: pool.rm("v")),
        (".dvol/trash", lambda pool: pool.rm("v")),
    ],
)
def test_what_is_mounted_in_the_pool_makes_nothing_unusable(
    pool: LocalEngine, place: str, verb: Callable[[LocalEngine], object]
) -> None:
    tree = pool.root / place
    command = ["mount", "-t", "tmpfs", "none", str(tree)]
    if place == "v":  # the same volume, seen through a mount
        command = ["mount", "--bind", str(tree), str(tree)]
    subprocess.run(command, check=True)
    try:
        with pytest.raises(DvolError):
            verb(pool)
        assert [commit.message for commit in pool.log("v")] == ["one"]
    finally:
        subprocess.run(["umount", str(tree)], check=True)
    assert still_well(pool)


@pytest.mark.parametrize(
    "link",
    [
        ".dvol/staging",
        ".dvol/garbage",
        ".dvol/trash",
        ".dvol/locks",
        "v/.dvol",
        "v/.dvol/staging",
        "v/.dvol/index",
        "v/.dvol/undo",
        "v/branches",
        "v/commits",
    ],
)
def test_no_link_leads_out_of_the_pool(pool: LocalEngine, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    (outside / "staging").mkdir(parents=True)
    (outside / "precious").write_text("precious")
    (pool.root / "v/branches/master/x").touch()
    pool.reset("v")
    inner = pool.root / link
    inner.rename(pool.root / "aside")
    inner.symlink_to(outside)
    verbs = [
        lambda: pool.commit("v", "two", AUTHOR),
        lambda: pool.reset("v"),
        lambda: pool.switch("v"),
        lambda: pool.branch("v", "side"),
        lambda: pool.rm("v"),
        Recovery(pool.access).collect_garbage,
    ]
    for verb in verbs:
        try:
            verb()
        except Corrupt:
            continue
    assert (outside / "precious").read_text() == "precious"
    assert sorted(os.listdir(outside)) == ["precious", "staging"]


def test_a_lock_behind_a_link_overwrites_nothing(pool: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    lock = pool.root / ".dvol/locks/volumes/v"
    lock.unlink()
    lock.symlink_to(tmp_path / "precious")
    with pytest.raises(DvolError):
        pool.commit("v", "two", AUTHOR)
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize(
    "files", [["proj/.git/branches/x", "src/main.c"], ["repo/branches/1.0/file"], ["file"]]
)
def test_other_peoples_directories_are_not_taken_over(tmp_path: Path, files: list[str]) -> None:
    for file in files:
        (tmp_path / "home" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / file).write_text("mine")
    mode = (tmp_path / "home").stat().st_mode
    pool = LocalEngine(tmp_path / "home")
    with pytest.raises(NotAPool):
        pool.init("foo")
    with pytest.raises(DvolError):
        pool.rm("repo")
    assert (tmp_path / "home").stat().st_mode == mode
    assert not (tmp_path / "home/.dvol").exists()


def test_recovery_keeps_a_commit_whose_branch_has_lost_its_tree(pool: LocalEngine) -> None:
    pool.branch("v", "side")
    two = pool.commit("v", "two", AUTHOR)
    pool.checkout("v", "master")
    (pool.root / "v/branches/side").rename(pool.root / "aside")
    (pool.root / "v/.dvol/staging" / two.id).mkdir()  # as after a crash behind the commit point
    pool.commit("v", "three", AUTHOR)
    assert (pool.root / "v/commits" / two.id).is_dir()


@pytest.mark.parametrize("lost", ["branches/master.json", "branches/master"])
def test_an_anonymous_volume_with_commits_is_never_deleted(pool: LocalEngine, lost: str) -> None:
    DockerVolumes(pool.access).create(ANONYMOUS)
    pool.commit(ANONYMOUS, "one", AUTHOR)
    (pool.root / ANONYMOUS / lost).rename(pool.root / "aside")
    DockerVolumes(pool.access).remove(ANONYMOUS)
    assert os.listdir(pool.root / ".dvol/garbage") == []
    assert len(list(pool.root.glob(".dvol/trash/*/volume/commits/*"))) == 1


def test_a_fifo_in_the_place_of_a_document_hangs_nobody(pool: LocalEngine) -> None:
    os.unlink(pool.root / "v/branches/master.json")
    os.mkfifo(pool.root / "v/branches/master.json")
    with pytest.raises(BadDocument, match="it is no file"):
        pool.log("v")


def test_a_date_that_is_none_does_not_reach_docker(pool: LocalEngine) -> None:
    for document in ('{"created": 5}', '{"created": "yesterday"}', "{", "[]"):
        (pool.root / "v/.dvol/volume.json").write_text(document)
        assert DockerVolumes(pool.access).created("v").endswith("+00:00")


MOVER = """
import os, sys
os.chdir(sys.argv[1])
place = 0
print("moving", flush=True)
while True:
    os.rename(f"{place}/wanderer", f"{(place + 1) % 20}/wanderer")
    place = (place + 1) % 20
"""


def test_a_copy_never_loses_a_file_that_is_moved_meanwhile(tmp_path: Path) -> None:
    """It succeeds with the file, once, or not at all."""
    tree = tmp_path / "tree"
    for place in range(20):
        (tree / str(place)).mkdir(parents=True)
        for number in range(10):
            (tree / str(place) / str(number)).write_text("x")
    (tree / "0/wanderer").write_text("x")
    mover = subprocess.Popen([sys.executable, "-c", MOVER, tree], stdout=subprocess.PIPE)
    try:
        assert mover.stdout is not None
        mover.stdout.readline()
        for number in range(40):
            copy = tmp_path / f"copy{number}"
            try:
                Copy().freeze(tree, copy, FreezeHints(tmp_path / "none"))
            except TreeChanged:
                continue
            assert len(list(copy.glob("*/wanderer"))) == 1
    finally:
        mover.kill()
        mover.communicate()


# -- documents that somebody else wrote --------------------------------------------------------

NOTES = {
    "deletes": [["added", "../../../../../../outside"]],
    "plants": [["removed", "../../../../../../outside/planted", "1"]],
    "dates": [["times", "../../../../../../outside", 1, 1]],
    "reads": [["removed", "x", "../../../../../../../outside/precious"]],
    "dresses": [["attributes", "", "../../../../../../../outside"]],
    "a number": [5],
    "no path": [["added"]],
    "another kind": [["emptied", "x"]],
    "too large": [["times", "", 10**30, 1]],
    "no list": "x",
}


@pytest.mark.parametrize("changes", NOTES.values(), ids=NOTES)
def test_no_note_leads_out_of_the_pool(pool: LocalEngine, tmp_path: Path, changes: object) -> None:
    outside = pool.root.parent / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    (pool.root / "v/branches/master/x").write_text("discarded")
    pool.reset("v")
    (entry,) = (pool.root / "v/.dvol/undo/master").iterdir()
    note = json.loads((entry / "entry.json").read_text())
    (entry / "entry.json").write_text(json.dumps({**note, "changes": changes}))
    (entry / "files").mkdir(exist_ok=True)
    (entry / "files/1").write_text("planted")
    before = described(outside)
    assert [finding.state for finding in pool.fsck("v")] == ["broken"]
    for verb in (pool.undo, lambda _: pool.restore(pool.discarded()[0].entry, "old")):
        with pytest.raises(DvolError):
            verb("v")
    assert described(outside) == before
    assert os.listdir(pool.root / "v/branches/master") == []
    assert pool.commit("v", "two", AUTHOR)


@pytest.mark.parametrize("base", ["/etc", "../../../outside", "../../x/../../../outside", 5, ""])
def test_no_index_leads_out_of_the_pool(pool: LocalEngine, base: object) -> None:
    from dvol.tree.index import NOTHING, Epoch, Index, load

    path, here = pool.root / "v/.dvol/index/made-up", Epoch("boot", 1, 0)
    path.parent.mkdir(exist_ok=True)
    Index(here, {"": {}}).save(path, next((pool.root / "v/commits").iterdir()))
    head, _, rest = path.read_bytes().partition(b"\n")
    assert load(path, here) != NOTHING
    path.write_bytes(json.dumps({**json.loads(head), "base": base}).encode() + b"\n" + rest)
    assert load(path, here) == NOTHING


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+23:59", 5, "x"])
def test_a_date_that_makes_no_sense_is_not_believed(pool: LocalEngine, created: object) -> None:
    facts = pool.root / "v/.dvol/volume.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "created": created}))
    assert DockerVolumes(pool.access).created("v").startswith("20")


def test_a_journal_of_impossible_times_is_corrupt(pool: LocalEngine) -> None:
    step = ["times", "v/branches/master", 10**30, 1, 1, 1]
    document = {"format": 1, "verb": "reset", "steps": [step]}
    (pool.root / "v/.dvol/journal.json").write_text(json.dumps(document))
    with pytest.raises(Corrupt):
        pool.get("v")


def test_an_entry_that_is_another_by_now_is_not_restored(
    pool: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers are given again once none is taken: the lock may come after a gc and a reset."""
    tree, other = pool.root / "v/branches/master", LocalEngine(pool.root)
    (tree / "x").write_text("first")
    pool.reset("v")
    (wanted,) = pool.discarded()
    changing = pool.access.changing

    def late(*arguments, **options):
        other.gc(now=True)
        (tree / "x").write_text("second")
        other.reset("v")
        return changing(*arguments, **options)

    monkeypatch.setattr(pool.access, "changing", late)
    with pytest.raises(EntryNotFound):
        pool.restore(wanted.entry, "old")
    assert [branch.name for branch in pool.branches("v")] == ["master"]
