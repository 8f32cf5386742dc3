"""What is vouched for is older than the clock: nothing that dvol has made, or that is young, can
change and keep the times that it is known by. What was put back is looked at once more."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dvol.backends import FreezeHints, StagedReset
from dvol.backends.copy.copy import Copy
from dvol.fs.clock import now
from dvol.journal.steps import Exchange, Move
from dvol.tree.index import epoch, load
from tests.contract.contents import linked_groups
from tests.contract.unchanged import BELIEVED, FLIGHT, Volume, made, on, overwritten, same_times

OFTEN = 10


@pytest.fixture
def volume(place: Path) -> Volume:
    return made(place)


def past(place: Path, ended: bool = True) -> FreezeHints:
    """Nothing is known."""
    return FreezeHints(place / "no-index", writers_stopped=ended)


def newest(tree: Path) -> int:
    return max(os.lstat(path).st_ctime_ns for path in tree.rglob("*") if path.is_file())


@BELIEVED
def test_the_clock_is_past_what_a_restored_tree_is_known_by(place: Path) -> None:
    (place / "tree").mkdir()
    (place / "tree/f").write_text("x")
    Copy().freeze(place / "tree", place / "frozen", past(place))
    for number in range(OFTEN):
        memory = Copy().thaw(place / "frozen", place / f"{number}")
        assert now() > newest(place / f"{number}")
        assert memory.directories[""]


@BELIEVED
def test_the_walk_begins_a_tick_after_that_by_which_changes_are_told(volume: Volume) -> None:
    """Else a change in that tick would look older than the walk."""
    for number in range(5):
        (volume.tree / "f").write_text(str(number))
        frozen = volume.commit()
        assert born(frozen / "f") > born(frozen)


def born(path: Path) -> int:
    """In ns; stat(2) does not tell."""
    said = subprocess.run(["stat", "-c", "%.9W", path], capture_output=True, text=True, check=True)
    epoch = int(said.stdout.replace(".", ""))
    assert epoch > 0
    return epoch


@on("ext4")
@pytest.mark.slow
def test_no_entry_is_vouched_for_while_it_is_young(place: Path) -> None:
    """No file, symlink or FIFO, and no further name of one, where nobody knows who writes."""
    volume = made(place, ended=False)
    linked_groups(volume.tree)
    for _ in range(2):
        volume.commit()
        assert vouched(volume) == 0
    time.sleep(FLIGHT)
    volume.commit()
    assert vouched(volume) == 12


def vouched(volume: Volume) -> int:
    """How many entries the index vouches for."""
    fd = os.open(volume.tree, os.O_RDONLY)
    try:
        known = load(volume.index, epoch(fd))
    finally:
        os.close(fd)
    return sum(map(len, known.directories.values()))


# -- what was put in place of another ----------------------------------------------------------


@BELIEVED
@pytest.mark.parametrize("name", ["f", "d/f"])
def test_the_clock_is_past_what_a_replacement_is_known_by(place: Path, name: str) -> None:
    """A file is exchanged, and its ctime is new; a directory is moved, and its file's is not."""
    tree, late = place / "tree", []
    (tree / name).parent.mkdir(parents=True)
    (tree / name).write_text("x")
    Copy().freeze(tree, place / "frozen", past(place))
    for number in range(OFTEN):
        (tree / name).unlink()
        if name != "f":
            (tree / "d").rmdir()
        entry = place / f"{number}"
        entry.mkdir()
        replacement = Copy().stage_reset(place / "frozen", tree, entry, past(place))
        late.append(name != "f" and now() <= newest(entry))
        moved(replacement)
        memory = replacement.tree_index()
        late.append(now() <= newest(tree))
        assert memory.directories[os.path.dirname(name)]
    assert not any(late), late


def moved(replacement: StagedReset) -> None:
    """Its steps are taken, as far as they put something in place."""
    for step in replacement.steps:
        staged, live, *_ = step
        if isinstance(step, Move | Exchange):
            os.rename(staged, live)


def replaced(place: Path, ended: bool = True) -> StagedReset:
    """Of one file, which is in its place already, as if nobody had looked since."""
    tree, entry = place / "tree", place / "entry"
    tree.mkdir()
    entry.mkdir()
    (tree / "f").write_text("old")
    Copy().freeze(tree, place / "frozen", past(place))
    (tree / "f").write_text("changed")
    replacement = Copy().stage_reset(place / "frozen", tree, entry, past(place, ended))
    moved(replacement)
    return replacement


def remembers(replacement: StagedReset) -> bool:
    return "f" in replacement.tree_index().directories.get("", {})


@BELIEVED
@pytest.mark.parametrize("ended", [True, False], ids=["ended", "unknown"])
def test_a_replacement_is_vouched_for_if_writers_have_ended(place: Path, ended: bool) -> None:
    assert remembers(replaced(place, ended)) == ended


def grown(file: Path) -> None:
    status = file.stat()
    with file.open("a") as opened:
        opened.write("more")
    same_times(file, status)


def written_to(file: Path) -> None:
    overwritten(file, b"new")


def dressed(file: Path) -> None:
    status = file.stat()
    file.chmod(0o600)
    same_times(file, status)


@BELIEVED
@pytest.mark.parametrize("change", [grown, written_to, dressed])
def test_a_replacement_that_changed_after_all_is_not_vouched_for(
    place: Path, change: Callable[[Path], None]
) -> None:
    """Somebody has written to it, whatever was said."""
    replacement = replaced(place)
    change(place / "tree/f")
    assert not remembers(replacement)
