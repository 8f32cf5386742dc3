"""Damage to any commit is found and named, and does not spread."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from dvol.engine import Engine
from dvol.engine.local import LocalEngine
from dvol.errors import DamagedCommit
from dvol.fsck.contents import make_digests
from dvol.model import Commit, Finding
from dvol.tree.delete import delete_tree
from tests.contract.backends import is_subvolume
from tests.contract.changes import many_kinds
from tests.contract.conftest import anywhere, indexed
from tests.contract.injuries import (
    INJURIES,
    READ,
    SEEN,
    Injury,
    changed_at_random,
    files_of,
    flipped,
    writable,
)
from tests.contract.places import Keeper
from tests.contract.trees import described, inodes
from tests.contract.verbs import commit, state
from tests.lab.filesystems import attach, detach, image, mounted

by_seen = pytest.mark.parametrize("injury", SEEN.values(), ids=SEEN)
by_any = pytest.mark.parametrize("injury", INJURIES.values(), ids=INJURIES)
on_one_engine = pytest.mark.parametrize("keeper", ["disk"], indirect=True)


@pytest.fixture
def commits(engine: Engine, keeper: Keeper, tree: Path) -> list[Commit]:
    """Three commits of `master` that share files, and one of `side`."""
    many_kinds(tree)
    done = [commit(engine, "1")]
    (tree / "new").write_text("new")
    done.append(commit(engine, "2"))
    (tree / "directory" / "inner").write_text("another content")
    done.append(commit(engine, "3"))
    engine.branch("v", "side")
    (keeper.tree("v", "side") / "side").write_text("side")
    done.append(commit(engine, "4"))
    engine.checkout("v", "master")
    return done


def injured(keeper: Keeper, done: Commit, injury: Injury, path: str = "directory/inner") -> str:
    """Injure a commit; returns the path that differs then."""
    tree = keeper.frozen("v", done.id)
    with writable(tree):
        return injury(tree, path)


def of(found: list[Finding], done: Commit) -> list[str]:
    """What is found wrong with a commit."""
    return [one.problem for one in found if one.problem.startswith(f"commit {done.id[:12]} ")]


# -- every injury to every commit ----------------------------------------------------------------


@by_seen
@pytest.mark.root
def test_what_the_status_shows_is_found_and_named(
    engine: Engine, keeper: Keeper, commits: list[Commit], injury: Injury
) -> None:
    """In an older commit, and with no content read."""
    path = injured(keeper, commits[1], injury)
    (text,) = of(engine.fsck("v"), commits[1])
    assert text.startswith(f"commit {commits[1].id[:12]} '2' of branch 'master': ")
    # of a btrfs snapshot only that a directory was changed is known, until all is read
    is_snapshot = is_subvolume(keeper.frozen("v", commits[1].id))
    assert (path.rpartition("/")[0] if is_snapshot else path) in text
    assert of(engine.fsck("v"), commits[3]) == []


@by_any
@pytest.mark.root
def test_whatever_reading_shows_is_found_once_there_are_digests(
    engine: Engine, keeper: Keeper, commits: list[Commit], injury: Injury
) -> None:
    assert engine.fsck("v", data=True) == []
    path = injured(keeper, commits[3], injury, "side")
    (text,) = of(engine.fsck("v", data=True), commits[3])
    assert path in text


@pytest.mark.root
def test_every_commit_that_has_the_injured_file_is_told(
    engine: Engine, keeper: Keeper, commits: list[Commit]
) -> None:
    """The first two share it, where commits share inodes; the last two have another one."""
    shared = inodes(keeper.frozen("v", commits[0].id)) & inodes(keeper.frozen("v", commits[1].id))
    injured(keeper, commits[0], INJURIES["appended"])
    told = [bool(of(engine.fsck("v"), one)) for one in commits]
    assert told == [True, bool(shared), False, False]


def test_a_retargeted_symlink_is_found(
    engine: Engine, keeper: Keeper, commits: list[Commit]
) -> None:
    """Of the same length, with the time put back: only its digest differs."""
    engine.fsck(data=True)

    def retargeted(tree: Path, path: str) -> str:
        status = (tree / path).lstat()
        (tree / path).unlink()
        (tree / path).symlink_to("elif")
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(tree / path, ns=times, follow_symlinks=False)
        return path

    injured(keeper, commits[1], retargeted, "link")
    told = of(engine.fsck(data=True), commits[1])
    assert any("link was changed (content)" in text for text in told)


@on_one_engine
def test_names_of_one_file_that_became_two_are_found(
    engine: Engine, keeper: Keeper, commits: list[Commit]
) -> None:
    def apart(tree: Path, path: str) -> str:
        status = (tree / path).stat()
        content = (tree / path).read_bytes()
        (tree / path).unlink()
        (tree / path).write_bytes(content)
        os.utime(tree / path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return path

    injured(keeper, commits[1], apart, "two")
    (text,) = of(engine.fsck(), commits[1])
    assert "one" in text or "two" in text


@indexed
@on_one_engine
def test_five_files_are_named_at_most(engine: Engine, keeper: Keeper, tree: Path) -> None:
    for number in range(8):
        (tree / f"file-{number}").write_text("x")
    done = commit(engine)
    with writable(keeper.frozen("v", done.id)):
        for number in range(8):
            (keeper.frozen("v", done.id) / f"file-{number}").unlink()
    (text,) = of(engine.fsck(), done)
    assert text.count("is missing") == 5
    assert text.endswith(" and 3 more")


def test_what_verbs_do_is_no_damage(
    engine: Engine, keeper: Keeper, commits: list[Commit], tree: Path
) -> None:
    """They link and move frozen files, which changes their ctime."""
    state(tree, "5")
    engine.reset("v", commits[0].id)
    engine.undo("v")
    engine.reset("v", "HEAD^")
    commit(engine, "5")
    engine.branch("v", "third")
    engine.commit("v", "full", "Ann <ann@example.org>", full=True)
    engine.checkout("v", "master")
    engine.delete_branch("v", "third")
    assert engine.fsck(data=True) == []
    assert engine.fsck(data=True, repair=True) == []


@on_one_engine
def test_reading_a_commit_is_no_damage(
    engine: Engine, keeper: Keeper, commits: list[Commit]
) -> None:
    """Also of a btrfs snapshot that a crash left writable: its times of last access change."""
    tree = keeper.frozen("v", commits[0].id)
    with writable(tree):
        for path in files_of(tree):
            (tree / path).read_bytes()
        os.sync()
    assert engine.fsck() == []


# -- at random -----------------------------------------------------------------------------------


POOLS, INJURED = 25, 20  # on each file system


@indexed
@on_one_engine
def test_a_thousand_random_injuries_are_found_and_no_others(keeper: Keeper) -> None:
    for seed in range(POOLS):
        chance = random.Random(seed)
        commits = random_commits(keeper, chance)
        assert keeper.engine.fsck("v", data=True) == []
        healthy = keeper.pool.parent / "healthy"
        copied(keeper.pool / "v" / "commits", healthy)
        for _ in range(INJURED):
            injure_at_random(keeper, chance, commits)
            delete_tree(keeper.pool / "v" / "commits")
            copied(healthy, keeper.pool / "v" / "commits")
        assert keeper.engine.fsck("v", data=True) == []
        for left in (keeper.pool / "v", healthy):
            delete_tree(left)


def random_commits(keeper: Keeper, chance: random.Random) -> list[Commit]:
    """Some commits of some branches."""
    engine = keeper.engine
    engine.init("v")
    done, branches = [], ["master"]
    for number in range(chance.randint(3, 7)):
        if done and chance.random() < 0.3:
            branches.append(f"branch-{number}")
            engine.branch("v", branches[-1])
        engine.checkout("v", branch := chance.choice(branches))
        changed_at_random(keeper.tree("v", branch), chance)
        done.append(commit(engine, str(number)))
    return done


def injure_at_random(keeper: Keeper, chance: random.Random, commits: list[Commit]) -> None:
    """Injure a file of a commit: it is told in each commit that has it, and in no other."""
    name, done = chance.choice([*INJURIES]), chance.choice(commits)
    tree = keeper.frozen("v", done.id)
    path = chance.choice(files_of(tree))
    inode = ((tree / path).stat().st_dev, (tree / path).stat().st_ino)
    sharing = {one.id for one in commits if inode in inodes(keeper.frozen("v", one.id))}
    where = INJURIES[name](tree, path)
    found = keeper.engine.fsck("v", data=name in READ)
    told = {one.id: text for one in commits for text in of(found, one)}
    assert where in told.get(done.id, ""), (name, path, told)
    alone = name in ("deleted", "directory_deleted", "added", "to_symlink")
    assert told.keys() == ({done.id} if alone else sharing), (name, path, told)
    assert len([one for one in found if one.problem.startswith("commit ")]) == len(told)


def copied(source: Path, target: Path) -> None:
    """Copy a directory with all that `cp` keeps: hard links, times, owners, attributes."""
    subprocess.run(["cp", "-a", source, target], check=True)


# -- beneath the file system ---------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.parametrize("digested", ["by fsck", "by the server"])
def test_a_byte_that_rots_on_the_disk_is_found(digested: str) -> None:
    """Found by its content in the image, which is not mounted then."""
    with mounted("ext4", 64 << 20) as root:
        engine = LocalEngine(root / "volumes")
        engine.init("v")
        tree = root / "volumes" / "v" / "branches" / "master"
        pattern = os.urandom(64)
        (tree / "data").write_bytes(pattern * 64)
        done = commit(engine)
        (tree / "data").unlink()
        commit(engine)
        if digested == "by fsck":
            assert engine.fsck(data=True) == []
        else:
            make_digests(engine.access, on_read=lambda count: None)
        frozen = root / "volumes" / "v" / "commits" / done.id / "data"
        before = frozen.stat()
        detach(root)
        disk = image(root).read_bytes()
        at = [at for at in range(0, len(disk), 4096) if disk[at : at + 64] == pattern]
        assert at
        with image(root).open("r+b") as file:
            for start in at:
                file.seek(start + 7)
                file.write(bytes([pattern[7] ^ 1]))
        attach("ext4", image(root), root)
        assert engine.fsck() == []
        (found,) = engine.fsck(data=True)
        assert (frozen.stat().st_ino, frozen.stat().st_mtime_ns) == (
            before.st_ino,
            before.st_mtime_ns,
        )
        assert "data was changed (content)" in found.problem


# -- summaries and digests -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["summaries", "digests"])
def test_damage_to_a_document_is_told_as_such(
    engine: Engine, keeper: Keeper, commits: list[Commit], kind: str
) -> None:
    engine.fsck(data=True)
    path = keeper.pool / "v" / ".dvol" / kind / commits[0].id
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (found,) = engine.fsck(data=kind == "digests")
    assert f"of commit {commits[0].id[:12]} '1' of branch 'master'" in found.problem
    assert "damaged, not the commit" in found.problem
    assert [one.state for one in engine.fsck(data=kind == "digests", repair=True)] == ["repaired"]
    assert engine.fsck(data=True) == []
    assert path.exists()


def test_commits_of_earlier_builds_are_not_told_and_get_summaries_and_digests(
    engine: Engine, keeper: Keeper, commits: list[Commit], tree: Path
) -> None:
    own = keeper.pool / "v" / ".dvol"
    delete_tree(own / "summaries")
    assert engine.fsck() == []
    state(tree, "5")
    commits.append(commit(engine, "5"))
    assert engine.fsck() == []
    assert engine.fsck(data=True) == []
    ids = {one.id for one in commits}
    assert {*os.listdir(own / "summaries")} == {*os.listdir(own / "digests")} == ids
    path = injured(keeper, commits[0], SEEN["chmoded"], "file")
    assert path in of(engine.fsck(), commits[0])[0]


@indexed
def test_a_commit_without_a_summary_is_told_if_it_shares_a_damaged_file(
    engine: Engine, keeper: Keeper, commits: list[Commit]
) -> None:
    (keeper.pool / "v" / ".dvol" / "summaries" / commits[0].id).unlink()
    injured(keeper, commits[0], SEEN["truncated"])
    assert of(engine.fsck(), commits[1])
    assert "directory/inner" in of(engine.fsck(), commits[0])[0]
    engine.fsck(data=True)
    assert not (keeper.pool / "v" / ".dvol" / "summaries" / commits[0].id).exists()


@indexed
@on_one_engine
def test_a_linked_file_is_digested_once(keeper: Keeper, commits: list[Commit], tree: Path) -> None:
    """A later commit takes the digests of the files that it shares from an earlier one: so a file
    that was damaged in between is told in both."""
    read: list[int] = []
    make_digests(keeper.engine.access, on_read=read.append)
    first = sum(read)
    (tree / "small").write_text("x")
    commits.append(commit(keeper.engine, "5"))
    injured(keeper, commits[2], flipped, "file")
    read.clear()
    make_digests(keeper.engine.access, on_read=read.append)
    assert first > 20
    assert sum(read) == 1
    found = keeper.engine.fsck(data=True)
    assert of(found, commits[-1])
    assert of(found, commits[2])


@on_one_engine
def test_the_server_digests_all_commits_but_damaged_ones(
    keeper: Keeper, commits: list[Commit]
) -> None:
    injured(keeper, commits[3], SEEN["deleted"], "side")
    make_digests(keeper.engine.access, on_read=lambda count: None)
    found = {*os.listdir(keeper.pool / "v" / ".dvol" / "digests")}
    assert found == {one.id for one in commits[:3]}
    assert keeper.engine.fsck("v")[1:] == []


@anywhere
def test_a_half_written_document_is_a_leftover(
    engine: Engine, keeper: Keeper, commits: list[Commit]
) -> None:
    """But while a server may be writing it: that takes no lock."""
    half = keeper.pool / "v" / ".dvol" / "summaries" / f"{commits[0].id}.4711"
    half.write_text("dvol")
    assert engine.fsck(repair=True) == []
    os.utime(half, (0, 0))
    (found,) = engine.fsck()
    assert found.state == "leftover"
    assert [one.state for one in engine.fsck(repair=True)] == ["repaired"]
    assert not half.exists()


@anywhere
def test_the_summary_of_a_commit_that_was_not_published_is_deleted(
    engine: Engine, keeper: Keeper, commits: list[Commit]
) -> None:
    own, id = keeper.pool / "v" / ".dvol", "f" * 40
    (own / "staging" / id).mkdir()
    for path in (keeper.frozen("v", id), own / "summaries" / id):
        path.mkdir()
    assert [one.state for one in engine.fsck()] == ["leftover"]
    commit(engine)
    assert not (own / "summaries" / id).exists()
    assert not keeper.frozen("v", id).exists()


@on_one_engine
def test_a_huge_file_of_holes_is_digested_in_no_time(
    keeper: Keeper, engine: Engine, tree: Path
) -> None:
    with (tree / "sparse").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"x")
    done = commit(engine)
    assert engine.fsck(data=True) == []
    frozen = keeper.frozen("v", done.id)
    with writable(frozen):
        status = (frozen / "sparse").stat()
        with (frozen / "sparse").open("r+b") as file:
            file.seek(1 << 38)
            file.write(b"y")
        os.utime(frozen / "sparse", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "sparse" in of(engine.fsck(data=True), done)[0]


# -- marks ---------------------------------------------------------------------------------------


def marked(keeper: Keeper) -> set[str]:
    return {*json.loads((keeper.pool / "v" / ".dvol" / "damaged.json").read_text())}


@by_any
@indexed
def test_a_damaged_commit_is_marked_and_refused_until_it_is_right_again(
    engine: Engine, keeper: Keeper, commits: list[Commit], injury: Injury
) -> None:
    engine.fsck(data=True)
    healthy = keeper.pool.parent / f"healthy-{commits[0].id}"
    copied(keeper.frozen("v", commits[3].id), healthy)
    injured(keeper, commits[3], injury, "side")
    (found,) = engine.fsck(data=True, repair=True)
    assert (found.state, found.problem[-9:]) == ("broken", " (marked)")
    assert marked(keeper) == {commits[3].id}
    (again,) = of(engine.fsck("v"), commits[3])
    assert again.endswith(" (marked)")
    with pytest.raises(DamagedCommit, match=f"{commits[3].id[:12]} is damaged: side"):
        engine.reset("v", "side")
    engine.checkout("v", "side")
    with pytest.raises(DamagedCommit, match="fsck --repair"):
        engine.branch("v", "new")
    engine.reset("v", commits[2].id)
    delete_tree(keeper.frozen("v", commits[3].id))
    place = next(keeper.pool.glob(f"v/.dvol/**/commits/{commits[3].id}"), None)
    home = place or keeper.frozen("v", commits[3].id)
    delete_tree(home)
    os.rename(healthy, home)
    engine.undo("v")
    assert [one.state for one in engine.fsck(data=True, repair=True)] == ["repaired"]
    assert marked(keeper) == set()
    engine.reset("v", commits[3].id)
    engine.branch("v", "new")


@indexed
def test_a_file_that_is_put_in_its_place_again_makes_the_commit_sound(
    engine: Engine, keeper: Keeper, commits: list[Commit]
) -> None:
    """Which changes the mtime of its directory: that is repaired."""
    injured(keeper, commits[1], SEEN["deleted"])
    assert engine.fsck(repair=True)[0].problem.endswith("(marked)")
    source, target = (keeper.frozen("v", one.id) / "directory" for one in commits[:2])
    copied(source / "inner", target / "inner")
    (found,) = engine.fsck()
    assert "'2' of branch 'master': directory was changed (mtime)" in found.problem
    assert [one.state for one in engine.fsck(repair=True)] == ["repaired"]
    assert engine.fsck() == []
    assert marked(keeper) == set()
    engine.reset("v", commits[1].id)


def test_a_commit_after_a_damaged_one_shares_no_file_with_it(
    engine: Engine, keeper: Keeper, commits: list[Commit], tree: Path
) -> None:
    injured(keeper, commits[2], SEEN["appended"], "file")
    engine.fsck(repair=True)
    before = described(tree)
    done = commit(engine, "sound")
    assert described(keeper.frozen("v", done.id)) == before
    if not is_subvolume(keeper.frozen("v", done.id)):  # else each subvolume has inodes of its own
        damaged = inodes(keeper.frozen("v", commits[2].id))
        assert not damaged & inodes(keeper.frozen("v", done.id))
    assert of(engine.fsck(), done) == []
    engine.reset("v", done.id)


def test_a_state_that_is_made_from_a_damaged_commit_is_refused(
    engine: Engine, keeper: Keeper, commits: list[Commit], tree: Path
) -> None:
    state(tree, "set aside")
    engine.reset("v")
    injured(keeper, commits[2], SEEN["truncated"])
    found = engine.fsck(repair=True)
    told = f".dvol/undo/master/00000001 can't be restored: commit {commits[2].id[:12]} is damaged"
    assert told in [one.problem for one in found]
    before = described(tree)
    with pytest.raises(DamagedCommit):
        engine.undo("v")
    with pytest.raises(DamagedCommit):
        engine.restore(engine.discarded()[0].entry, "back")
    assert before == described(tree)
    engine.reset("v", commits[0].id)


@anywhere
def test_marks_that_make_no_sense_are_found_and_hinder_no_commit(
    engine: Engine, keeper: Keeper, commits: list[Commit]
) -> None:
    path = keeper.pool / "v" / ".dvol" / "damaged.json"
    path.write_text("[1]")
    commit(engine)
    (found,) = engine.fsck()
    assert "damaged.json is corrupt" in found.problem
    assert [one.state for one in engine.fsck(repair=True)] == ["repaired"]
    assert not path.exists()


def test_gc_deletes_what_is_known_of_a_commit_with_it(engine: Engine, keeper: Keeper) -> None:
    commit(engine, "1")
    commit(engine, "2")
    engine.fsck(data=True)
    engine.reset("v", "HEAD^")
    engine.gc(now=True)
    own = keeper.pool / "v" / ".dvol"
    left = {path.name for kind in ("summaries", "digests") for path in (own / kind).iterdir()}
    assert left == {engine.log("v")[0].id}
