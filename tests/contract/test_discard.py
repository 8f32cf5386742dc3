"""A reset that discards: no undo entry is made and none pushed out, and where no copy fits, it
deletes first and then copies. That can be interrupted anywhere, and is completed by the next verb.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dvol.backends.btrfs import Btrfs
from dvol.backends.copy.copy import Copy
from dvol.backends.copy.thaw import Thawer
from dvol.containers import NoContainers
from dvol.engine import Engine
from dvol.engine.docker_volumes import DockerVolumes
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from dvol.errors import (
    DiscardStopped,
    Interrupted,
    NoSpace,
    NoSpaceToFinish,
    NothingToUndo,
    PathOccupied,
    UnfinishedDiscard,
)
from tests.contract.differences import DIFFERENCES, Change, fill
from tests.contract.inode_flags import set_flags, without_the_right
from tests.contract.places import Keeper
from tests.contract.trees import described
from tests.contract.unchanged import ALL, Volume, made
from tests.contract.verbs import ANN, commit, content, messages, state
from tests.lab import Unavailable
from tests.lab.filesystems import bound, mounted
from tests.protocol.standin import container, standing_in

MIB = 1 << 20
BIG = {"ext4": 16 * MIB, "xfs": 80 * MIB}  # bytes of a file that fits twice, but not three times
SIZE = {"ext4": 64 * MIB, "xfs": 400 * MIB}


def entries(engine: Engine) -> list[str]:
    return [one.entry for one in engine.discarded()]


# -- where there is room -----------------------------------------------------------------------


def test_what_is_discarded_leaves_no_entry_and_no_file(
    keeper: Keeper, engine: Engine, tree: Path
) -> None:
    state(tree, "1")
    commit(engine, "1")
    state(tree, "precious to nobody")
    assert engine.reset("v", discard=True).message == "1"
    assert content(tree) == "1"
    assert entries(engine) == []
    with pytest.raises(NothingToUndo):
        engine.undo("v")
    LocalEngine(keeper.pool).gc()  # a server deletes garbage in the background
    assert not [*keeper.pool.glob(".dvol/garbage/*"), *keeper.pool.glob("v/.dvol/staging/*")]
    assert engine.fsck() == []


def test_entries_of_earlier_resets_are_not_pushed_out(engine: Engine, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    state(tree, "a day of work")
    engine.reset("v")
    before = entries(engine)
    for number in range(12):
        state(tree, f"ruin {number}")
        engine.reset("v", discard=True)
    assert entries(engine) == before
    engine.undo("v")
    assert content(tree) == "a day of work"


def test_commits_are_never_discarded(keeper: Keeper, engine: Engine, tree: Path) -> None:
    for text in ("1", "2"):
        state(tree, text)
        commit(engine, text)
    second = engine.log("v")[0].id
    engine.reset("v", "HEAD^", discard=True)
    assert messages(engine) == ["1"]
    assert (keeper.frozen("v", second) / "file").read_text() == "2"


def test_a_discarding_reset_to_what_is_there_changes_nothing(engine: Engine, tree: Path) -> None:
    state(tree, "1")
    commit(engine, "1")
    before = described(tree)
    engine.reset("v", discard=True)
    assert described(tree) == before


def test_several_volumes_are_discarded_as_one(two_volumes: Keeper) -> None:
    engine = two_volumes.engine
    before = entries(engine)
    engine.commit_group(["v", "w"], "", "both", ANN)
    for name in ("v", "w"):
        state(two_volumes.tree(name), "ruin")
    engine.reset_group(["v", "w"], "", discard=True)
    assert not (two_volumes.tree("w") / "file").exists()
    assert entries(engine) == before


# -- the refill itself, on each file system ----------------------------------------------------


@pytest.fixture
def volume(place: Path) -> Volume:
    volume = made(place)
    fill(volume.tree)
    return volume


def refilled(volume: Volume, frozen: Path, backend: Copy | Btrfs | None = None) -> None:
    aside = volume.root / ".dvol" / "staging" / "aside"
    aside.mkdir(parents=True, exist_ok=True)
    (backend or Copy()).refill(frozen, volume.tree, volume.index, aside)
    assert os.listdir(aside) == []
    aside.rmdir()


@ALL
@pytest.mark.parametrize("change", DIFFERENCES.values(), ids=DIFFERENCES)
def test_every_difference_is_refilled(volume: Volume, change: Change) -> None:
    frozen = volume.known()
    before = described(volume.tree)
    change(volume.tree)
    assert described(volume.tree) != before
    refilled(volume, frozen)
    assert described(volume.tree) == before
    volume.assert_apart()
    refilled(volume, frozen)
    assert described(volume.tree) == before


@ALL
def test_a_commit_after_a_refill_keeps_what_is_there(volume: Volume) -> None:
    """The index that was there before stays, and must not claim too much."""
    frozen = volume.known()
    for change in (DIFFERENCES["content_only"], DIFFERENCES["links_broken"]):
        change(volume.tree)
    refilled(volume, frozen)
    assert described(volume.commit()) == described(volume.tree)
    assert volume.pool.fsck() == []


@pytest.mark.parametrize(
    "filesystem", [pytest.param("btrfs", marks=pytest.mark.root)], indirect=True, scope="session"
)
def test_btrfs_refills_plain_directories(place: Path) -> None:
    frozen, tree = place / "frozen", place / "tree"
    for one in (frozen, tree):
        one.mkdir()
        fill(one)
    DIFFERENCES["directory_attributes_and_files"](tree)
    DIFFERENCES["links_broken"](tree)
    (place / "aside").mkdir()
    Btrfs().refill(frozen, tree, place / "no-index", place / "aside")
    assert described(tree) == described(frozen)


def test_no_link_is_followed_and_nothing_outside_is_deleted(place: Path) -> None:
    volume = made(place)
    (volume.tree / "d").mkdir()
    (volume.tree / "d" / "file").write_text("committed")
    frozen = volume.commit()
    outside = place / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    (volume.tree / "d" / "file").unlink()
    (volume.tree / "d").rmdir()
    (volume.tree / "d").symlink_to(outside)
    (volume.tree / "too").symlink_to(outside / "file")
    refilled(volume, frozen)
    assert (outside / "file").read_text() == "precious"
    assert (volume.tree / "d" / "file").read_text() == "committed"
    assert not (volume.tree / "too").is_symlink()


@pytest.mark.root
@pytest.mark.parametrize("filesystem", ["dir"], indirect=True, scope="session")
def test_what_is_mounted_in_the_tree_is_refused_and_untouched(place: Path) -> None:
    volume = made(place)
    frozen = volume.commit()
    (volume.tree / "point").mkdir()
    (place / "mounted").mkdir()
    (place / "mounted" / "file").write_text("precious")
    with bound(place / "mounted", volume.tree / "point"), pytest.raises(PathOccupied):
        refilled(volume, frozen)
    assert (place / "mounted" / "file").read_text() == "precious"


# -- on a disk without room --------------------------------------------------------------------


class Full:
    """A volume on a small disk, whose large file was overwritten: no second copy fits."""

    def __init__(self, root: Path, kind: str) -> None:
        self.root = root
        self.big = BIG[kind]
        self.pool = self.opened()
        self.pool.init("v")
        fill(self.tree)
        (self.tree / "big").write_bytes(os.urandom(self.big))
        os.setxattr(self.tree / "big", "user.one", b"1")
        self.commit = self.pool.commit("v", "1", ANN).id
        self.committed = described(self.tree)

    def opened(self) -> LocalEngine:
        return LocalEngine(self.root / "volumes", NoContainers(certain=True))

    @property
    def tree(self) -> Path:
        return self.root / "volumes/v/branches/master"

    @property
    def journal(self) -> Path:
        return self.root / "volumes/v/.dvol/journal.json"

    @property
    def free(self) -> int:
        left = os.statvfs(self.root)
        return left.f_bavail * left.f_frsize

    def ruin(self, size: int) -> None:
        """Other content, of so many bytes in the large file."""
        (self.tree / "big").write_bytes(os.urandom(size))
        for change in ("content_only", "links_broken", "extra", "directory_attributes"):
            DIFFERENCES[change](self.tree)

    def leave(self, free: int, name: str = "filler") -> Path:
        """Leave so many bytes free; returns the file that takes the others."""
        filler = self.root / name
        fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
        os.posix_fallocate(fd, 0, self.free - free)
        os.close(fd)
        os.sync()
        return filler

    def leave_half_reset(self) -> None:
        """A discarding reset whose process dies before it deletes anything."""
        child = os.fork()
        if child == 0:
            Copy.refill = lambda *paths: os._exit(9)  # type: ignore[method-assign,assignment]
            try:
                self.opened().reset("v", discard=True)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert self.journal.exists()

    def assert_reset(self) -> None:
        assert described(self.tree) == self.committed
        assert not self.journal.exists()
        volumes = self.root / "volumes"
        self.pool.gc()
        assert not [*volumes.glob("v/.dvol/staging/*"), *volumes.glob(".dvol/garbage/*")]
        assert self.pool.fsck() == []


@pytest.fixture(params=["ext4", "xfs"])
def full(request: pytest.FixtureRequest) -> Iterator[Full]:
    with ExitStack() as undo:
        try:
            root = undo.enter_context(mounted(request.param, SIZE[request.param], clones=False))
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield Full(root, request.param)


@pytest.mark.root
def test_where_no_copy_fits_a_discarding_reset_needs_no_room(full: Full) -> None:
    full.ruin(full.big)
    full.leave(2 * MIB)
    ruined = described(full.tree)
    with pytest.raises(NoSpace, match=r"reset of 'v': it needs .* 'dvol reset --hard --discard'"):
        full.pool.reset("v")
    assert described(full.tree) == ruined
    full.pool.reset("v", discard=True)
    full.assert_reset()
    assert entries(full.pool) == []
    full.pool.commit("v", "links what was refilled", ANN)


@pytest.mark.root
def test_of_several_volumes_only_those_without_room_are_refilled(full: Full) -> None:
    full.pool.init("w")
    other = full.root / "volumes/w/branches/master"
    state(other, "committed")
    full.pool.commit_group(["v", "w"], "", "both", ANN)
    full.committed = described(full.tree)
    full.ruin(full.big)
    state(other, "ruin")
    full.leave(3 * MIB)
    with pytest.raises(NoSpace):
        full.pool.reset_group(["v", "w"], "")
    assert content(other) == "ruin"
    full.pool.reset_group(["v", "w"], "", discard=True)
    assert content(other) == "committed"
    full.assert_reset()


@pytest.mark.root
def test_a_list_that_changes_too_is_put_in_place(full: Full) -> None:
    (full.tree / "later").write_text("later")
    full.pool.commit("v", "2", ANN)
    full.ruin(full.big)
    full.leave(2 * MIB)
    full.pool.reset("v", "HEAD^", discard=True)
    assert messages(full.pool) == ["1"]
    assert described(full.tree) == full.committed
    assert not full.journal.exists()


@pytest.mark.root
def test_a_commit_that_would_not_fit_either_is_refused_and_nothing_changed(full: Full) -> None:
    full.ruin(MIB)
    full.leave(2 * MIB)
    ruined = described(full.tree)
    with pytest.raises(NoSpace, match="reset of 'v': it needs"):
        full.pool.reset("v", discard=True)
    assert described(full.tree) == ruined
    assert not full.journal.exists()
    assert not os.listdir(full.root / "volumes/v/.dvol/staging")


@pytest.fixture
def half_reset(full: Full) -> Full:
    """A discarding reset whose process died, and which has just the room it needs."""
    full.ruin(0)
    full.leave(full.big + MIB // 2)
    full.leave_half_reset()
    return full


def without_room(pool: LocalEngine) -> None:
    """The reset is completed all the same."""
    with pytest.raises(NoSpace, match="commit of 'v'"):
        pool.commit("v", "next", ANN)


Changing = Callable[[LocalEngine], object]
CHANGING: dict[str, Changing] = {
    "reset": lambda pool: pool.reset("v", discard=True),
    "commit": lambda pool: without_room(pool),
    "config": lambda pool: pool.config("v", "commit.mode", "pause"),
    "server": lambda pool: [*Recovery(pool.access).clear_staging()],
}


@pytest.mark.root
@pytest.mark.parametrize("verb", CHANGING.values(), ids=CHANGING)
def test_a_verb_that_changes_the_volume_completes_it_first(
    half_reset: Full, verb: Changing
) -> None:
    verb(half_reset.pool)
    half_reset.assert_reset()
    DockerVolumes(half_reset.pool.access).mount("v")


@pytest.mark.root
def test_while_it_is_unfinished_reading_goes_on_and_nothing_copies(half_reset: Full) -> None:
    pool, before = half_reset.pool, described(half_reset.tree)
    volumes = DockerVolumes(pool.access)
    assert messages(pool) == ["1"]
    assert [one.problem for one in pool.volumes()] == [""]
    assert volumes.describe("v").commits == 1
    assert list(Recovery(pool.access).complete_journals()) == []
    with pytest.raises(UnfinishedDiscard, match="'dvol reset --hard --discard HEAD v'"):
        volumes.mount("v")
    assert [(one.volume, one.state) for one in pool.fsck()] == [("v", "busy")]
    assert pool.gc(now=True) == []
    assert described(half_reset.tree) == before
    assert half_reset.journal.exists()


@pytest.mark.root
def test_without_room_it_says_so_and_the_next_try_completes_it(half_reset: Full) -> None:
    taken = half_reset.leave(MIB, "taken")
    way = r"it needs .* more, .* are free; .* 'dvol reset --hard --discard HEAD v' completes it"
    for _ in range(2):
        with pytest.raises(NoSpaceToFinish, match=way):
            half_reset.pool.reset("v", discard=True)
        assert half_reset.journal.exists()
    [error] = Recovery(half_reset.pool.access).clear_staging()
    assert isinstance(error, NoSpaceToFinish)
    with pytest.raises(UnfinishedDiscard):
        DockerVolumes(half_reset.pool.access).mount("v")
    taken.unlink()
    half_reset.pool.reset("v", discard=True)
    half_reset.assert_reset()


@pytest.mark.root
def test_gc_makes_the_room_that_is_missing(half_reset: Full) -> None:
    """It must not need what it is to make."""
    removed = half_reset.root / "volumes/w/branches/master"
    half_reset.pool.init("w")
    with (removed / "file").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, half_reset.free - MIB)
    half_reset.pool.rm("w")
    with pytest.raises(NoSpaceToFinish):
        half_reset.pool.commit("v", "next", ANN)
    half_reset.pool.gc(now=True)
    half_reset.pool.reset("v", discard=True)
    half_reset.assert_reset()


@pytest.mark.root
def test_it_can_be_removed_and_restored(half_reset: Full) -> None:
    taken = half_reset.leave(MIB, "taken")
    half_reset.pool.rm("v")
    assert half_reset.pool.volumes() == []
    half_reset.pool.restore(entries(half_reset.pool)[0])
    assert half_reset.journal.exists()
    taken.unlink()
    half_reset.pool.reset("v", discard=True)
    half_reset.assert_reset()


@pytest.mark.root
def test_what_can_not_be_deleted_is_named_and_can_be_put_right(half_reset: Full) -> None:
    half_reset.leave(4 * MIB, "taken").unlink()
    (half_reset.tree / "point").mkdir()
    with bound(half_reset.root / "volumes", half_reset.tree / "point"):
        with pytest.raises(DiscardStopped, match=r"'v' is unfinished: .*/point is in the way"):
            half_reset.pool.reset("v", discard=True)
        assert half_reset.journal.exists()
    half_reset.pool.reset("v", discard=True)
    half_reset.assert_reset()


@pytest.mark.root
def test_a_file_that_refuses_to_go_is_named(full: Full) -> None:
    full.ruin(full.big)
    full.leave(2 * MIB)
    with stuck(full.tree / "new"):
        with pytest.raises(DiscardStopped, match=r"'v' is unfinished: .*/new.* immutable"):
            full.pool.reset("v", discard=True)
        assert full.journal.exists()
    full.pool.reset("v", discard=True)
    full.assert_reset()


@pytest.mark.root
def test_ctrl_c_leaves_it_to_the_next_try(full: Full, monkeypatch: pytest.MonkeyPatch) -> None:
    """To copy may take minutes, for which nobody should have to wait."""
    full.ruin(full.big)
    full.leave(2 * MIB)
    with monkeypatch.context() as patch:
        patch.setattr(Thawer, "place_one", interrupted)
        with pytest.raises(Interrupted, match="unfinished: 'dvol reset --hard --discard' again"):
            full.pool.reset("v", discard=True)
    assert full.journal.exists()
    full.pool.reset("v", discard=True)
    full.assert_reset()


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def stuck(path: Path) -> Iterator[None]:
    """A file or directory that can't be changed, nor can what is in it be deleted."""
    set_flags(path, "i")
    try:
        with without_the_right():
            yield
    finally:
        set_flags(path, "")


# -- its containers ----------------------------------------------------------------------------


@pytest.mark.root
def test_containers_stay_stopped_until_it_is_completed(full: Full, short_dir: Path) -> None:
    """They could not mount the volume; they are started by the verb that completes it."""
    full.ruin(full.big)
    full.leave(2 * MIB)
    said: list[str] = []
    with standing_in(short_dir / "docker.sock") as docker:
        docker.containers = [container("db", "v")]
        asked = docker.asked_by()
        pool = LocalEngine(full.root / "volumes", asked, said.append)
        with stuck(full.tree / "new"):
            with pytest.raises(DiscardStopped):
                pool.reset("v", discard=True)
            assert docker.done == ["kill db"]
            assert "warning: /db is not started again until the reset of v is completed" in said
            assert not Recovery(pool.access).resume(asked)
            with pytest.raises(DiscardStopped):
                pool.commit("v", "next", ANN)
            assert docker.done == ["kill db"]
        pool.reset("v", discard=True)
    assert docker.done == ["kill db", "start db", "kill db", "start db"]
    assert not (full.root / "volumes/v/.dvol/suspended.json").exists()
    full.assert_reset()


@pytest.mark.root
def test_containers_run_again_once_the_server_has_completed_it(full: Full, short_dir: Path) -> None:
    full.ruin(full.big)
    full.leave(2 * MIB)
    with standing_in(short_dir / "docker.sock") as docker:
        docker.containers = [container("db", "v")]
        asked = docker.asked_by()
        pool = LocalEngine(full.root / "volumes", asked)
        with stuck(full.tree / "new"), pytest.raises(DiscardStopped):
            pool.reset("v", discard=True)
        recovery = Recovery(pool.access)
        assert list(recovery.clear_staging()) == []
        assert recovery.resume(asked)
    assert docker.done == ["kill db", "start db"]
    full.assert_reset()
