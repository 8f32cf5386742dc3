"""What a commit records about who wrote the data, and the warning before data comes under an image
of another version, told by a stand-in for Docker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dvol.engine.local import LocalEngine
from dvol.engine.remote import _fact
from dvol.errors import ContainerBusy, WouldBeRemoved
from dvol.fs.locks import exclusive
from dvol.layout import PoolLayout
from dvol.model import Commit, ContainerOptions, Writer, as_plain
from tests.protocol.standin import Container, Engine, container, standing_in

ANN = "Ann <ann@example.org>"
ID = "sha256:" + "1" * 64
DIGEST = "postgres@sha256:" + "2" * 64
WARNED = "holds data of PostgreSQL 15, and /pg runs PostgreSQL 17, image postgres:17"


@pytest.fixture
def docker(short_dir: Path) -> Iterator[Engine]:
    with standing_in(short_dir / "docker.sock") as engine:
        engine.images = {ID: ["mirror@sha256:" + "3" * 64, DIGEST]}
        yield engine


@pytest.fixture
def open_pool(docker: Engine, tmp_path: Path, told: list[str]) -> Callable[..., LocalEngine]:
    """A pool in this process with a volume `v`, and Docker beside it."""

    def opened(**options: str) -> LocalEngine:
        asked = docker.asked_by()
        given = ContainerOptions(**options)  # type: ignore[arg-type]
        return LocalEngine(tmp_path / "pool", asked, told.append, options=given)

    opened().init("v")
    return opened


@pytest.fixture
def pool(open_pool: Callable[..., LocalEngine]) -> LocalEngine:
    return open_pool()


def server(major: str, name: str = "pg", **mount: object) -> Container:
    """A container of PostgreSQL's official image."""
    made = container(name, "v", Destination="/var/lib/postgresql/data", **mount)
    image = {"Image": f"postgres:{major}", "ImageID": ID, "Env": [f"PG_MAJOR={major}"]}
    return {**made, **image}


def holds(pool: LocalEngine, major: str, branch: str = "master") -> None:
    """The live tree's data is of that version."""
    (pool.root / "v/branches" / branch / "PG_VERSION").write_text(f"{major}\n")


def warnings(told: list[str]) -> list[str]:
    return [line for line in told if line.startswith("warning: ") and "holds data" in line]


def test_a_commit_records_who_wrote_and_which_data(pool: LocalEngine, docker: Engine) -> None:
    docker.containers = [server("17"), server("17", "reader", RW=False), container("w", "w")]
    holds(pool, "17")
    made = pool.commit("v", "x", ANN)
    path = "/var/lib/postgresql/data"
    assert made.writers == (Writer("/pg", "postgres:17", DIGEST, path, "PostgreSQL 17"),)
    assert made.data == "PostgreSQL 17"
    assert pool.log("v") == [made]
    pool.commit("v", "y", ANN)
    pool.reset("v", "HEAD~1")
    pool.undo("v")
    assert pool.log("v")[1] == made


@pytest.mark.parametrize("mode", ["stop", "pause"])
def test_a_commit_in_each_mode_records_it(
    open_pool: Callable[..., LocalEngine], docker: Engine, mode: str
) -> None:
    docker.containers = [server("17")]
    assert [one.name for one in open_pool(mode=mode).commit("v", "x", ANN).writers] == ["/pg"]


def test_the_commits_of_several_volumes_record_each_its_own(
    pool: LocalEngine, docker: Engine
) -> None:
    pool.init("w")
    docker.containers = [server("17"), container("cache", "w")]
    holds(pool, "17")
    made = pool.commit_group(["v", "w"], "", "x", ANN)
    assert [one.name for one in made["v"].writers] == ["/pg"]
    assert [one.name for one in made["w"].writers] == ["/cache"]
    assert (made["v"].data, made["w"].data) == ("PostgreSQL 17", "")


def test_an_image_without_a_digest_is_recorded_by_its_id(pool: LocalEngine, docker: Engine) -> None:
    docker.containers = [server("17")]
    docker.images = {}  # 404
    assert pool.commit("v", "x", ANN).writers[0].digest == ID
    docker.images = {ID: []}
    assert pool.commit("v", "x", ANN).writers[0].digest == ID


def test_a_commit_does_not_fail_where_docker_stops_to_answer(
    pool: LocalEngine, docker: Engine
) -> None:
    docker.containers = [server("17")]
    docker.hangs_at = "/images/"
    [writer] = pool.commit("v", "x", ANN).writers
    assert (writer.image, writer.digest) == ("postgres:17", ID)
    assert docker.done[-1] == "start pg"


def test_the_digest_is_asked_for_when_the_containers_run_again(
    pool: LocalEngine, docker: Engine
) -> None:
    docker.containers = [server("17")]
    running: list[bool] = []
    docker.on_image = lambda: running.append("start pg" in docker.done)
    pool.commit("v", "x", ANN)
    assert running == [True]


def test_without_containers_only_the_data_is_known(pool: LocalEngine, docker: Engine) -> None:
    holds(pool, "15")
    made = pool.commit("v", "x", ANN)
    assert (made.writers, made.data) == ((), "PostgreSQL 15")
    assert not [one for one in docker.asked if "/images/" in one]


def test_the_command_on_the_host_gets_it_all(pool: LocalEngine, docker: Engine) -> None:
    docker.containers = [server("17")]
    made = pool.commit("v", "x", ANN)
    answer = json.loads(json.dumps(as_plain(made)))
    assert _fact(Commit, answer) == made
    older = {name: value for name, value in answer.items() if name not in ("writers", "data")}
    assert _fact(Commit, older) == made._replace(writers=(), data="")


@pytest.fixture
def upgraded(pool: LocalEngine, docker: Engine) -> LocalEngine:
    """A commit of PostgreSQL 15, then one of 17, which runs now."""
    holds(pool, "15")
    pool.commit("v", "fifteen", ANN)
    pool.branch("v", "old")
    pool.checkout("v", "master")
    holds(pool, "17")
    pool.commit("v", "seventeen", ANN)
    docker.containers = [server("17")]
    return pool


def test_a_reset_to_data_of_another_version_warns_before_it_ends_anybody(
    upgraded: LocalEngine, told: list[str]
) -> None:
    commit = upgraded.reset("v", "HEAD~1")
    [line] = warnings(told)
    assert f"commit {commit.id[:7]} of v {WARNED}" in line
    ended = [at for at, each in enumerate(told) if each.startswith("killed")]
    assert told.index(line) < ended[0]


def test_an_undo_to_data_of_another_version_warns(
    upgraded: LocalEngine, docker: Engine, told: list[str]
) -> None:
    upgraded.reset("v", "HEAD~1")
    docker.containers = [server("15")]
    told.clear()
    upgraded.undo("v")
    [line] = warnings(told)
    assert "the state of v to be restored holds data of PostgreSQL 17, and /pg runs" in line
    assert told.index(line) == 0


def test_a_checkout_of_data_of_another_version_warns(
    upgraded: LocalEngine, told: list[str]
) -> None:
    upgraded.checkout("v", "old")
    [line] = warnings(told)
    assert f"branch 'old' of v {WARNED}" in line
    assert told.index(line) == 0


def test_a_new_branch_of_data_of_another_version_warns(
    upgraded: LocalEngine, told: list[str]
) -> None:
    upgraded.branch("v", "older", "HEAD~1")
    [line] = warnings(told)
    assert f"of v {WARNED}" in line
    assert told.index(line) == 0


def test_data_that_fits_is_not_warned_of(
    upgraded: LocalEngine, docker: Engine, told: list[str]
) -> None:
    upgraded.reset("v")
    docker.containers = [server("15")]
    upgraded.reset("v", "HEAD~1")
    upgraded.checkout("v", "old")
    docker.containers = [server("17", RW=False), server("17", "other", Name="w")]
    upgraded.checkout("v", "master")
    upgraded.reset("v")
    docker.containers = []
    upgraded.checkout("v", "old")
    assert warnings(told) == []


REFUSED: list[Callable[[LocalEngine], object]] = [
    lambda pool: pool.reset("v", "HEAD~1"),
    lambda pool: pool.checkout("v", "old"),
    lambda pool: pool.branch("v", "older", "HEAD~1"),
]


def test_a_refused_verb_warns_of_nothing(
    upgraded: LocalEngine, docker: Engine, told: list[str]
) -> None:
    """A refusal is one line."""
    docker.containers = [{**server("17"), "HostConfig": {"AutoRemove": True}}]
    told.clear()
    for verb in REFUSED:
        with pytest.raises(WouldBeRemoved, match="--rm"):
            verb(upgraded)
    assert told == []


def test_a_verb_that_finds_a_container_busy_warns_of_nothing(
    upgraded: LocalEngine, docker: Engine, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvol.engine.quiesce.OTHERS_TIMEOUT", 0)
    locks = PoolLayout(upgraded.root)
    with exclusive(locks.container_lock(docker.containers[0]["Id"]), "commit", 0):
        for verb in REFUSED:
            with pytest.raises(ContainerBusy):
                verb(upgraded)
    assert warnings(told) == []


def test_a_note_of_an_earlier_build_is_undone_without_a_warning(
    upgraded: LocalEngine, docker: Engine, told: list[str]
) -> None:
    upgraded.reset("v", "HEAD~1")
    [note] = (upgraded.root / "v/.dvol/undo/master").glob("*/entry.json")
    document = json.loads(note.read_text())
    assert document.pop("data") == [["PostgreSQL", "17"]]
    note.write_text(json.dumps(document))
    docker.containers = [server("15")]
    told.clear()
    upgraded.undo("v")
    assert warnings(told) == []
