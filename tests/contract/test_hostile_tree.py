"""What containers may put into a tree, and do to it while dvol walks: nothing outside the pool is
read, written or deleted, nothing holds a verb for good, and whatever can be kept comes back."""

import os
import random
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dvol.errors import Bug, DvolError
from dvol.tree.delete import delete_tree
from tests.contract.beneath_files import disk
from tests.contract.places import environment, eventually
from tests.contract.trees import described
from tests.contract.unchanged import ANN, DISKS, Volume, inode, made

pytestmark = pytest.mark.root
SECRET = "outside of any pool"
SWAPS = 20_000
LONG_AGO = 10**18
TIB = 1 << 40

# -- swapped while we walk ---------------------------------------------------------------------


@pytest.fixture
def outside(place: Path) -> Path:
    """On the same file system, with all the names that are in the tree."""
    outside = place / "outside"
    for directory in ("", "d/sub", "e/sub", "sub/sub"):
        (outside / directory).mkdir(parents=True, exist_ok=True)
    for directory in (outside, *[path for path in outside.rglob("*") if path.is_dir()]):
        for name in ("f", "g", "h"):
            (directory / name).write_text(SECRET)
    make_unread(outside)
    return outside


def make_unread(outside: Path) -> None:
    """Such that a mere look shows: relatime notes it where the last one is older than a change."""
    for path in sorted(outside.rglob("*"), reverse=True):
        os.utime(path, ns=(LONG_AGO, LONG_AGO + 1))
    os.utime(outside, ns=(LONG_AGO, LONG_AGO + 1))


def facts(outside: Path) -> object:
    """All by which one could see that somebody was there."""
    seen = described(outside, accessed=True)
    stats = [os.lstat(os.fsencode(outside) + path) for path in seen]
    return seen, [(status.st_ino, status.st_ctime_ns, status.st_nlink) for status in stats]


@DISKS
@pytest.mark.parametrize("look", [lambda path: (path / "f").read_bytes(), os.listdir])
def test_whoever_looks_outside_is_seen(outside: Path, look: Callable[[Path], object]) -> None:
    """Else the tests below would show nothing."""
    before = facts(outside)
    assert facts(outside) == before
    look(outside / "d")
    assert facts(outside) != before


def fill(tree: Path, outside: Path) -> None:
    """Directories and files, each beside what it will be swapped for."""
    for directory in (tree / "d/sub", tree / "e/sub"):
        directory.mkdir(parents=True)
    for directory in (tree, tree / "d", tree / "e", tree / "d/sub", tree / "e/sub"):
        for number in range(30):
            (directory / str(number)).write_text("inside")
            (directory / f"x{number}").write_text("inside")
            (directory / f"x{number}.out").symlink_to(outside / "f")
        for name in ("f", "g", "h"):
            (directory / name).write_text("inside")
        (directory / "f.out").symlink_to(outside / "f")
        os.mkfifo(directory / "g.out")
        os.mknod(directory / "h.out", stat.S_IFCHR | 0o600, os.makedev(1, 7))  # /dev/full
    (tree / "d/sub.out").symlink_to(outside / "sub")
    (tree / "e/sub.out").write_text("a file")
    for name in ("d", "e"):  # last, since from here on a path may lead out
        (tree / f"{name}.out").symlink_to(outside / name)


@contextmanager
def racing(tree: Path, place: Path, what: str = "some") -> Iterator[Callable[[], int]]:
    """Swap all that is in the tree, all the time; yields how to ask how often that was."""
    counter = place / "counter"
    counter.write_bytes(bytes(4096))
    argv = [sys.executable, "-m", "tests.contract.racer", what, str(tree), str(counter)]
    with subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        try:
            yield lambda: int.from_bytes(counter.read_bytes()[:8], "little")
        finally:
            process.kill()


Verb = Callable[[Volume, Path], object]


def change(volume: Volume, outside: Path) -> None:
    """By hand, wherever a path leads within the tree now."""
    for name in ("0", "d/1", "e/sub/2"):
        fd = os.open(volume.tree, os.O_RDONLY)
        with suppress(OSError):
            for component in name.split("/")[:-1]:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                inner = os.open(component, flags, dir_fd=fd)
                os.close(fd)
                fd = inner
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
            file = os.open(name.split("/")[-1], flags, dir_fd=fd)
            os.pwrite(file, os.urandom(6), 0)
            os.close(file)
        os.close(fd)


def new_branch(volume: Volume, outside: Path) -> None:
    volume.pool.branch("v", "b")
    volume.pool.checkout("v", "master")
    volume.pool.delete_branch("v", "b")


def removed(volume: Volume, outside: Path) -> None:
    """And deleted for good, while it goes on in there."""
    volume.pool.rm("v")
    volume.pool.init("v")
    fill(volume.tree, outside)
    volume.pool.commit("v", "the first", ANN)
    volume.pool.gc(now=True)


VERBS: dict[str, Verb] = {
    "commit": lambda volume, _: volume.commit(),
    "full commit": lambda volume, _: volume.commit(full=True),
    "reset": lambda volume, _: volume.reset(),
    "reset back": lambda volume, _: volume.reset("HEAD^"),
    "undo": lambda volume, _: volume.undo(),
    "change": change,
    "branch": new_branch,
    "rm": removed,
    "gc": lambda volume, _: volume.pool.gc(now=True),
    "log": lambda volume, _: volume.pool.log("v"),
}
OFTEN = ["commit", "full commit", "reset", "reset back", "undo", "change"]


def taken(verb: Verb, volume: Volume, outside: Path) -> bool:
    """Whether a verb succeeds; it may fail, but only as dvol fails."""
    try:
        verb(volume, outside)
    except DvolError as error:
        if error.exit_code == Bug.exit_code:
            raise
        return False
    return True


@DISKS
@pytest.mark.slow
def test_swaps_under_our_feet_lead_nowhere(place: Path, outside: Path) -> None:
    volume = made(place, ended=False)
    fill(volume.tree, outside)
    volume.commit()
    before, done = facts(outside), dict.fromkeys(VERBS, 0)
    with racing(volume.root / "branches/master", place) as swaps:
        deadline = time.monotonic() + 4
        while swaps() < SWAPS or time.monotonic() < deadline or not is_enough(done):
            assert time.monotonic() < deadline + 60, done
            verb = random.choice(OFTEN if random.random() < 0.85 else list(VERBS))
            done[verb] += taken(VERBS[verb], volume, outside)
    assert facts(outside) == before
    assert_nothing_came_in(place / "volumes", outside)
    assert_usable(volume, outside)


def is_enough(done: dict[str, int]) -> bool:
    """Not only failed."""
    return all(done[verb] >= 3 for verb in ("commit", "reset", "undo"))


def assert_nothing_came_in(pool: Path, outside: Path) -> None:
    """Into no tree, live or frozen, discarded or lost."""
    theirs = {inode(path) for path in outside.rglob("*")}
    for path in pool.rglob("*"):
        status = os.lstat(path)
        assert status.st_ino not in theirs, path
        if stat.S_ISREG(status.st_mode):
            assert SECRET.encode() not in path.read_bytes(), path


def assert_usable(volume: Volume, outside: Path) -> None:
    """Once it is over, and with whatever it has left behind."""
    state = described(volume.tree)
    assert described(volume.commit()) == state
    change(volume, outside)
    changed = described(volume.tree)
    volume.reset()
    assert described(volume.tree) == state
    volume.undo()
    assert described(volume.tree) == changed
    volume.assert_apart()
    assert not list(volume.root.glob(".dvol/journal.json"))


@DISKS
@pytest.mark.slow
def test_what_is_being_deleted_leads_nowhere(place: Path, outside: Path) -> None:
    """Its directories are still open to whoever had them open."""
    before = facts(outside)
    volume = made(place)
    fill(volume.tree, outside)
    with racing(volume.root / "branches/master", place) as swaps:
        deadline = time.monotonic() + 3
        while swaps() < SWAPS or time.monotonic() < deadline:
            taken(removed, volume, outside)
            if not volume.root.exists():
                volume.pool.init("v")
    assert facts(outside) == before
    assert_nothing_came_in(place / "volumes", outside)
    volume.pool.rm("v")
    volume.pool.gc(now=True)
    assert os.listdir(volume.pool.root / ".dvol/garbage") == []


@DISKS
@pytest.mark.slow
def test_files_swapped_while_they_are_read_lead_nowhere(place: Path, outside: Path) -> None:
    """Many at once, and as fast as can be."""
    volume = made(place, ended=False)
    for number in range(200):
        (volume.tree / str(number)).write_text("inside")
        (volume.tree / f"{number}.out").symlink_to(outside / "f")
    volume.commit()
    before, verbs = facts(outside), [VERBS["commit"], VERBS["full commit"], VERBS["reset"]]
    with racing(volume.tree, place, "everything") as swaps:
        for verb in 20 * verbs:
            taken(verb, volume, outside)
        eventually(lambda: swaps() >= SWAPS)
    assert facts(outside) == before
    assert_nothing_came_in(place / "volumes", outside)


@DISKS
@pytest.mark.slow
def test_directories_swapped_while_they_are_deleted_lead_nowhere(
    place: Path, outside: Path
) -> None:
    """Many at once, for as long as there are any."""
    before, swapped = facts(outside), 0
    while swapped < 2 * SWAPS:
        tree = place / "tree"
        for number in range(200):
            (tree / str(number) / "sub").mkdir(parents=True)
            (tree / str(number) / "f").touch()
            (tree / f"{number}.out").symlink_to(outside / "d")
        with racing(tree, place, "everything") as swaps:
            eventually(lambda swaps=swaps: swaps() > 1000)
            while tree.exists():
                with suppress(OSError):
                    delete_tree(tree)
            swapped += swaps()
    assert facts(outside) == before


# -- large, deep, odd --------------------------------------------------------------------------


def assert_survives(volume: Volume, change: Callable[[Path], object]) -> None:
    """Every verb, and what is left is nothing."""
    state = described(volume.tree)
    assert described(volume.commit()) == state
    change(volume.tree)
    changed = described(volume.tree)
    assert changed != state
    volume.reset()
    assert described(volume.tree) == state
    volume.undo()
    assert described(volume.tree) == changed
    volume.pool.branch("v", "b")
    assert described(volume.tree) == state
    volume.assert_apart()
    volume.pool.rm("v")
    volume.pool.gc(now=True)
    assert os.listdir(volume.pool.root / ".dvol/garbage") == []


def dig(tree: Path, name: str, depth: int) -> int:
    """Directories within directories; the innermost, open."""
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    return fd


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Few at first, as usual. A walk takes three a level; some machines allow fewer to anyone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 10_000:
        pytest.skip(f"only {hard} open files are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@DISKS
@pytest.mark.slow
@pytest.mark.usefixtures("many_descriptors")
def test_a_tree_of_depth_3000_survives_every_verb(place: Path) -> None:
    volume = made(place)
    inner = dig(volume.tree, "d", 3000)

    def change(tree: Path) -> None:
        os.close(os.open("new", os.O_WRONLY | os.O_CREAT, dir_fd=inner))
        os.unlink("file", dir_fd=inner)
        os.close(inner)

    assert_survives(volume, change)


@DISKS
@pytest.mark.slow
def test_a_new_tree_of_depth_3000_is_discarded_and_brought_back(place: Path) -> None:
    volume = made(place)
    assert_survives(volume, lambda tree: os.close(dig(tree, "d", 3000)))


@pytest.mark.slow
def test_a_directory_of_100_000_entries_survives_every_verb() -> None:
    with disk("ext4", 8 << 30) as own:  # as large, for as many inodes
        assert_many_survive(made(own.root))


def assert_many_survive(volume: Volume) -> None:
    fd = os.open(volume.tree, os.O_RDONLY)
    for number in range(100_000):
        os.symlink(".", f"entry {number}", dir_fd=fd)
    names = set(os.listdir(fd))
    assert set(os.listdir(volume.commit())) == names
    for number in range(50_000):
        os.unlink(f"entry {number}", dir_fd=fd)
    os.close(fd)
    volume.reset()
    assert set(os.listdir(volume.tree)) == names
    volume.undo()
    assert len(os.listdir(volume.tree)) == 50_000
    volume.pool.branch("v", "b")
    assert set(os.listdir(volume.tree)) == names
    volume.pool.rm("v")
    volume.pool.gc(now=True)
    assert os.listdir(volume.pool.root / ".dvol/garbage") == []


def long_names(tree: Path) -> None:
    for name in ("n" * 255, os.fsdecode(b"\xff" * 255), "\n" * 255, "ü" * 127):
        (tree / name).mkdir()
        (tree / name / name).write_text("x")
        (tree / name / (name[:-4] + ".tmp")).symlink_to(name)


def sparse(tree: Path) -> None:
    with (tree / "huge").open("wb") as file:
        for at in (0, TIB // 3, TIB - 4):
            file.seek(at)
            file.write(b"data")


def fifo(tree: Path) -> None:
    """Nobody writes to it, so that opening it would take forever."""
    os.mkfifo(tree / "fifo")
    (tree / "d").mkdir()
    os.mkfifo(tree / "d/fifo", 0o600)


def devices(tree: Path) -> None:
    """Some of which do something when they are opened, or never end."""
    for name, number in (
        ("zero", (1, 5)),
        ("random", (1, 8)),
        ("tty", (5, 0)),
        ("watch", (10, 130)),
    ):
        os.mknod(tree / name, stat.S_IFCHR | 0o666, os.makedev(*number))
    os.mknod(tree / "loop", stat.S_IFBLK | 0o660, os.makedev(7, 0))


def one_changed(tree: Path) -> None:
    """The huge file in one block, any other in its time."""
    for path in sorted(tree.rglob("*")):
        if path.name == "huge":
            with path.open("r+b") as file:
                file.seek(TIB // 2)
                file.write(b"changed")
        else:
            os.utime(path, ns=(1, 2), follow_symlinks=False)


def all_gone(tree: Path) -> None:
    for path in sorted(tree.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@DISKS
@pytest.mark.parametrize("change", [one_changed, all_gone])
@pytest.mark.parametrize("content", [long_names, sparse, fifo, devices])
def test_what_is_odd_survives_every_verb(
    place: Path, content: Callable[[Path], None], change: Callable[[Path], None]
) -> None:
    volume = made(place)
    content(volume.tree)
    assert_survives(volume, change)
