"""Steps on disk: taken any number of times, taken back by anybody, and never out of the root."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dvol.backends.copy.copy import Copy
from dvol.errors import BadDocument, TreeChanged
from dvol.journal.journal import Journal
from dvol.journal.steps import (
    Delete,
    Exchange,
    Move,
    Replayer,
    SetAttributes,
    SetTimes,
    Step,
    decode,
    encode,
    put_document,
)
from tests.contract.trees import described

LONG_AGO = 10**18
Steps = list[Step]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A live tree, and replacements for all in it."""
    live, staged = tmp_path / "live", tmp_path / ".dvol"
    (live / "d").mkdir(parents=True)
    staged.mkdir()
    for path, text in (("live/f", "old f"), ("live/d/g", "old g"), ("live/gone", "gone")):
        (tmp_path / path).write_text(text)
    for path, text in ((".dvol/f", "new f"), (".dvol/g", "new g"), (".dvol/added", "added")):
        (tmp_path / path).write_text(text)
    (live / "d").chmod(0o700)
    for name, mode in (("new", 0o750), ("old", 0o700)):
        (staged / name).mkdir(mode=mode)
        (staged / name).chmod(mode)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/g").write_text("precious g")
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return tmp_path


@pytest.fixture
def replayer(root: Path) -> Iterator[Replayer]:
    with Replayer(root, Copy()) as replayer:
        yield replayer


def inode(path: Path) -> int:
    return os.lstat(path).st_ino


def all_kinds(root: Path) -> Steps:
    """A reset in small."""
    times = [LONG_AGO + 1, LONG_AGO + 2, LONG_AGO, LONG_AGO]
    f, g = inode(root / ".dvol/f"), inode(root / ".dvol/g")
    return [
        Exchange(".dvol/f", "live/f", f, inode(root / "live/f")),
        Exchange(".dvol/g", "live/d/g", g, inode(root / "live/d/g")),
        Move(".dvol/added", "live/d/added"),
        Move("live/gone", ".dvol/gone"),
        SetAttributes(".dvol/new", "live/d", ".dvol/old"),
        SetTimes("live", *times),
        Move(".dvol", "undo"),
    ]


def texts(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


OLD = {"f": "old f", "d/g": "old g", "gone": "gone"}
NEW = {"f": "new f", "d/g": "new g", "d/added": "added"}


def assert_taken(root: Path) -> None:
    assert texts(root / "live") == NEW
    assert texts(root / "undo") == {"f": "old f", "g": "old g", "gone": "gone"}
    assert (root / "live/d").stat().st_mode & 0o777 == 0o750
    assert (root / "live").stat().st_mtime_ns == LONG_AGO + 2


# -- taking ------------------------------------------------------------------------------------


def test_all_steps_are_taken(root: Path, replayer: Replayer) -> None:
    wanted = all_kinds(root)
    assert replayer.left(wanted) == wanted
    for step in wanted:
        replayer.apply(step)
    assert replayer.left(wanted) == []
    assert_taken(root)


def test_each_step_may_be_taken_twice(root: Path, replayer: Replayer) -> None:
    for step in all_kinds(root)[:-1]:
        replayer.apply(step)
        seen = described(root)
        replayer.apply(step)
        assert described(root) == seen, step


@pytest.mark.parametrize("taken", range(8))
def test_another_process_takes_all_from_any_step_on(root: Path, taken: int) -> None:
    wanted = all_kinds(root)
    with Replayer(root, Copy()) as dead:
        for step in wanted[:taken]:
            dead.apply(step)
    with Replayer(root, Copy()) as other:
        for step in other.left(wanted):
            other.apply(step)
    assert_taken(root)


def test_a_live_file_that_is_gone_proves_no_step_taken(root: Path, replayer: Replayer) -> None:
    """A container may have deleted it; only what was staged is dvol's alone."""
    wanted = all_kinds(root)[:-1]
    (root / "live/gone").unlink()
    assert replayer.left(wanted) == wanted


def test_a_discarded_tree_is_gone_and_may_be_discarded_again(
    root: Path, replayer: Replayer
) -> None:
    for _ in range(2):
        replayer.apply(Delete(".dvol"))
        assert not (root / ".dvol").exists()
    assert replayer.left([Delete(".dvol")]) == []


def test_a_last_step_that_cannot_tell_is_not_taken(replayer: Replayer) -> None:
    assert len(replayer.left([SetTimes("nothing", 1, 2, 3, 4)])) == 1


def test_steps_whose_staging_has_moved_on_are_not_taken_again(root: Path) -> None:
    """Killed between the move of what was staged and a last step: attributes are set from
    directories that were staged, and those are elsewhere then."""
    wanted = [*all_kinds(root), Move("outside", "garbage")]
    with Replayer(root, Copy()) as dead:
        for step in wanted[:-1]:
            dead.apply(step)
    with Replayer(root, Copy()) as other:
        assert other.left(wanted) == wanted[-1:]


@pytest.mark.parametrize("taken", range(4))
def test_without_exchange_renames_do_it_from_any_of_them_on(
    root: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    """EINVAL is what a file system without RENAME_EXCHANGE says."""

    def unsupported(*arguments: object) -> None:
        raise OSError(errno.EINVAL, "no exchange here")

    monkeypatch.setattr(Copy, "exchange", unsupported)
    wanted = all_kinds(root)[0]
    renames = [("live/f", ".dvol/f.aside"), (".dvol/f", "live/f"), (".dvol/f.aside", ".dvol/f")]
    for source, target in renames[:taken]:
        os.rename(root / source, root / target)
    moved = Move(".dvol/f", "undone")  # what was exchanged, as a later step
    with Replayer(root, Copy()) as replayer:
        assert replayer.left([wanted, moved]) == [wanted, moved]
        replayer.apply(wanted)
        replayer.apply(wanted)
        assert (texts(root / "live")["f"], texts(root / ".dvol")["f"]) == ("new f", "old f")
        replayer.apply(moved)
        assert replayer.left([wanted, moved]) == []


# -- taking back -------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", range(7))
def test_what_was_taken_is_taken_back(root: Path, replayer: Replayer, taken: int) -> None:
    wanted = all_kinds(root)[:-1]
    for step in wanted[:taken]:
        replayer.apply(step)
    assert replayer.revert(wanted)
    assert texts(root / "live") == OLD
    assert texts(root / ".dvol") == {"f": "new f", "g": "new g", "added": "added"}
    assert (root / "live/d").stat().st_mode & 0o777 == 0o700


def test_directories_have_their_times_again_once_all_is_taken_back(
    root: Path, replayer: Replayer
) -> None:
    """Renaming back changes them, so they come last of all."""
    times = [LONG_AGO + 1, LONG_AGO + 2, LONG_AGO, LONG_AGO]
    wanted = [*all_kinds(root)[:-1], SetTimes("live/d", *times)]
    before = described(root / "live")
    for step in wanted:
        replayer.apply(step)
    assert replayer.revert(wanted)
    assert described(root / "live") == before


@pytest.mark.parametrize("taken", range(7))
def test_another_process_takes_it_back_as_often_as_it_likes(root: Path, taken: int) -> None:
    wanted = all_kinds(root)[:-1]
    with Replayer(root, Copy()) as dead:
        for step in wanted[:taken]:
            dead.apply(step)
    for _ in range(2):
        with Replayer(root, Copy()) as other:
            assert other.revert(wanted)
    assert texts(root / "live") == OLD


@pytest.mark.parametrize("taken", range(3))
def test_renames_under_way_are_taken_back(root: Path, replayer: Replayer, taken: int) -> None:
    wanted = all_kinds(root)[:1]
    for source, target in [("live/f", ".dvol/f.aside"), (".dvol/f", "live/f")][:taken]:
        os.rename(root / source, root / target)
    assert replayer.revert(wanted)
    assert texts(root / "live") == OLD
    assert texts(root / ".dvol") == {"f": "new f", "g": "new g", "added": "added"}


def test_what_cannot_be_taken_back_keeps_nothing_else_from_it(
    root: Path, replayer: Replayer
) -> None:
    wanted = all_kinds(root)[:-1]
    for step in wanted:
        replayer.apply(step)
    (root / "theirs").write_text("somebody else's")
    (root / "theirs").rename(root / "live/d/g")
    assert not replayer.revert(wanted)
    assert texts(root / "live") == {"f": "old f", "gone": "gone", "d/g": "somebody else's"}
    assert texts(root / ".dvol") == {"f": "new f", "g": "old g", "added": "added"}


# -- never outside -----------------------------------------------------------------------------

ESCAPES: dict[str, Callable[[Path], Step]] = {
    "exchange": lambda root: Exchange(
        ".dvol/g", "live/d/g", inode(root / ".dvol/g"), inode(root / "live/d/g"),
    ),
    "exchange with the inode outside": lambda root: Exchange(
        ".dvol/g", "live/d/g", inode(root / ".dvol/g"), inode(root / "outside/g"),
    ),
    "exchange from there": lambda root: Exchange(
        "live/d/g", ".dvol/g", inode(root / "outside/g"), inode(root / ".dvol/g"),
    ),
    "move to it": lambda root: Move(".dvol/added", "live/d/added"),
    "move from it": lambda root: Move("live/d/g", ".dvol/taken"),
    "dress": lambda root: SetAttributes(".dvol/new", "live/d", ".dvol/old"),
    "dress below": lambda root: SetAttributes(".dvol/new", "live/d/inner", ".dvol/old"),
    "times below": lambda root: SetTimes("live/d/g", 1, 2, 3, 4),
    "times below that": lambda root: SetTimes("live/d/inner/x", 1, 2, 3, 4),
}  # fmt: skip


def led_out(root: Path) -> Path:
    """Another directory, to which one of the live tree leads now."""
    outside = root / "outside"
    (outside / "inner").mkdir()
    for name in ("added", "inner/x"):
        (outside / name).write_text(f"precious {name}")
    (root / "live/d").rename(root / "live/aside")
    (root / "live/d").symlink_to(outside)
    return outside


def facts(tree: Path) -> list[tuple[int, ...]]:
    """All that could show that somebody was there."""
    found = [tree, *sorted(tree.rglob("*"))]
    stats = [os.lstat(path) for path in found]
    return [(s.st_ino, s.st_mode, s.st_mtime_ns, s.st_ctime_ns, s.st_nlink) for s in stats]


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_a_path_that_leads_out_is_refused_and_nothing_there_touched(
    root: Path, replayer: Replayer, escape: Callable[[Path], Step]
) -> None:
    step = escape(root)
    outside = led_out(root)
    before = facts(outside), described(outside), texts(root / ".dvol")
    with pytest.raises((OSError, BadDocument)):
        replayer.apply(step)
    replayer.revert([step])
    assert (facts(outside), described(outside), texts(root / ".dvol")) == before


def test_the_times_of_a_symlink_are_its_own(root: Path, replayer: Replayer) -> None:
    outside = led_out(root)
    before = facts(outside)
    replayer.apply(SetTimes("live/d", 1, 2, 3, 4))
    assert os.lstat(root / "live/d").st_mtime_ns == 2
    assert facts(outside) == before


def test_discarding_a_symlink_deletes_nothing_behind_it(root: Path, replayer: Replayer) -> None:
    outside = led_out(root)
    before = facts(outside)
    replayer.apply(Delete("live/d"))
    assert not os.path.lexists(root / "live/d")
    assert facts(outside) == before


# -- in a journal ------------------------------------------------------------------------------


@pytest.fixture
def journal(root: Path) -> Journal:
    (root / ".dvol").rename(root / "staged")
    (root / ".dvol").mkdir()
    (root / "staged").rename(root / ".dvol/staging")
    return Journal(root / ".dvol/journal.json", root, root / ".dvol/staging", Copy)


def three(root: Path) -> Steps:
    """Three exchanges in three directories, each with a file of its own."""
    for name in "abc":
        (root / "live" / name).mkdir()
        (root / "live" / name / "f").write_text("old")
        (root / ".dvol/staging" / name).write_text("new")
    return [
        Exchange(
            f".dvol/staging/{name}", f"live/{name}/f",
            inode(root / ".dvol/staging" / name), inode(root / "live" / name / "f"),
        )
        for name in "abc"
    ]  # fmt: skip


def contents(root: Path) -> dict[str, str]:
    return {name: (root / "live" / name / "f").read_text() for name in "abc"}


def swap(root: Path, name: str) -> None:
    (root / "live" / name).rename(root / "live/aside")
    (root / "live" / name).symlink_to("/nonexistent")


def left(root: Path) -> list[Path]:
    return list((root / ".dvol").glob("lost-*"))


def test_a_step_that_leads_out_fails_the_verb_and_nothing_has_happened(
    journal: Journal, root: Path
) -> None:
    wanted = three(root)
    swap(root, "c")
    journal.stage("reset", wanted)
    with pytest.raises((OSError, TreeChanged)):
        journal.run(wanted)
    assert not journal.pending()
    assert (root / "live/a/f").read_text() == "old"
    assert (root / "live/b/f").read_text() == "old"
    assert (root / "live/aside/f").read_text() == "old"


def test_what_cannot_be_taken_back_is_kept_as_lost(journal: Journal, root: Path) -> None:
    """The old file of that directory is in staging now, and nowhere else."""
    wanted = three(root)
    with Replayer(root, Copy()) as dead:
        for step in wanted:
            dead.apply(step)
    journal.path.write_text(
        json.dumps({"format": 1, "verb": "reset", "steps": list(map(encode, wanted))})
    )
    swap(root, "b")
    with pytest.raises((OSError, BadDocument)):
        journal.complete()
    assert not journal.pending()
    (lost,) = left(root)
    assert (lost / "b").read_text() == "old"
    assert (root / "live/a/f").read_text() == "old"
    assert (root / "live/c/f").read_text() == "old"
    assert (root / "live/aside/f").read_text() == "new"


def test_what_is_lost_stays_when_the_next_verb_sweeps(journal: Journal, root: Path) -> None:
    test_what_cannot_be_taken_back_is_kept_as_lost(journal, root)
    journal.recover()
    assert (left(root)[0] / "b").read_text() == "old"
    journal.stage("reset", [Delete(".dvol/staging/x")])
    journal.run([Delete(".dvol/staging/x")])
    assert (left(root)[0] / "b").read_text() == "old"


def test_nothing_is_kept_as_lost_when_all_is_taken_back(journal: Journal, root: Path) -> None:
    wanted = [*three(root), Move(".dvol/staging/nothing", "live/a/f/below")]
    (root / ".dvol/staging/nothing").touch()
    journal.stage("reset", wanted)
    with pytest.raises((OSError, TreeChanged)):
        journal.run(wanted)
    assert contents(root) == dict.fromkeys("abc", "old")
    assert left(root) == []
    assert (journal.staging / "a").read_text() == "new"


# -- their shape -------------------------------------------------------------------------------


def test_every_step_that_is_made_is_one(root: Path) -> None:
    for step in all_kinds(root):
        assert decode(encode(step)) == step
    for live in ("live/f", "live/new"):
        step = put_document(root, root / ".dvol/f", root / live)
        assert decode(encode(step)) == step


def test_odd_names_are_sound(root: Path) -> None:
    for name in (b"\xff\xfe", b"new\nline", b" ", b"...", b"-rf"):
        step = Move(".dvol/" + os.fsdecode(name), os.fsdecode(name))
        assert decode(encode(step)) == step


def test_a_document_is_put_where_one_is_and_where_none_is(root: Path, replayer: Replayer) -> None:
    for step in [put_document(root, root / ".dvol/f", root / "live/f")]:
        replayer.apply(step)
    for step in [put_document(root, root / ".dvol/g", root / "live/new")]:
        replayer.apply(step)
    assert (root / "live/f").read_text() == "new f"
    assert (root / "live/new").read_text() == "new g"
