"""Pools of the original dvol open as they are; pools of a newer dvol are refused."""

import json
import os
import stat
from pathlib import Path

import pytest

from dvol.engine.docker_volumes import DockerVolumes
from dvol.engine.local import LocalEngine
from dvol.errors import BadDocument, NewerFormat, NoActiveVolume, NotAPool, PoolNotFound
from dvol.model import Branch
from dvol.pool.format import FORMAT
from tests.contract.conftest import Keep, anywhere
from tests.contract.original import ONE, THREE, TWO, go_pool, python_pool, write
from tests.contract.trees import described

ANN = "Ann <ann@example.org>"

# the content of a file does not depend on the file system: one kind is enough
pytestmark = anywhere


@pytest.fixture(params=[python_pool, go_pool], ids=["python", "go"])
def original(request: pytest.FixtureRequest, place: Path) -> Path:
    """The directory that holds `volumes`, a pool of the original."""
    return request.param(place)


def test_its_volumes_branches_and_commits_are_there(keep: Keep, original: Path) -> None:
    engine = keep(original).engine
    volumes = [(one.name, one.branch, one.commits, one.active) for one in engine.volumes()]
    assert volumes == [("bar", "master", 0, False), ("foo", "alpha", 3, True)]
    assert [Branch("alpha", THREE, True), Branch("master", TWO, False)] == engine.branches("foo")
    assert engine.active() == "foo"
    assert engine.log("bar") == []


def test_its_commits_have_neither_author_nor_date(keep: Keep, original: Path) -> None:
    log = keep(original).engine.log("foo")
    assert [(one.id, one.message, one.author, one.date) for one in log] == [
        (THREE, "m3", "", ""),
        (TWO, "m2", "", ""),
        (ONE, "m1", "", ""),
    ]


def test_reading_it_changes_nothing(original: Path) -> None:
    """On disk; a server marks its pool when it starts."""
    pool = original / "volumes"
    before = described(pool)
    engine = LocalEngine(pool)
    engine.volumes(), engine.log("foo"), engine.branches("bar"), engine.get("bar"), engine.active()
    engine.discarded(), engine.gc(now=True, dry_run=True)
    assert before == described(pool)


def test_its_trees_keep_their_mode(keep: Keep, original: Path) -> None:
    """The original forced 0777 on every tree, and Postgres refused to start."""
    keeper = keep(original)
    tree = keeper.tree("foo", "alpha")
    assert mode(tree) == 0o777
    tree.chmod(0o700)
    keeper.engine.commit("foo", "x", ANN)
    assert mode(tree) == 0o700
    keeper.engine.reset("foo")
    assert mode(tree) == 0o700


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_reset_brings_its_commits_back(keep: Keep, original: Path) -> None:
    keeper = keep(original)
    for revision, content in (("HEAD", "state 3"), ("HEAD^", "state 2"), ("1111", "state 1")):
        keeper.engine.reset("foo", revision)
        assert content == (keeper.tree("foo", "alpha") / "file").read_text()
    assert [one.message for one in keeper.engine.log("foo")] == ["m1"]
    assert [one.message for one in keeper.engine.log("foo", "master")] == ["m2", "m1"]


def test_its_history_goes_on(keep: Keep, original: Path) -> None:
    keeper = keep(original)
    done = keeper.engine.commit("foo", "m4", ANN)
    assert [one.message for one in keeper.engine.log("foo")] == ["m4", "m3", "m2", "m1"]
    assert (keeper.frozen("foo", done.id) / "file").read_text() == "live in alpha"
    keeper.engine.checkout("foo", "master")
    assert [one.message for one in keeper.engine.log("foo")] == ["m2", "m1"]
    keeper.engine.branch("foo", "beta")
    assert (keeper.tree("foo", "beta") / "file").read_text() == "state 2"
    keeper.engine.delete_branch("foo", "alpha")
    assert {ONE, TWO, done.id} < set(os.listdir(keeper.pool / "foo" / "commits"))


def test_a_first_commit_makes_its_missing_list(keep: Keep, original: Path) -> None:
    keeper = keep(original)
    done = keeper.engine.commit("bar", "first", ANN)
    listed = json.loads((keeper.pool / "bar" / "branches" / "master.json").read_text())
    assert [done.id] == [one["id"] for one in listed]


def test_its_volumes_can_be_removed(keep: Keep, original: Path) -> None:
    keeper = keep(original)
    keeper.engine.rm("foo")
    assert [one.name for one in keeper.engine.volumes()] == ["bar"]
    keeper.engine.init("foo")
    assert keeper.engine.log("foo") == []


@pytest.mark.parametrize("keep", ["disk"], indirect=True)
@pytest.mark.parametrize("original", [python_pool], indirect=True)
@pytest.mark.parametrize("name", ["a b", "bücher", "x" * 250, "a~b"])
def test_a_volume_whose_name_is_refused_today_stays_readable(
    keep: Keep, original: Path, name: str
) -> None:
    pool = original / "volumes"
    (pool / "foo").rename(pool / name)
    engine = keep(original).engine
    assert name in [one.name for one in engine.volumes()]
    assert [one.message for one in engine.log(name)] == ["m3", "m2", "m1"]
    engine.switch(name)
    assert engine.active() == name


@pytest.mark.parametrize("keep", ["disk"], indirect=True)
@pytest.mark.parametrize("original", [python_pool], indirect=True)
@pytest.mark.parametrize("name", ["a b", "HEAD", "x.json", "x" * 250, "bücher"])
def test_a_branch_whose_name_is_refused_today_stays_readable(
    keep: Keep, original: Path, name: str
) -> None:
    branches = original / "volumes" / "foo" / "branches"
    (branches / "master").rename(branches / name)
    (branches / "master.json").rename(branches / f"{name}.json")
    engine = keep(original).engine
    assert name in [one.name for one in engine.branches("foo")]
    engine.checkout("foo", name)
    assert [one.message for one in engine.log("foo")] == ["m2", "m1"]


def test_its_first_change_closes_it_to_others_and_marks_it(original: Path) -> None:
    pool = original / "volumes"
    pool.chmod(0o755)
    LocalEngine(pool).commit("foo", "x", ANN)
    assert mode(pool) == 0o700
    assert json.loads((pool / ".dvol" / "pool.json").read_text())["format"] == FORMAT


def test_a_pool_without_an_active_volume_has_none(keep: Keep, original: Path) -> None:
    (original / "volumes" / "current_volume.json").unlink()
    engine = keep(original).engine
    with pytest.raises(NoActiveVolume):
        engine.active()
    assert engine.get("foo").commits == 3


# -- newer pools, and what is no pool ----------------------------------------------------------

CHANGING = {
    "init": lambda pool: pool.init("w"),
    "create": lambda pool: DockerVolumes(pool.access).create("w"),
    "switch": lambda pool: pool.switch("v"),
    "rm": lambda pool: pool.rm("v"),
    "remove": lambda pool: DockerVolumes(pool.access).remove("v"),
    "commit": lambda pool: pool.commit("v", "x", ANN),
    "reset": lambda pool: pool.reset("v"),
    "undo": lambda pool: pool.undo("v"),
    "restore": lambda pool: pool.restore("00000000", "x"),
    "gc": lambda pool: pool.gc(now=True),
    "fsck": lambda pool: pool.fsck(repair=True),
    "branch": lambda pool: pool.branch("v", "side"),
    "checkout": lambda pool: pool.checkout("v", "master"),
    "delete_branch": lambda pool: pool.delete_branch("v", "master"),
}
READING = {
    "volumes": lambda pool: pool.volumes(),
    "get": lambda pool: pool.get("v"),
    "active": lambda pool: pool.active(),
    "log": lambda pool: pool.log("v"),
    "branches": lambda pool: pool.branches("v"),
    "discarded": lambda pool: pool.discarded(),
    "mount": lambda pool: DockerVolumes(pool.access).mount("v"),
    "tree": lambda pool: DockerVolumes(pool.access).tree("v"),
}
ALL = CHANGING | READING


@pytest.fixture
def pool(place: Path) -> LocalEngine:
    pool = LocalEngine(place / "volumes")
    pool.init("v")
    pool.commit("v", "x", ANN)
    return pool


@pytest.mark.parametrize("verb", ALL.values(), ids=ALL)
def test_a_newer_pool_is_refused_and_left_alone(pool: LocalEngine, verb) -> None:
    write(pool.root / ".dvol" / "pool.json", {"format": 999, "id": "x"})
    before = described(pool.root)
    with pytest.raises(NewerFormat, match="format 999"):
        verb(LocalEngine(pool.root))
    assert before == described(pool.root)


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}", '{"format": "x"}', '{"format": null}'])
def test_a_pool_of_unknown_format_is_corrupt(pool: LocalEngine, broken: str) -> None:
    (pool.root / ".dvol" / "pool.json").write_text(broken)
    before = described(pool.root)
    for verb in ALL.values():
        with pytest.raises(BadDocument, match=r"pool\.json"):
            verb(LocalEngine(pool.root))
    assert before == described(pool.root)


def test_a_marked_pool_keeps_its_id(pool: LocalEngine) -> None:
    before = (pool.root / ".dvol" / "pool.json").read_text()
    assert len(json.loads(before)["id"]) >= 16
    for verb in CHANGING.values():
        try:
            verb(LocalEngine(pool.root))
        except Exception:  # whether the verb is refused is not asked here
            continue
    assert before == (pool.root / ".dvol" / "pool.json").read_text()


@pytest.mark.parametrize("verb", (READING | {"commit": CHANGING["commit"]}).values())
def test_where_there_is_no_pool_none_is_made_in_passing(place: Path, verb) -> None:
    with pytest.raises(PoolNotFound, match="there is no pool at"):
        verb(LocalEngine(place / "nowhere"))
    assert os.listdir(place) == []


def test_the_first_volume_makes_the_pool_and_the_directories_above(place: Path) -> None:
    LocalEngine(place / "a" / "b").init("v")
    assert mode(place / "a" / "b") == 0o700


def test_an_empty_directory_becomes_a_pool(place: Path) -> None:
    (place / "lost+found").mkdir()
    LocalEngine(place).init("v")
    assert [one.name for one in LocalEngine(place).volumes()] == ["v"]


def test_a_directory_of_other_things_is_not_taken_over(place: Path) -> None:
    """As a mistyped --pool would."""
    (place / "thesis").mkdir()
    (place / "thesis" / "chapter-1").touch()
    before = described(place)
    with pytest.raises(NotAPool):
        LocalEngine(place).init("v")
    assert before == described(place)


def test_a_pool_may_be_given_by_a_symlink(pool: LocalEngine, place: Path) -> None:
    (place / "link").symlink_to(pool.root)
    LocalEngine(place / "link").init("w")
    assert [one.name for one in pool.volumes()] == ["v", "w"]
