"""Subvolumes as trees: what the one suite for all backends cannot ask."""

import errno
import mmap
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dvol.backends import Backend, FreezeHints, StagedReset, choose
from dvol.backends.btrfs import Btrfs
from dvol.backends.copy.copy import Copy
from dvol.errors import DiskFailed, NestedSubvolumes
from dvol.fs import btrfs
from dvol.fs.directories import opened_directory
from dvol.fs.syscalls import exchange
from dvol.journal.steps import Exchange
from tests.contract.backends import UNKNOWN, is_readonly, is_subvolume, make_readonly
from tests.contract.contents import ROOTS, attributes, hard_links, many, odd_names, times
from tests.contract.places import eventually
from tests.contract.trees import described
from tests.lab.filesystems import bound

pytestmark = [
    pytest.mark.root,
    pytest.mark.parametrize("filesystem", ["btrfs"], indirect=True, scope="session"),
]


@pytest.fixture
def backend(backend: Backend) -> Btrfs:
    assert isinstance(backend, Btrfs)
    return backend


@pytest.fixture
def tree(place: Path, backend: Btrfs) -> Path:
    backend.create(place / "tree")
    return place / "tree"


@pytest.fixture
def frozen(backend: Btrfs, tree: Path) -> Path:
    """A commit of a tree with a file."""
    (tree / "file").write_text("committed")
    backend.freeze(tree, tree.with_name("frozen"), UNKNOWN)
    return tree.with_name("frozen")


def plain(tree: Path) -> Path:
    """A commit as the copy backend made them."""
    commit = tree.with_name("plain")
    Copy().create(commit)
    for content in (many, hard_links, attributes, times):
        (commit / content.__name__).mkdir()
        content(commit / content.__name__)
    times(commit)
    return commit


def take(replacement: StagedReset) -> None:
    """The steps, as a journal would."""
    for step in replacement.steps:
        assert isinstance(step, Exchange)
        staged, live, new, old = step
        assert (Btrfs().identity(Path(staged)), Btrfs().identity(Path(live))) == (new, old)
        exchange(Path(staged), Path(live))
        assert (Btrfs().identity(Path(staged)), Btrfs().identity(Path(live))) == (old, new)


# -- choosing ----------------------------------------------------------------------------------


def test_it_is_chosen_on_btrfs_for_a_pool_to_be_too_and_leaves_nothing(place: Path) -> None:
    assert isinstance(choose(place / "not" / "yet"), Btrfs)
    assert os.listdir(place) == []


def test_without_the_right_to_ask_for_subvolumes_trees_are_copied(place: Path) -> None:
    script = "import sys; from pathlib import Path; from dvol.backends import Backend, choose; "
    script += "print(type(choose(Path(sys.argv[1]))).__name__)"
    argv = ["setpriv", "--bounding-set", "-sys_admin", sys.executable, "-c", script, str(place)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "Copy\n"


def test_trees_and_commits_are_subvolumes(backend: Btrfs, tree: Path, frozen: Path) -> None:
    backend.thaw(frozen, tree.with_name("restored"))
    assert is_subvolume(tree)
    assert is_subvolume(frozen)
    assert is_subvolume(tree.with_name("restored"))
    assert not is_readonly(tree.with_name("restored"))


def test_a_new_tree_inherits_nothing_from_where_it_is_made(backend: Btrfs, place: Path) -> None:
    os.chown(place, 0, 1234)
    place.chmod(0o2777)
    backend.create(place / "new")
    status = (place / "new").stat()
    assert (oct(status.st_mode), status.st_uid, status.st_gid) == ("0o40755", 0, 0)


# -- frozen ------------------------------------------------------------------------------------


def test_a_commit_cannot_be_written_to(frozen: Path) -> None:
    for change in (
        lambda: (frozen / "file").write_text("x"),
        lambda: (frozen / "new").touch(),
        lambda: (frozen / "file").unlink(),
        lambda: frozen.chmod(0o700),
    ):
        with pytest.raises(OSError) as error:
            change()
        assert error.value.errno == errno.EROFS


@pytest.mark.parametrize("deep", [False, True])
def test_nested_subvolumes_are_refused_by_name(backend: Btrfs, tree: Path, deep: bool) -> None:
    home = tree / "a" / "b" if deep else tree
    home.mkdir(parents=True, exist_ok=True)
    btrfs.create(home / "inner")
    (home / "inner" / "file").write_text("would be lost")
    btrfs.create(home / "inner" / "innermost")
    with pytest.raises(NestedSubvolumes) as error:
        backend.freeze(tree, tree.with_name("frozen"), UNKNOWN)
    path = "a/b/inner" if deep else "inner"
    assert error.value.subject == (str(tree), f"{path}, {path}/innermost")
    assert error.value.exit_code == 6
    assert os.listdir(tree.parent) == ["tree"]


def test_of_many_nested_subvolumes_a_few_are_named(backend: Btrfs, tree: Path) -> None:
    for number in range(40):
        btrfs.create(tree / f"{number:02}{'x' * 200}")
    with opened_directory(tree) as fd:
        assert {path[:2] for path in btrfs.nested(fd)} == {f"{n:02}" for n in range(40)}
    with pytest.raises(NestedSubvolumes) as error:
        backend.freeze(tree, tree.with_name("frozen"), UNKNOWN)
    assert error.value.subject[1].count(", ") == 3
    assert error.value.subject[1].endswith(", ...")


def test_nested_subvolumes_are_found_by_odd_names_and_beyond_long_paths(
    backend: Btrfs, tree: Path
) -> None:
    path = dig(tree, 40)
    with opened_directory(tree) as fd:
        assert list(btrfs.nested(fd)) == [f"{path}/{os.fsdecode(ODD)}"]
    with pytest.raises(NestedSubvolumes) as error:
        backend.freeze(tree, tree.with_name("frozen"), UNKNOWN)
    assert str(error.value).isprintable()


ODD = b"\xff\n" + b"o" * 253


def dig(tree: Path, depth: int) -> str:
    """A subvolume in a directory whose path is longer than PATH_MAX; the path."""
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 200, dir_fd=fd)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    btrfs.create(Path(f"/proc/self/fd/{fd}/{os.fsdecode(ODD)}"))
    os.close(fd)
    return "/".join(["d" * 200] * depth)


def test_one_made_and_gone_again_is_no_hindrance(backend: Btrfs, tree: Path) -> None:
    btrfs.create(tree / "inner")
    backend.delete(tree / "inner")
    backend.freeze(tree, tree.with_name("frozen"), UNKNOWN)


def test_a_commit_is_one_instant_for_who_syncs_while_writing(backend: Btrfs, tree: Path) -> None:
    """Each record is written after the one before it was synced, to another file."""
    ended = threading.Event()
    writer = threading.Thread(target=write_alternately, args=(tree, ended))
    writer.start()
    frozen = [tree.with_name(f"frozen{number}") for number in range(10)]
    try:
        eventually(lambda: (tree / "a").exists() and (tree / "a").stat().st_size > 0)
        for one in frozen:
            backend.freeze(tree, one, UNKNOWN)
    finally:
        ended.set()
        writer.join()
    counts = [len(consistent_records(one)) for one in frozen]
    assert counts == sorted(counts)
    assert counts[-1] > 0


def write_alternately(tree: Path, ended: threading.Event) -> None:
    fds = [os.open(tree / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for name in "ab"]
    number = 0
    while not ended.is_set():
        os.write(fds[number % 2], b"%07d\n" % number)
        os.fsync(fds[number % 2])
        number += 1
    for fd in fds:
        os.close(fd)


def consistent_records(tree: Path) -> list[int]:
    files = [tree / name for name in "ab" if (tree / name).exists()]
    records = sorted(int(line) for file in files for line in file.read_text().split())
    assert records == list(range(len(records)))
    return records


# -- plain directories -------------------------------------------------------------------------


def test_a_plain_commit_is_restored_as_a_subvolume(backend: Btrfs, tree: Path) -> None:
    commit = plain(tree)
    before = described(commit)
    backend.thaw(commit, tree.with_name("restored"))
    assert is_subvolume(tree.with_name("restored"))
    assert described(tree.with_name("restored")) == before
    assert described(commit) == before


@pytest.mark.parametrize("content", [odd_names, *ROOTS.values()])
def test_a_plain_commit_is_restored_faithfully(
    backend: Btrfs, tree: Path, content: Callable[[Path], None]
) -> None:
    commit = tree.with_name("plain")
    Copy().create(commit)
    (commit / ".links-1").mkdir()
    hard_links(commit / ".links-1")
    content(commit)
    backend.thaw(commit, tree.with_name("restored"))
    assert described(tree.with_name("restored")) == described(commit)


def test_a_plain_tree_is_frozen_as_the_copy_backend_does(backend: Btrfs, tree: Path) -> None:
    backend.freeze(plain(tree), tree.with_name("frozen"), UNKNOWN)
    assert not is_subvolume(tree.with_name("frozen"))
    assert described(tree.with_name("frozen")) == described(tree.with_name("plain"))


def test_a_plain_tree_is_frozen_though_nothing_can_be_linked_from_a_snapshot(
    backend: Btrfs, tree: Path
) -> None:
    live, commit = plain(tree), tree.with_name("commit")
    backend.thaw(live, tree.with_name("filled"))
    backend.freeze(tree.with_name("filled"), commit, UNKNOWN)
    past = FreezeHints(UNKNOWN.index_file, parent=commit)
    backend.require_space(live, past)
    backend.freeze(live, tree.with_name("frozen"), past)
    assert described(tree.with_name("frozen")) == described(commit) == described(live)


# -- replacing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("plain_commit", [False, True])
@pytest.mark.parametrize("plain_tree", [False, True])
def test_a_tree_is_replaced_and_what_was_discarded_is_built_again(
    backend: Btrfs, place: Path, plain_commit: bool, plain_tree: bool
) -> None:
    live, frozen, entry = (place / name for name in ("live", "frozen", "entry"))
    (Copy() if plain_tree or plain_commit else backend).create(live)
    many(live)
    backend.freeze(live, frozen, UNKNOWN)
    if plain_commit and not plain_tree:
        backend.delete(live)
        backend.thaw(frozen, live)
    times(live)
    discarded, committed = described(live), described(frozen)
    entry.mkdir()
    replacement = backend.stage_reset(frozen, live, entry, UNKNOWN)
    assert described(live) == discarded
    take(replacement)
    assert described(live) == committed
    backend.reconstruct(entry, replacement.changes, frozen, place / "rebuilt")
    assert described(place / "rebuilt") == discarded == described(entry / "tree")
    assert is_readonly(place / "rebuilt")


def test_a_tree_may_hold_subvolumes_when_it_is_replaced(
    backend: Btrfs, tree: Path, frozen: Path, place: Path
) -> None:
    btrfs.create(tree / "inner")
    (tree / "inner" / "file").write_text("kept")
    (place / "entry").mkdir()
    take(backend.stage_reset(frozen, tree, place / "entry", UNKNOWN))
    assert os.listdir(tree) == ["file"]
    assert (place / "entry" / "tree" / "inner" / "file").read_text() == "kept"


@pytest.fixture
def entry(place: Path) -> Path:
    """Where a replacement puts what it sets aside."""
    (place / "entry").mkdir()
    return place / "entry"


@pytest.fixture(params=["committed", "restored"])
def live(request: pytest.FixtureRequest, backend: Btrfs, tree: Path, frozen: Path) -> Path:
    """A tree that equals the frozen one: that was made of it, or it of that."""
    if request.param == "committed":
        return tree
    backend.thaw(frozen, tree.with_name("restored"))
    return tree.with_name("restored")


def test_a_replacement_by_what_is_there_already_is_empty(
    backend: Btrfs, live: Path, frozen: Path, entry: Path, place: Path
) -> None:
    replacement = backend.stage_reset(frozen, live, entry, UNKNOWN)
    assert replacement.steps == []
    assert os.listdir(entry) == []
    backend.reconstruct(entry, replacement.changes, frozen, place / "rebuilt")
    assert described(place / "rebuilt") == described(live)
    assert is_readonly(place / "rebuilt")
    assert backend.stage_reset(frozen, live, entry, UNKNOWN._replace(full=True)).steps


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"C")


def store(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:1] = b"C"


def punch(path: Path) -> None:
    subprocess.run(["fallocate", "--punch-hole", "-l", "4", path], check=True)


CHANGES: dict[str, Callable[[Path], None]] = {
    "write": overwrite,
    "store through mmap": store,
    "punch": punch,
    "chmod": lambda path: path.chmod(0o600),
    "times": lambda path: os.utime(path, (1, 1)),
    "attribute": lambda path: os.setxattr(path, "user.one", b"1"),
    "link": lambda path: os.link(path, path.with_name("linked")),
    "rename": lambda path: path.rename(path.with_name("renamed")),
    "unlink": lambda path: path.unlink(),
    "mkdir": lambda path: path.with_name("new").mkdir(),
    "root": lambda path: path.parent.chmod(0o700),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_makes_a_replacement(
    backend: Btrfs, live: Path, frozen: Path, entry: Path, change: str
) -> None:
    before = described(frozen)
    CHANGES[change](live / "file")
    take(backend.stage_reset(frozen, live, entry, UNKNOWN))
    assert described(live) == before


def test_a_tree_that_somebody_made_read_only_is_replaced(
    backend: Btrfs, tree: Path, frozen: Path, entry: Path
) -> None:
    make_readonly(tree)
    assert backend.stage_reset(frozen, tree, entry, UNKNOWN).steps


def test_trees_that_changed_together_are_not_the_same(
    backend: Btrfs, frozen: Path, entry: Path, place: Path
) -> None:
    """Their last change is of one transaction."""
    one, other = (place / name for name in ("one", "other"))
    for live in (one, other):
        backend.thaw(frozen, live)
    for mode, live in enumerate((one, other)):
        (live / "file").chmod(mode)
    backend.freeze(one, place / "committed", UNKNOWN)
    take(backend.stage_reset(place / "committed", other, entry, UNKNOWN))
    assert described(other) == described(one)


def test_what_is_written_while_a_commit_is_made_is_not_overlooked(
    backend: Btrfs, tree: Path, place: Path
) -> None:
    """It may be in memory only, and the time of its change be the snapshot's."""
    for number in range(50):
        ended = threading.Event()
        writer = threading.Thread(target=write_over, args=(tree / "file", ended))
        writer.start()
        frozen, entry = place / f"frozen{number}", place / f"entry{number}"
        try:
            backend.freeze(tree, frozen, UNKNOWN)
        finally:
            ended.set()
            writer.join()
        entry.mkdir()
        if not backend.stage_reset(frozen, tree, entry, UNKNOWN).steps:
            assert described(frozen) == described(tree)


def write_over(path: Path, ended: threading.Event) -> None:
    number = 0
    with path.open("wb", buffering=0) as file:
        while not ended.is_set():
            number += 1
            os.pwrite(file.fileno(), b"%07d" % number * 3000, 0)


# -- identity and moves ------------------------------------------------------------------------


def test_an_identity_survives_a_rename_and_is_nobody_elses(
    backend: Btrfs, tree: Path, frozen: Path
) -> None:
    (tree.parent / "plain").mkdir()
    before = {path: backend.identity(path) for path in (tree, frozen, tree.parent / "plain")}
    assert len(set(before.values())) == 3
    assert before[tree.parent / "plain"] == (tree.parent / "plain").stat().st_ino
    assert before[tree] < 0
    for path, identity in before.items():
        path.rename(path.with_name("other"))
        assert backend.identity(path.with_name("other")) == identity
        path.with_name("other").rename(path)
    with pytest.raises(FileNotFoundError):
        backend.identity(tree.parent / "nothing")


def test_a_commit_moves_and_cannot_be_written_to_afterwards(backend: Btrfs, frozen: Path) -> None:
    identity, before = backend.identity(frozen), described(frozen)
    (frozen.parent / "away").mkdir()
    moved = frozen.parent / "away" / "frozen"
    backend.move(frozen, moved)
    assert not frozen.exists()
    assert is_readonly(moved)
    assert (backend.identity(moved), described(moved)) == (identity, before)


def test_a_move_that_fails_changes_nothing(backend: Btrfs, frozen: Path) -> None:
    (frozen.parent / "away" / "frozen" / "full").mkdir(parents=True)
    with pytest.raises(OSError):
        backend.move(frozen, frozen.parent / "away" / "frozen")
    assert is_readonly(frozen)


# -- deleting ----------------------------------------------------------------------------------


def test_commits_and_directories_that_hold_trees_are_deleted(
    backend: Btrfs, tree: Path, frozen: Path
) -> None:
    """As they lie in the trash: commits/<id>, volume/branches/<name>, volume/commits/<id>."""
    entry = tree.with_name("entry")
    for number, home in enumerate(("commits", "volume/branches", "volume/commits")):
        (entry / home).mkdir(parents=True)
        (entry / home / "plain" / "directory").mkdir(parents=True)
        backend.freeze(tree, entry / home / str(number), UNKNOWN)
        backend.thaw(frozen, entry / home / ".deleting-1")
        btrfs.create(entry / home / ".deleting-1" / "inner")
    backend.delete(entry)
    backend.delete(frozen)
    assert os.listdir(tree.parent) == ["tree"]


def test_a_tree_with_subvolumes_in_it_is_deleted(backend: Btrfs, tree: Path) -> None:
    (tree / "directory" / "deep").mkdir(parents=True)
    for home in (tree, tree / "directory", tree / "directory" / "deep"):
        for name in ("one", "two", ".deleting-1", os.fsdecode(ODD)):
            btrfs.create(home / name)
            (home / name / "file").touch()
    for inner in (tree / "one", tree / "one" / "inner", tree / "one" / "inner" / "in"):
        inner.mkdir(exist_ok=True)
        btrfs.create(inner / "inner")
        (inner / "inner" / "file").touch()
    make_readonly(tree / "one" / "inner" / "inner")
    make_readonly(tree / "one" / "inner")
    make_readonly(tree / "two")
    make_readonly(tree)
    backend.delete(tree)
    assert not tree.exists()


def test_a_subvolume_beyond_long_paths_is_deleted_with_its_tree(backend: Btrfs, tree: Path) -> None:
    dig(tree, 40)
    backend.delete(tree)
    assert not tree.exists()


def test_subvolumes_in_subvolumes_are_deleted_with_few_descriptors(
    backend: Btrfs, tree: Path
) -> None:
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(150):
        btrfs.create(Path(f"/proc/self/fd/{fd}/{'inner' * 10}"))
        inner = os.open("inner" * 10, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, hard))
    try:
        backend.delete(tree)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not tree.exists()


def test_no_symlink_is_followed_to_a_subvolume(backend: Btrfs, tree: Path) -> None:
    other = tree.with_name("other")
    backend.create(other)
    btrfs.create(other / "inner")
    (other / "inner" / "file").write_text("not yours")
    for link in (tree / "link", tree / "inner"):
        link.symlink_to(other)
    btrfs.create(tree / "real")
    backend.delete(tree)
    assert (other / "inner" / "file").read_text() == "not yours"


def of_tree(tree: Path) -> Path:
    (tree / "mounted point").mkdir()
    return tree / "mounted point"


def of_nested(tree: Path) -> Path:
    btrfs.create(tree / "inner")
    (tree / "inner" / "directory").mkdir()
    return tree / "inner" / "directory"


def on_tree(tree: Path) -> Path:
    return tree


def on_nested(tree: Path) -> Path:
    btrfs.create(tree / "inner")
    return tree / "inner"


def in_plain(tree: Path) -> Path:
    tree.rmdir()
    (tree / "directory").mkdir(parents=True)
    return tree / "directory"


def on_plain(tree: Path) -> Path:
    tree.rmdir()
    tree.mkdir()
    return tree


@pytest.mark.parametrize("kind", ["subvolume", "directory", "directory of another"])
@pytest.mark.parametrize(
    "where", [of_tree, of_nested, on_tree, on_nested, in_plain, on_plain], ids=lambda f: f.__name__
)
def test_what_is_mounted_is_neither_emptied_nor_detached(
    backend: Btrfs, tree: Path, where: Callable[[Path], Path], kind: str
) -> None:
    """The same file system, so that no device number tells."""
    other = tree.with_name("other")
    (os.mkdir if kind == "directory" else backend.create)(other)
    if kind == "directory of another":
        other = other / "directory"
        other.mkdir()
    (other / "file").write_text("not yours")
    point = where(tree)
    with bound(other, point):
        with pytest.raises(OSError) as error:
            backend.delete(tree)
        assert error.value.errno == errno.EBUSY
        assert os.path.ismount(point) or (point / "file").samefile(other / "file")
    assert (other / "file").read_text() == "not yours"
    backend.delete(tree)
    assert not tree.exists()


# -- an older snapshot of the pool ----------------------------------------------------------------


@pytest.fixture
def older(backend: Btrfs, place: Path) -> Path:
    """A pool in a snapshot that somebody made of all: its trees are not in it."""
    backend.create(place / "all")
    backend.create(place / "all" / "tree")
    (place / "all" / "tree" / "file").write_text("x")
    backend.freeze(place / "all" / "tree", place / "all" / "frozen", UNKNOWN)
    with opened_directory(place / "all") as fd:
        btrfs.snapshot(fd, place / "older", readonly=False)
    return place / "older"


def test_a_tree_that_is_not_in_the_snapshot_is_no_empty_tree(backend: Btrfs, older: Path) -> None:
    assert os.listdir(older / "frozen") == []
    with pytest.raises(DiskFailed, match="not in this snapshot"):
        backend.thaw(older / "frozen", older / "restored")
    with pytest.raises(DiskFailed, match="not in this snapshot"):
        backend.freeze(older / "tree", older / "again", UNKNOWN)
    assert sorted(os.listdir(older)) == ["frozen", "tree"]


def test_what_stands_for_such_a_tree_can_be_deleted(backend: Btrfs, older: Path) -> None:
    backend.delete(older / "frozen")
    assert os.listdir(older) == ["tree"]
    plain = older.with_name("directory")
    plain.mkdir()
    subprocess.run(["cp", "-a", "--reflink=auto", older, plain / "copy"], check=True)
    backend.delete(older)
    assert not older.exists()


def test_a_placeholder_within_a_directory_is_deleted(backend: Btrfs, place: Path) -> None:
    backend.create(place / "all")
    (place / "all" / "directory").mkdir()
    btrfs.create(place / "all" / "directory" / "inner")
    with opened_directory(place / "all") as fd:
        btrfs.snapshot(fd, place / "older", readonly=False)
    backend.delete(place / "older" / "directory")
    assert os.listdir(place / "older") == []


def test_no_descriptor_is_left_open(backend: Btrfs, tree: Path, frozen: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    btrfs.create(tree / "inner")
    with pytest.raises(NestedSubvolumes):
        backend.freeze(tree, tree.with_name("again"), UNKNOWN)
    backend.thaw(frozen, tree.with_name("restored"))
    backend.thaw(plain(tree), tree.with_name("filled"))
    backend.move(frozen, tree / "moved")
    for name in ("tree", "restored", "filled", "plain"):
        backend.delete(tree.with_name(name))
    assert set(os.listdir("/proc/self/fd")) == before
