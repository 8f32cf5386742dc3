"""fsck: finds what is wrong, mends what can be mended, and never loses data."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dvol.containers import NoContainers
from dvol.engine import Engine
from dvol.engine.local import LocalEngine
from dvol.errors import InvalidName, NotFound, VolumeBusy, VolumeNotFound
from dvol.fsck import index as index_checks
from dvol.history.reflog import Line, append
from dvol.layout import PoolLayout
from dvol.model import Finding
from dvol.tree.delete import delete_tree
from dvol.tree.index import epoch, load
from tests.contract.changes import CHANGES, many_kinds
from tests.contract.conftest import Keep, anywhere, indexed
from tests.contract.locking import lock, locked
from tests.contract.original import go_pool, python_pool
from tests.contract.places import Keeper
from tests.contract.pool_files import commits_on_disk, entry_of, path_of, set_aside
from tests.contract.trees import described
from tests.contract.verbs import commit, content, messages, state

ID = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def busy_pool(engine: Engine, keeper: Keeper, tree: Path) -> Keeper:
    """Everything that a sound pool can hold: branches, a reset, an undo, all kinds of trash."""
    many_kinds(tree)
    commit(engine, "1")
    state(tree, "2")
    commit(engine, "2")
    engine.branch("v", "side")
    state(keeper.tree("v", "side"), "3")
    commit(engine, "3")
    engine.branch("v", "gone")
    commit(engine, "4")
    engine.checkout("v", "master")
    engine.delete_branch("v", "gone")
    CHANGES["everything"](tree)
    engine.reset("v", "HEAD^")
    state(tree, "set aside")
    engine.reset("v")
    engine.undo("v")
    engine.init("w")
    engine.rm("w")
    engine.init("empty")
    return keeper


def problems(engine: Engine, volume: str = "") -> list[tuple[str, str]]:
    """What is broken, and where."""
    return [(one.volume, one.problem) for one in engine.fsck(volume) if one.state == "broken"]


def only(engine: Engine) -> Finding:
    """The one thing that is found; asking for the volume alone finds the same."""
    (found,) = engine.fsck()
    if found.volume:
        assert [found] == engine.fsck(found.volume)
    return found


def repaired(engine: Engine) -> list[str]:
    """What is mended; then all is well."""
    found = engine.fsck(repair=True)
    assert {one.state for one in found} <= {"repaired"}
    assert engine.fsck() == []
    return [one.problem for one in found]


# -- nothing is wrong ----------------------------------------------------------------------------


def test_a_sound_pool_is_found_sound(busy_pool: Keeper) -> None:
    assert busy_pool.engine.fsck() == []
    assert busy_pool.engine.fsck("v", repair=True) == []


def test_looking_and_mending_change_nothing_in_a_sound_pool(busy_pool: Keeper) -> None:
    before = {path: one for path, one in described(busy_pool.pool).items() if b"/locks" not in path}
    busy_pool.engine.fsck()
    busy_pool.engine.fsck(repair=True)
    after = {path: one for path, one in described(busy_pool.pool).items() if b"/locks" not in path}
    assert before == after


@anywhere
@pytest.mark.parametrize("original", [python_pool, go_pool])
def test_a_pool_of_the_original_is_found_sound(keep: Keep, place: Path, original) -> None:
    keeper = keep(original(place))
    before = described(keeper.pool / "foo")
    assert keeper.engine.fsck() == []
    assert before == described(keeper.pool / "foo")
    assert keeper.engine.fsck(repair=True) == []


@anywhere
@pytest.mark.parametrize("keeper", ["disk"], indirect=True)
def test_looking_does_not_mark_a_pool_of_the_original(keeper: Keeper, place: Path) -> None:
    python_pool(place)
    LocalEngine(place / "volumes").fsck()
    assert set(os.listdir(place / "volumes" / ".dvol")) <= {"locks"}


@anywhere
def test_a_branch_without_a_list_is_a_branch_without_commits(engine: Engine, tree: Path) -> None:
    state(tree, "never committed")
    assert engine.fsck() == []


# -- lists and trees -----------------------------------------------------------------------------


@anywhere
def test_a_current_branch_that_is_not_there_is_found(engine: Engine, keeper: Keeper) -> None:
    document = json.dumps({"current_branch": "nope"})
    (keeper.pool / "v" / "current_branch.json").write_text(document)
    assert ("v", "the current branch 'nope' does not exist") in problems(engine)


@anywhere
@pytest.mark.parametrize(
    "name", ["current_branch.json", "branches/master.json", ".dvol/journal.json"]
)
def test_a_document_that_makes_no_sense_is_found(
    engine: Engine, keeper: Keeper, tree: Path, name: str
) -> None:
    commit(engine)
    (keeper.pool / "v" / name).write_text("{")
    before = described(keeper.pool / "v")
    found = only(engine)
    assert (found.volume, found.state) == ("v", "broken")
    assert f"v/{name} is corrupt" in found.problem
    assert engine.fsck(repair=True) == [found]
    assert before == described(keeper.pool / "v")


def test_a_commit_without_its_tree_is_found(engine: Engine, keeper: Keeper, tree: Path) -> None:
    done = commit(engine)
    delete_tree(keeper.frozen("v", done.id))
    assert f"tree of commit {done.id[:12]} of branch 'master' is missing" in only(engine).problem


@anywhere
@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("/")])
def test_a_commit_that_is_no_directory_is_found(
    engine: Engine, keeper: Keeper, make: Callable[[Path], object]
) -> None:
    done = commit(engine)
    delete_tree(keeper.frozen("v", done.id))
    make(keeper.frozen("v", done.id))
    assert any(done.id[:12] in text for _, text in problems(engine))


def test_a_list_without_a_tree_goes_to_the_trash_and_can_be_restored(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """As the original left it when it deleted a branch."""
    state(tree, "1")
    commit(engine, "1")
    engine.branch("v", "side")
    state(keeper.tree("v", "side"), "2")
    two = commit(engine, "2")
    engine.checkout("v", "master")
    delete_tree(keeper.tree("v", "side"))
    assert "branches/side.json is the list of a branch that has no tree" in only(engine).problem
    assert commits_on_disk(keeper) >= {two.id}
    assert len(repaired(engine)) == 1
    assert not (keeper.pool / "v" / "branches" / "side.json").exists()
    engine.restore(entry_of(engine, "fsck"))
    assert messages(engine, revision="side") == ["2", "1"]
    assert content(keeper.tree("v", "side")) == "2"
    assert engine.fsck() == []


# -- commits -------------------------------------------------------------------------------------


def orphaned(engine: Engine, keeper: Keeper) -> str:
    """Make a commit that no list names."""
    line = keeper.pool / "v" / "branches" / "master.json"
    before = line.read_text() if line.exists() else "[]"
    done = commit(engine, "lost")
    line.write_text(before)
    return done.id


def test_a_commit_that_no_list_names_becomes_a_dropped_one(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    commit(engine, "1")
    many_kinds(tree)
    before = described(tree)
    id = orphaned(engine, keeper)
    assert f"commit {id[:12]} is in no list of commits" in only(engine).problem
    assert id in commits_on_disk(keeper)
    assert len(repaired(engine)) == 1
    assert id in commits_on_disk(keeper)
    engine.branch("v", "found", id)
    assert before == described(keeper.tree("v", "found"))
    assert [one.id for one in engine.log("v", "found")] == [id]


@anywhere
def test_a_commit_that_what_was_discarded_needs_is_no_orphan(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    """Here the reset's frozen tree; its list, and that of the branch, are made to forget it."""
    commit(engine, "1")
    state(tree, "set aside")
    engine.reset("v")
    (entry,) = set_aside(keeper)
    note = json.loads((entry / "entry.json").read_text())
    (entry / "entry.json").write_text(json.dumps({**note, "commits": []}))
    (keeper.pool / "v" / "branches" / "master.json").write_text("[]")
    assert engine.fsck(repair=True) == []
    (entry / "entry.json").write_text(json.dumps({**note, "base": f"v/commits/{ID}"}))
    assert all("in no list" not in text for _, text in problems(engine))


@anywhere
@pytest.mark.parametrize("unreadable", ["list", "note"])
def test_nothing_is_an_orphan_while_it_is_not_known_what_is_needed(
    engine: Engine, keeper: Keeper, tree: Path, unreadable: str
) -> None:
    commit(engine, "1")
    state(tree, "2")
    engine.reset("v")
    id = orphaned(engine, keeper)
    if unreadable == "list":
        (keeper.pool / "v" / "branches" / "other.json").write_text("{")
    else:
        (set_aside(keeper)[0] / "entry.json").write_text("{")
    found = engine.fsck(repair=True)
    assert [one.state for one in found] == ["broken"]
    assert "in no list" not in found[0].problem
    assert id in commits_on_disk(keeper)


@anywhere
@pytest.mark.parametrize("name", ["nonsense", "ABCDEF", ID[:-1], f"{ID}x", f"{ID[1:]}.links"])
def test_what_is_no_commit_is_found_and_left(engine: Engine, keeper: Keeper, name: str) -> None:
    commit(engine)
    (keeper.pool / "v" / "commits" / name).mkdir()
    (keeper.pool / "v" / "commits" / name / "precious").touch()
    assert only(engine).problem == f"commits/{name} is no file of dvol's"
    assert engine.fsck(repair=True)[0].state == "broken"
    assert (keeper.pool / "v" / "commits" / name / "precious").exists()


# -- what dead verbs left ------------------------------------------------------------------------


def test_what_a_dead_commit_left_is_found_and_deleted(
    engine: Engine, keeper: Keeper, tree: Path
) -> None:
    commit(engine)
    own = keeper.pool / "v"
    (own / "commits" / f"{ID}.links").mkdir()
    assert repaired(engine) == [f"commits/{ID}.links was left by a commit that died"]
    for path in (own / "commits" / ID, own / "commits" / f"{ID}.links", own / ".dvol/staging" / ID):
        path.mkdir(parents=True)
    assert only(engine).problem == f".dvol/staging/{ID} was left by a command that died"
    assert len(repaired(engine)) == 1
    assert ID not in commits_on_disk(keeper)
    assert os.listdir(own / ".dvol" / "staging") == []


@anywhere
def test_what_was_staged_stays_while_a_list_is_unreadable(engine: Engine, keeper: Keeper) -> None:
    commit(engine)
    own = keeper.pool / "v"
    for path in (own / "commits" / ID, own / ".dvol/staging" / ID):
        path.mkdir(parents=True)
    (own / "branches" / "other.json").write_text("{")
    assert {one.state for one in engine.fsck(repair=True)} == {"broken", "leftover"}
    assert ID in commits_on_disk(keeper)


@anywhere
def test_what_was_staged_for_the_pool_is_found_and_deleted(engine: Engine, keeper: Keeper) -> None:
    (keeper.pool / ".dvol" / "staging" / "volume" / "root").mkdir(parents=True)
    found = only(engine)
    assert (found.volume, found.problem) == (
        "",
        ".dvol/staging/volume was left by a command that died",
    )
    assert len(repaired(engine)) == 1


@anywhere
def test_a_verb_that_died_in_its_journal_is_completed(engine: Engine, keeper: Keeper) -> None:
    commit(engine)
    own = keeper.pool / "v" / ".dvol"
    (own / "staging" / "x").mkdir(parents=True)
    steps = [["discard", "v/.dvol/staging/x"]]
    (own / "journal.json").write_text(json.dumps({"format": 1, "verb": "x", "steps": steps}))
    assert engine.fsck() == []
    assert not (own / "journal.json").exists()


# -- indexes -------------------------------------------------------------------------------------


@pytest.fixture
def vouching(engine: Engine, keeper: Keeper, tree: Path) -> Path:
    """The index of `master`, which vouches for what the reset has placed, nobody writing."""
    many_kinds(tree)
    commit(engine)
    CHANGES["changed"](tree)
    LocalEngine(keeper.pool, NoContainers(certain=True)).reset("v")
    index = keeper.pool / "v" / ".dvol" / "index" / "master"
    fd = os.open(tree, os.O_RDONLY)
    try:
        known = load(index, epoch(fd))
    finally:
        os.close(fd)
    assert "file" in known.directories[""]
    return index


@indexed
def test_an_index_that_is_right_is_found_right(engine: Engine, vouching: Path) -> None:
    assert engine.fsck() == []


@indexed
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_files_that_changed_since_are_not_vouched_for(
    engine: Engine, vouching: Path, tree: Path, change: Callable[[Path], object]
) -> None:
    change(tree)
    assert engine.fsck() == []


@indexed
def test_a_file_that_is_written_to_while_it_is_looked_at_is_not_vouched_for(
    vouching: Path, keeper: Keeper, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was read of it then."""
    same = index_checks._same

    def late(name: str, here: int, there: int) -> bool:
        if name == "file":
            (tree / "file").write_text("written meanwhile")
        return same(name, here, there)

    monkeypatch.setattr(index_checks, "_same", late)
    assert LocalEngine(keeper.pool).fsck() == []


@indexed
@pytest.mark.parametrize("what", ["content", "mode", "gone", "type"])
def test_a_file_that_differs_from_its_commit_is_told_and_the_index_removed(
    engine: Engine, keeper: Keeper, vouching: Path, tree: Path, what: str
) -> None:
    """The live file is as vouched for; so here it is the frozen one that is made to differ."""
    frozen = keeper.frozen("v", engine.log("v")[0].id) / "file"
    times = frozen.stat()
    if what == "content":
        frozen.write_bytes(frozen.read_bytes().upper())
        os.utime(frozen, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif what == "mode":
        frozen.chmod(0o4711)
    else:
        frozen.unlink()
        if what == "type":
            frozen.symlink_to("x")
    told = "'file' of branch 'master' differs from its commit"
    assert any(told in text for _, text in problems(engine, "v"))
    assert vouching.exists()
    found = engine.fsck(repair=True)
    assert {one.state for one in found} == {"broken"}  # the commit may be the damaged one
    assert not vouching.exists()
    done = commit(engine)
    assert described(tree) == described(keeper.frozen("v", done.id))


@indexed
def test_without_the_index_a_full_commit_keeps_what_is_there(
    engine: Engine, keeper: Keeper, vouching: Path, tree: Path
) -> None:
    """A file that the index is wrong about is kept by a full commit all the same."""
    frozen = keeper.frozen("v", engine.log("v")[0].id) / "file"
    times = frozen.stat()
    frozen.write_bytes(frozen.read_bytes().upper())
    os.utime(frozen, ns=(times.st_atime_ns, times.st_mtime_ns))
    believed = commit(engine)
    assert content(keeper.frozen("v", believed.id)) != content(tree)
    compared = engine.commit("v", "full", "Ann <ann@example.org>", full=True)
    assert content(keeper.frozen("v", compared.id)) == content(tree)


# -- what was discarded --------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["base", "commit", "file", "note"])
def test_a_state_that_cannot_come_back_is_found(
    engine: Engine, keeper: Keeper, tree: Path, lost: str
) -> None:
    many_kinds(tree)
    commit(engine, "1")
    two = commit(engine, "2")
    state(tree, "set aside")
    engine.reset("v", "HEAD^")
    if lost == "base":
        engine.undo("v")
    (entry,) = set_aside(keeper)
    gone = {
        "base": entry / "base",
        "commit": keeper.frozen("v", two.id),
        "file": next(iter((entry / "files").glob("*")), entry / "tree"),
        "note": entry / "entry.json",
    }[lost]
    delete_tree(gone)
    texts = [text for _, text in problems(engine)]
    (text,) = [text for text in texts if text.startswith(".dvol/undo")]
    assert text.startswith(f".dvol/undo/master/{entry.name} can't be restored: ")
    assert len(texts) == (2 if lost == "commit" else 1)  # its own tree is missing, too
    assert engine.fsck(repair=True)[0].state == "broken"


@anywhere
def test_what_nobody_can_tell_in_the_trash_is_found(engine: Engine, keeper: Keeper) -> None:
    engine.rm("v")
    path = path_of(keeper, entry_of(engine, "rm"))
    (path / "entry.json").unlink()
    assert only(engine).problem == f".dvol/trash/{path.name} has no entry.json that can be read"


# -- strangers -----------------------------------------------------------------------------------


@anywhere
def test_the_reflog_is_a_file_of_dvols(engine: Engine, keeper: Keeper) -> None:
    layout = PoolLayout(keeper.pool).volume("v")
    append(layout, Line("master", "", ID, "commit", "1", True))
    assert layout.reflog.exists()
    assert engine.fsck() == []


@anywhere
@pytest.mark.parametrize(
    "where",
    [
        "stray",
        ".hidden",
        ".dvol/stray",
        ".dvol/locks/stray",
        "v/stray",
        "v/.dvol/stray",
        "v/branches/stray",
    ],
)
def test_what_is_nothing_of_dvols_is_found_and_left(
    engine: Engine, keeper: Keeper, where: str
) -> None:
    (keeper.pool / where).write_text("mine")
    volume, _, inside = where.rpartition("v/") if where.startswith("v/") else ("", "", where)
    found = only(engine)
    assert (found.problem, found.state) == (f"{inside} is no file of dvol's", "broken")
    assert found.volume == ("v" if where.startswith("v/") else volume)
    assert engine.fsck(repair=True) == [found]
    assert (keeper.pool / where).read_text() == "mine"


@anywhere
@pytest.mark.parametrize("name", ["volumes/v", "gates/v", "garbage"])
def test_what_is_no_lock_file_is_found(engine: Engine, keeper: Keeper, name: str) -> None:
    commit(engine)
    engine.gc(now=True)
    path = keeper.pool / ".dvol" / "locks" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert ("", f".dvol/locks/{name} is no lock file") in problems(engine)


@pytest.mark.root
@anywhere
def test_a_lock_file_of_somebody_elses_is_found(engine: Engine, keeper: Keeper) -> None:
    commit(engine)
    os.chown(keeper.pool / ".dvol" / "locks" / "volumes" / "v", 12345, -1)
    assert "volumes/v belongs to user 12345" in only(engine).problem


@anywhere
def test_a_link_in_the_place_of_a_directory_of_dvols_is_found(
    engine: Engine, keeper: Keeper, tmp_path: Path
) -> None:
    shutil.rmtree(keeper.pool / "v" / "commits")
    (keeper.pool / "v" / "commits").symlink_to(tmp_path)
    assert "symbolic link" in only(engine).problem


# -- which volumes -------------------------------------------------------------------------------


@anywhere
def test_one_volume_is_checked_alone(engine: Engine, keeper: Keeper) -> None:
    engine.init("w")
    for volume in ("v", "w"):
        (keeper.pool / volume / "stray").touch()
    (keeper.pool / "stray").touch()
    assert [one.volume for one in engine.fsck("w")] == ["w"]
    assert [one.volume for one in engine.fsck()] == ["", "v", "w"]


@anywhere
@pytest.mark.parametrize("name", ["nope", "..", "../outside", "v/", "/etc", "a\nb"])
def test_what_is_no_volume_is_not_checked(engine: Engine, name: str) -> None:
    with pytest.raises((NotFound, InvalidName)):
        engine.fsck(name, repair=True)
    with pytest.raises(VolumeNotFound):
        engine.fsck("nope")


@anywhere
def test_a_busy_volume_is_told(engine: Engine, keeper: Keeper) -> None:
    engine.init("w")
    (keeper.pool / "w" / "stray").touch()
    with locked(lock(keeper.pool)):
        found = engine.fsck()
    assert [(one.volume, one.state) for one in found] == [("v", "busy"), ("w", "broken")]


@anywhere
@pytest.mark.parametrize("keeper", ["disk"], indirect=True)
def test_a_busy_volume_that_is_named_is_waited_for(engine: Engine, keeper: Keeper) -> None:
    with locked(lock(keeper.pool)), pytest.raises(VolumeBusy):
        LocalEngine(keeper.pool, timeout=0.1).fsck("v")
