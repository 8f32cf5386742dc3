"""Nothing unchanged is copied, nothing changed is missed, and no live file is a frozen one."""

import os
import time
from pathlib import Path
from random import Random

import pytest

from tests.contract.small_changes import CHANGES, Change, fill, in_place
from tests.contract.trees import described
from tests.contract.unchanged import (
    ALL,
    BELIEVED,
    DISKS,
    TICK,
    Volume,
    inode,
    made,
    overwritten,
    same_times,
)


@pytest.fixture(params=[True, False], ids=["ended", "unknown"])
def volume(request: pytest.FixtureRequest, place: Path) -> Volume:
    """Whether writers have ended, or nobody knows."""
    return made(place, request.param)


@pytest.fixture
def ended(place: Path) -> Volume:
    return made(place)


def placed(tree: Path) -> dict[str, tuple[int, int]]:
    """The inode of each file, and its ctime: a new file may get the inode of one just deleted."""
    return {
        path: (number, os.lstat(tree / path).st_ctime_ns) for path, number in files(tree).items()
    }


def files(tree: Path) -> dict[str, int]:
    """The inode of every file by its path."""
    found = (path for path in tree.rglob("*") if not path.is_dir())
    return {str(path.relative_to(tree)): inode(path) for path in found}


def differing(one: Path, other: Path) -> set[str]:
    return {path for path, number in files(one).items() if files(other).get(path) != number}


# -- nothing unchanged is copied ---------------------------------------------------------------


@ALL
def test_a_commit_copies_what_changed_and_nothing_else(volume: Volume) -> None:
    fill(volume.tree)
    first = volume.commit()
    (volume.tree / "d3" / "8").write_text("changed")
    second = volume.commit()
    assert differing(second, first) == {"d3/8"}
    assert differing(volume.commit(), second) == set()
    volume.assert_apart()


@ALL
def test_a_full_commit_copies_no_more(ended: Volume) -> None:
    fill(ended.tree)
    first = ended.known()
    assert differing(ended.commit(full=True), first) == set()


@ALL
def test_a_reset_leaves_what_is_unchanged_where_it_is(volume: Volume) -> None:
    fill(volume.tree)
    volume.commit()
    before = placed(volume.tree)
    (volume.tree / "d3" / "8").write_text("changed")
    (volume.tree / "d3" / "extra").write_text("extra")
    (volume.tree / "d4" / "9").unlink()
    volume.reset()
    after = placed(volume.tree)
    assert {path for path in before if before[path] != after[path]} == {"d3/8", "d4/9"}
    assert after.keys() == before.keys()
    volume.assert_apart()


@ALL
def test_after_a_reset_the_next_commit_copies_nothing(volume: Volume) -> None:
    fill(volume.tree)
    first = volume.commit()
    (volume.tree / "d3" / "8").write_text("changed")
    volume.reset()
    assert differing(volume.commit(), first) == set()


@ALL
def test_the_first_commit_of_a_new_branch_copies_nothing(volume: Volume) -> None:
    fill(volume.tree)
    first = volume.commit()
    volume.pool.branch("v", "other")
    assert differing(volume.commit(), first) == set()
    volume.assert_apart()


def unread(tree: Path) -> None:
    """Make sure that a mere look into any file would show: relatime notes it then."""
    for path in (path for path in tree.rglob("*") if path.is_file()):
        os.utime(path, ns=(10**9, path.stat().st_mtime_ns))


def were_read(tree: Path) -> set[str]:
    found = (path for path in tree.rglob("*") if path.is_file())
    return {str(path.relative_to(tree)) for path in found if path.stat().st_atime_ns != 10**9}


@BELIEVED
@pytest.mark.parametrize("verb", ["commit", "reset"])
def test_what_is_known_is_not_even_read(ended: Volume, verb: str) -> None:
    fill(ended.tree)
    unread(ended.tree)
    ended.known()
    unread(ended.tree)
    ended.known()  # which had to read, since ctime has changed
    assert were_read(ended.tree)
    looked_at = {path: (ended.tree / path).stat().st_atime_ns for path in files(ended.tree)}
    getattr(ended, verb)()
    assert looked_at == {path: (ended.tree / path).stat().st_atime_ns for path in looked_at}
    assert (ended.tree / "d3" / "8").read_text() == "content of 00008"


# -- nothing changed is missed -----------------------------------------------------------------


def assert_noticed(volume: Volume, change: Change) -> None:
    """By a commit, by a reset and by an undo."""
    fill(volume.tree)
    (volume.tree / "link").symlink_to("elsewhere")
    volume.known()
    before = described(volume.known())
    change(volume.tree)
    changed = described(volume.tree)
    assert changed != before
    volume.reset()
    assert described(volume.tree) == before
    volume.undo()
    assert described(volume.tree) == changed
    assert described(volume.commit()) == changed
    volume.reset("HEAD^")
    assert described(volume.tree) == before
    volume.assert_apart()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@ALL
def test_a_change_is_noticed_however_small(ended: Volume, change: Change) -> None:
    assert_noticed(ended, change)


@pytest.mark.slow
@BELIEVED
def test_a_change_is_noticed_where_nobody_knows_who_writes(place: Path) -> None:
    assert_noticed(made(place, ended=False), in_place)


@pytest.mark.parametrize("pause", [0, 0.004, TICK])
@DISKS
def test_a_change_right_after_a_commit_is_noticed(ended: Volume, pause: float) -> None:
    """With the size and mtime that it had, within the tick of the clock or not."""
    path = ended.tree / "f"
    path.write_text("0000")
    for number in range(1, 12):
        status = path.stat()
        overwritten(path, b"%04d" % number)
        same_times(path, status)
        time.sleep(pause)
        assert (ended.commit() / "f").read_text() == f"{number:04d}"


@pytest.mark.parametrize("pause", [0, 0.004])
@DISKS
def test_a_change_right_after_a_reset_is_noticed(ended: Volume, pause: float) -> None:
    path = ended.tree / "f"
    path.write_text("0000")
    ended.commit()
    for number in range(1, 12):
        overwritten(path, b"%04d" % number)
        ended.reset()
        assert path.read_text() == "0000"
        time.sleep(pause)
        status = path.stat()
        overwritten(path, b"%04d" % number)
        same_times(path, status)
        assert (ended.commit() / "f").read_text() == f"{number:04d}"
        ended.reset("HEAD^")


# -- any history -------------------------------------------------------------------------------


def any_change(tree: Path, random: Random) -> None:
    """Something small, anywhere in the tree."""
    paths = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    path = random.choice(paths)
    kind = random.randrange(6)
    if kind == 0:
        path.write_text(str(random.random()))
    elif kind == 1:
        path.chmod(random.choice((0o600, 0o644)))
    elif kind == 2:
        os.link(path, path.with_name(f"{random.random()}"))
    elif kind == 3:
        path.rename(random.choice(paths))
    elif kind == 4:
        (path.parent / f"{random.random()}").mkdir()
        (path.parent / f"{random.random()}").write_text("new")
    else:
        in_place_of(path)


def in_place_of(path: Path) -> None:
    status = path.stat()
    overwritten(path, os.urandom(status.st_size))
    same_times(path, status)


@pytest.mark.parametrize("seed", range(2))
@DISKS
def test_through_any_history_every_state_is_exact_and_none_changes(
    ended: Volume, seed: int
) -> None:
    random = Random(seed)
    fill(ended.tree)
    commits = {}
    for step in range(12):
        for _ in range(random.randrange(4)):
            any_change(ended.tree, random)
        state = described(ended.tree)
        frozen = ended.commit()
        assert described(frozen) == state
        commits[frozen] = state
        going = random.choice(list(commits))
        any_change(ended.tree, random)
        discarded = described(ended.tree)
        ended.reset(going.name)
        assert described(ended.tree) == commits[going]
        ended.assert_apart()
        if discarded != commits[going] and random.random() < 0.5:
            ended.undo()
            assert described(ended.tree) == discarded
        elif random.random() < 0.3:
            ended.pool.branch("v", f"branch-{step}")
            assert described(ended.tree) == commits[going]
        ended.assert_apart()
        commits = {path: state for path, state in commits.items() if path.exists()}
    assert {path: described(path) for path in commits} == commits
