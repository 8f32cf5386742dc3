"""Inode flags (chattr(1)) are part of a state: each verb keeps them, and none is blocked by
them."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dvol.engine.local import LocalEngine
from dvol.errors import DiskFailed
from dvol.fs import btrfs
from dvol.model import ContainerOptions
from tests.contract.inode_flags import without_the_right
from tests.contract.places import environment
from tests.contract.trees import described
from tests.contract.unchanged import FLIGHT
from tests.contract.verbs import ANN

pytestmark = [
    pytest.mark.root,
    pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs"], indirect=True, scope="session"),
]
KEPT = frozenset("aidSCc")
USER = 65534
Flags = dict[str, str]
DYING = """
import os, pathlib, sys
from dvol.engine.local import LocalEngine
from dvol.journal.steps import Move
Move.apply = lambda *_: os._exit(9)
LocalEngine(pathlib.Path(sys.argv[1])).reset("v")
"""


@pytest.fixture(params=["root", "user"])
def pool(request: pytest.FixtureRequest, place: Path) -> Iterator[Path]:
    """A pool that root works in. On btrfs a user's has plain directories, and root's snapshots."""
    pool = place / "pool"
    pool.mkdir()
    if request.param == "user":
        os.chown(pool, USER, USER)
    yield pool
    subprocess.run(["chattr", "-R", "-f", "-i", "-a", str(pool)], capture_output=True)


@pytest.fixture
def engine(pool: Path) -> LocalEngine:
    engine = LocalEngine(pool, options=ContainerOptions(force=True))
    engine.init("v")
    return engine


@pytest.fixture
def tree(pool: Path, engine: LocalEngine) -> Path:
    return pool / "v" / "branches" / "master"


@pytest.fixture
def make(kind: str, pool: Path, tree: Path) -> Callable[[str, str], Path]:
    """Make a file in the live tree, empty or not, with flags as chattr(1) calls them."""

    def make(path: str, flags: str, content: str = "content") -> Path:
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        early = [one for one in flags if one in "Cc"]
        for one in early:
            chattr(f"+{one}", file)
        file.write_text(content)
        chattr(f"+{''.join(set(flags) - {*early})}", file)
        return file

    return make


def chattr(change: str, *paths: Path) -> None:
    if change[1:]:
        subprocess.run(["chattr", change, *map(str, paths)], check=True, capture_output=True)


def flags(tree: Path) -> Flags:
    """The kept flags of each file and directory in a tree that has some, as lsattr(1) tells."""
    done = subprocess.run(["lsattr", "-R", "-a", "."], cwd=tree, capture_output=True, text=True)
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines() if line[:1] in "-sucaidS"]
    found = {line[1]: "".join(sorted(KEPT & {*line[0]})) for line in lines if len(line) == 2}
    return {
        os.path.normpath(path): own
        for path, own in found.items()
        if own and not path.endswith("/..")
    }


def contents(tree: Path) -> dict[str, str]:
    return {str(one.relative_to(tree)): one.read_text() for one in tree.rglob("*") if one.is_file()}


def held(tree: Path) -> tuple[Flags, dict[str, str]]:
    return flags(tree), contents(tree)


@pytest.fixture
def full(make: Callable[..., Path], kind: str, tree: Path, engine: LocalEngine) -> Path:
    """A volume with a commit of files and directories with every flag; its tree."""
    for flag in "aidS" + "Cc" * (kind == "btrfs"):
        make(f"file-{flag}", flag)
        make(f"dir-{flag}/inside/{flag}", flag)
        make(f"dir-{flag}/plain", "")
        if flag != "C":
            chattr(f"+{flag}", tree / f"dir-{flag}")
    make("linked", "")
    os.link(tree / "linked", tree / "dir-d" / "other name")
    chattr("+i", tree / "linked")
    engine.commit("v", "full", ANN)
    return tree


def unlock(tree: Path) -> None:
    subprocess.run(["chattr", "-R", "-f", "-i", "-a", str(tree)], capture_output=True)


def ruin(tree: Path) -> None:
    """Change every flag and content."""
    unlock(tree)
    for path in sorted(tree.rglob("*")):
        if path.is_file() and not path.name.startswith("dir"):
            path.write_text("ruin")
    chattr("-d", tree / "file-d", tree / "dir-d")
    chattr("+i", tree / "file-d", tree / "dir-d")
    (tree / "file-a").unlink()
    (tree / "dir-S" / "plain").unlink()
    (tree / "added").mkdir()
    (tree / "added" / "file").write_text("added")
    chattr("+a", tree / "added" / "file", tree / "added")


def test_each_verb_keeps_the_flags(full: Path, engine: LocalEngine, pool: Path) -> None:
    first = held(full)
    assert set("".join(first[0].values())) >= set("aidS")
    ruin(full)
    ruined = held(full)
    engine.reset("v")
    assert held(full) == first
    engine.undo("v")
    assert held(full) == ruined
    engine.undo("v")
    assert held(full) == first
    engine.undo("v")
    engine.commit("v", "ruined", ANN)
    engine.reset("v", "HEAD~1")
    assert held(full) == first
    engine.reset("v", "HEAD@{1}")
    assert held(full) == ruined
    assert engine.fsck() == []


def test_a_branch_gets_them_and_goes_and_comes_back_with_them(
    full: Path, engine: LocalEngine, pool: Path
) -> None:
    first, side = held(full), full.with_name("side")
    engine.branch("v", "side")
    assert held(side) == first
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    [entry] = engine.discarded()
    engine.restore(entry.entry)
    assert held(side) == first
    engine.rm("v")
    [entry] = engine.discarded()
    engine.restore(entry.entry)
    assert held(side) == held(full) == first
    engine.rm("v")
    engine.gc(now=True)
    assert [*pool.glob(".dvol/garbage/*"), *pool.glob(".dvol/trash/*")] == []


def test_a_change_of_flags_alone_is_a_change(full: Path, engine: LocalEngine) -> None:
    first = held(full)
    chattr("-i", full / "linked")
    chattr("+d", full / "dir-S" / "plain")
    second = held(full)
    engine.commit("v", "flags", ANN)
    engine.reset("v", "HEAD~1")
    assert held(full) == first
    engine.reset("v", "HEAD@{1}")
    assert held(full) == second


def test_a_change_of_flags_after_an_undo_is_a_change(full: Path, engine: LocalEngine) -> None:
    """Then the index names the tree that the undo has made, and not a commit."""
    first = held(full)
    (full / "file-S").write_text("another")
    engine.reset("v")
    engine.undo("v")
    chattr("-d", full / "file-d")
    chattr("+S", full / "file-d", full / "dir-S" / "plain")
    second = held(full)
    time.sleep(FLIGHT)  # from then on a signature may enter the index
    engine.commit("v", "second", ANN)
    engine.reset("v", "HEAD~1")
    assert held(full) == first
    engine.reset("v", "HEAD@{1}")
    assert held(full) == second


def test_what_is_linked_after_an_undo_keeps_its_flags(full: Path, engine: LocalEngine) -> None:
    time.sleep(FLIGHT)  # as above
    (full / "file-S").write_text("another")
    engine.reset("v", discard=True)
    engine.reset("v", discard=True)  # which finds all files clean
    (full / "file-S").write_text("another")
    engine.reset("v")
    engine.undo("v")
    engine.commit("v", "second", ANN)
    second = held(full)
    for branch in ("one", "two"):
        engine.branch("v", branch)
        assert held(full.with_name(branch)) == second


def test_the_root_of_a_tree_may_be_locked(full: Path, engine: LocalEngine) -> None:
    chattr("+i", full)
    first = held(full)
    engine.commit("v", "locked", ANN)
    chattr("-i", full)
    (full / "more").write_text("more")
    chattr("+a", full)
    second = held(full)
    engine.reset("v")
    assert held(full) == first
    engine.undo("v")
    assert held(full) == second
    engine.reset("v", "HEAD~1", discard=True)
    engine.gc(now=True)  # the commit whose tree is locked
    unlock(full)
    chattr("+i", full)
    first = held(full)
    engine.commit("v", "locked again", ANN)
    engine.branch("v", "side")
    assert held(full.with_name("side")) == first
    engine.checkout("v", "master")
    engine.delete_branch("v", "side")
    engine.rm("v")
    engine.gc(now=True)


def test_what_is_put_aside_keeps_its_flags(full: Path, engine: LocalEngine) -> None:
    first = held(full)
    ruin(full)
    ruined = held(full)
    engine.stash(["v"], "aside", "x", ANN)
    assert held(full) == first
    assert held(full.with_name("aside")) == ruined


def test_a_stash_keeps_the_locks_of_both_trees(full: Path, engine: LocalEngine) -> None:
    """It exchanges the live tree with a copy, and then moves it again."""
    chattr("+i", full)
    engine.commit("v", "locked", ANN)
    first = held(full)
    engine.stash(["v"], "aside", "x", ANN)
    assert held(full) == held(full.with_name("aside")) == first


def test_a_locked_directory_gets_its_times(full: Path, engine: LocalEngine) -> None:
    """Nothing else in it or of it has changed."""
    first = described(full)
    for name in ("dir-a", "dir-i"):
        flag = name[-1]
        chattr(f"-{flag}", full / name)
        os.utime(full / name, ns=(7, 7))
        chattr(f"+{flag}", full / name)
    engine.reset("v")
    assert described(full) == first


def test_names_of_a_locked_file_come_back_in_a_directory_and_beside_it(
    full: Path, engine: LocalEngine
) -> None:
    first = held(full)
    unlock(full)
    (full / "linked").unlink()
    shutil.rmtree(full / "dir-d")
    engine.reset("v")
    assert held(full) == first
    assert (full / "linked").samefile(full / "dir-d" / "other name")


def test_gc_names_what_it_may_not_delete_and_the_cure(
    full: Path, engine: LocalEngine, pool: Path
) -> None:
    """Without the right to lift a lock, which a container does not have by default. A subvolume is
    deleted whole, whatever is in it."""
    whole = btrfs.usable(pool) and pool.stat().st_uid == 0
    engine.rm("v")
    words = ["setpriv", "--bounding-set=-linux_immutable", "--inh-caps=-all", sys.executable]
    gc = [*words, "-m", "dvol", "--pool", str(pool), "gc", "--now", "-f"]
    done = subprocess.run(gc, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left = [*pool.glob(".dvol/garbage/*")]
    assert len(left) == (0 if whole else 1)
    if whole:
        return
    [garbage] = left
    assert f"warning: {garbage} can't be deleted" in done.stderr
    assert f"'sudo chattr -R -f -i -a {garbage}' lets" in done.stderr
    unlock(garbage)
    engine.gc()
    assert not garbage.exists()


def test_a_journal_that_locks_waits_for_who_may_lock(
    full: Path, engine: LocalEngine, pool: Path, kind: str
) -> None:
    """A command without the right could neither apply it nor revert it."""
    first = held(full)
    ruin(full)
    unlock(full)
    done = subprocess.run([sys.executable, "-c", DYING, str(pool)], env=environment())
    assert done.returncode == 9
    if kind == "btrfs" and pool.stat().st_uid == 0:
        return  # one exchange of snapshots
    with without_the_right():
        with pytest.raises(DiskFailed, match="CAP_LINUX_IMMUTABLE"):
            engine.commit("v", "next", ANN)
    engine.commit("v", "next", ANN)
    assert held(full) == first


def test_what_the_pools_directory_hands_down_is_not_kept(
    full: Path, engine: LocalEngine, pool: Path
) -> None:
    first = held(full)
    chattr("+d", pool / "v" / ".dvol", pool / "v" / ".dvol" / "staging")
    engine.branch("v", "side")
    assert held(full.with_name("side")) == first
    engine.checkout("v", "master")
    ruin(full)
    engine.reset("v")
    assert held(full) == first


def test_flags_that_are_not_recorded_are_left_alone(
    full: Path, engine: LocalEngine, pool: Path
) -> None:
    """As in commits of an earlier build."""
    for summary in (pool / "v" / ".dvol" / "summaries").iterdir():
        summary.unlink()
    first = held(full)
    (full / "dir-S" / "plain").write_text("changed")
    engine.reset("v")
    assert held(full) == first
    assert engine.fsck() == []
