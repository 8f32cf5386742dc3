"""A commit names what it can't hold: files behind symbolic links that lead out of the tree, and
what is mounted in it."""

from pathlib import Path

import pytest

from dvol.containers import NoContainers
from dvol.engine.local import LocalEngine
from dvol.errors import PathOccupied, printable
from tests.lab.filesystems import bound
from tests.protocol.standin import container, standing_in

ANN = "Ann <ann@example.org>"
INSIDE = {
    "beside": "file",
    "below": "d/file",
    "above": "d/../file",
    "the root": ".",
    "dangling": "no such file",
    "the image's": "/usr/share/zoneinfo/UTC",
    "a device": "/dev/stdout",
}
OUTSIDE = {
    "absolute": "/srv/tablespace",
    "relative": "../../tablespace",
    "through itself": "d/../../x",
    "the root directory": "/",
    "nearly the mount": "/data2/file",
    "control characters": "/srv/\n\x1b[2Jx",
}


@pytest.fixture
def pool(place: Path, told: list[str]) -> LocalEngine:
    pool = LocalEngine(place / "pool", NoContainers(certain=True), told.append)
    pool.init("v")
    return pool


@pytest.fixture
def tree(pool: LocalEngine, place: Path) -> Path:
    return place / "pool" / "v" / "branches" / "master"


def warned(told: list[str]) -> list[str]:
    """What was said about links since it was asked last."""
    found = [line for line in told if "links" in line]
    told.clear()
    return found


@pytest.mark.parametrize("target", INSIDE.values(), ids=INSIDE)
def test_a_link_within_the_tree_is_no_news(
    pool: LocalEngine, tree: Path, told: list[str], target: str
) -> None:
    (tree / "link").symlink_to(target)
    pool.commit("v", "1", ANN)
    assert warned(told) == []


@pytest.mark.parametrize("target", OUTSIDE.values(), ids=OUTSIDE)
def test_a_link_that_leads_out_is_named_at_each_commit(
    pool: LocalEngine, tree: Path, told: list[str], target: str
) -> None:
    """Also at a commit for which nothing of the tree was read."""
    (tree / "link").symlink_to(target)
    expected = "warning: links in v lead to files that no commit of it holds: "
    expected += f"link -> {printable(target)}"
    for message in ("1", "2"):
        pool.commit("v", message, ANN)
        assert warned(told) == [expected]
    (tree / "link").unlink()
    pool.commit("v", "3", ANN)
    assert warned(told) == []


@pytest.mark.parametrize("home", ["", "data", "pgdata", "18/docker"])
def test_tablespaces_are_named(pool: LocalEngine, tree: Path, told: list[str], home: str) -> None:
    """On btrfs too, where a commit walks no tree. Of many three are named."""
    spaces = tree / home / "pg_tblspc"
    spaces.mkdir(parents=True)
    for number in range(5):
        (spaces / f"1638{number}").symlink_to(f"/tablespaces/{number}")
    pool.commit("v", "1", ANN)
    (line,) = warned(told)
    path = f"{home}/pg_tblspc".lstrip("/")
    assert line.count(f"{path}/1638") == 3
    assert line.endswith(", 2 more")


def test_a_relative_link_below_is_followed_from_where_it_is(
    pool: LocalEngine, tree: Path, told: list[str]
) -> None:
    (tree / "pg_tblspc").mkdir()
    (tree / "pg_tblspc" / "inside").symlink_to("../file")
    (tree / "pg_tblspc" / "out").symlink_to("../../file")
    pool.commit("v", "1", ANN)
    (line,) = warned(told)
    assert line.endswith(": pg_tblspc/out -> ../../file")


def test_a_path_of_the_container_may_lead_back_into_the_tree(
    short_dir: Path, tmp_path: Path, told: list[str]
) -> None:
    with standing_in(short_dir / "docker.sock") as docker:
        pool = LocalEngine(tmp_path / "pool", docker.asked_by(), told.append)
        pool.init("v")
        tree = tmp_path / "pool" / "v" / "branches" / "master"
        docker.containers = [container("c", "v", Destination="/var/data")]
        (tree / "inside").symlink_to("/var/data/file")
        (tree / "back").symlink_to("../data/file")
        (tree / "outside").symlink_to("/var/data2/file")
        (tree / "above").symlink_to("../data2")
        pool.commit("v", "1", ANN)
    (line,) = warned(told)
    assert line.partition("holds: ")[2] in (
        "outside -> /var/data2/file, above -> ../data2",
        "above -> ../data2, outside -> /var/data2/file",
    )


@pytest.mark.root
def test_a_commit_is_refused_where_something_is_mounted(
    pool: LocalEngine, tree: Path, tmp_path: Path
) -> None:
    """No commit could hold it, and no reset could be made beneath it."""
    (tree / "d").mkdir()
    with bound(tmp_path, tree / "d"), pytest.raises(PathOccupied, match=r"mounted at .+/d is"):
        pool.commit("v", "1", ANN)
    assert pool.log("v") == []
    pool.commit("v", "1", ANN)
