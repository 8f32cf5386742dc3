"""Pools that an earlier dvol wrote open as they are, whatever was unfinished in them.

`earlier` holds these pools, and what the dvol that wrote them made of them: whichever verb comes
first, the dvol of today completes what is unfinished to the same, and loses nothing. That
earlier dvol in turn refuses a pool of a format that came after it.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dvol.containers import NoContainers
from dvol.engine.docker_volumes import DockerVolumes
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from tests.contract.earlier.answers import (
    ANN,
    ASKED,
    digest,
    listed,
    restored,
    seen,
    tree,
    volume,
)
from tests.contract.earlier.expectations import expected
from tests.contract.earlier.images import ZIP, bench, copied, unpacked
from tests.contract.places import environment
from tests.contract.trees import described
from tests.lab import Unavailable
from tests.protocol.standin import Container, Engine, container, standing_in

pytestmark = pytest.mark.root
EXPECTED = expected()
GARBAGE = ("doomed", "garbage")  # what is being deleted, as it was called and is
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")
Copy = Callable[[str], Path]

each_pool = pytest.mark.parametrize("name", EXPECTED)


def opened(pool: Path, containers: Any = None) -> LocalEngine:
    """A keeper that knows nothing of the pool yet; nobody uses its volumes, unless it is said."""
    return LocalEngine(pool, containers or NoContainers(certain=True))


def resumed(engine: LocalEngine) -> bool:
    """Whether all containers run that dead verbs had ended, as the server starts them."""
    return Recovery(engine.access).resume(engine.containers)


@pytest.fixture(scope="session")
def copy() -> Iterator[Copy]:
    """A copy of all pools for each way to open them: no test changes what another one looks at."""
    with ExitStack() as undo:
        try:
            image = unpacked(undo.enter_context(bench()))
            yield cache(lambda way: undo.enter_context(copied(image, way)))
        except Unavailable as reason:
            pytest.skip(str(reason))


def volumes(name: str) -> dict[str, Any]:
    """The volumes that a pool has once it is completed."""
    return EXPECTED[name]["seen"]["volumes"]


# -- the pools themselves --------------------------------------------------------------------------


@each_pool
def test_a_pool_holds_the_unfinished_work_that_it_is_named_for(copy: Copy, name: str) -> None:
    """Else the tests below would hold nothing."""
    pool = copy("untouched") / name
    journals = [path for path in pool.rglob("journal.json") if path.parent.name == ".dvol"]
    is_staged = any(listed(own / "staging") for own in pool.rglob(".dvol"))
    dying = ("-journal", "-half", "-times", "-dress", "-last", "-discard")
    assert len(journals) == (name == "ended" or name.endswith(dying))
    assert is_staged or not name.startswith("staged-")


def test_all_kinds_of_steps_and_of_files_are_left_in_them(copy: Copy) -> None:
    root = copy("untouched")
    journals = [json.loads(path.read_text()) for path in root.rglob("journal.json")]
    assert {one["format"] for one in journals} == {1}
    kinds = {step[0] for one in journals for step in one["steps"]}
    assert kinds == {"exchange", "move", "dress", "times", "discard"}
    named = {path.name for path in root.rglob("*.json")}
    assert {"line.json", "ended.json", "entry.json"} <= named
    assert [path for name in ("whole", "undo-unswept") for path in waste(root / name)]


def waste(pool: Path) -> list[str]:
    """What is to be deleted and still there."""
    return [name for garbage in GARBAGE for name in listed(pool / ".dvol" / garbage)]


def leavings(pool: Path) -> list[Path]:
    """What dead verbs have left in volumes: staged, or to be completed."""
    own = [path for path in pool.glob("*/.dvol") if path.parent.name != ".dvol"]
    staged = [one / "staging" / name for one in own for name in listed(one / "staging")]
    lost = [path for one in own for path in one.glob("lost-*")]
    return staged + lost + [one / "journal.json" for one in own if (one / "journal.json").exists()]


# -- opened by a verb that changes nothing ---------------------------------------------------------


def _log(engine: LocalEngine, name: str) -> None:
    for one in volumes(name):
        engine.log(one)


def _mount(engine: LocalEngine, name: str) -> None:
    for one, facts in volumes(name).items():
        mounted = DockerVolumes(engine.access).mount(one)
        assert mounted == engine.root / one / "branches" / facts["current"]
        assert tree(mounted) == facts["branches"][facts["current"]]["tree"]


def _start(engine: LocalEngine, name: str) -> None:
    """What a server does before it listens, and after."""
    recovery = Recovery(engine.access)
    assert [*recovery.complete_journals(), *recovery.clear_staging()] == []
    recovery.collect_garbage()
    assert (leavings(engine.root), listed(engine.root / ".dvol" / "staging")) == ([], [])
    assert waste(engine.root) == []


READING: dict[str, Callable[[LocalEngine, str], object]] = {
    "log": _log,
    "list": lambda engine, name: engine.volumes(),
    "get": lambda engine, name: [engine.get(one) for one in volumes(name)],
    "branches": lambda engine, name: [engine.branches(one) for one in volumes(name)],
    "discarded": lambda engine, name: engine.discarded(),
    "mount": _mount,
    "names": lambda engine, name: DockerVolumes(engine.access).names(),
    "start": _start,
    "bring_back": lambda engine, name: resumed(engine),
}


@pytest.mark.parametrize("way", READING)
@each_pool
def test_a_reader_sees_it_completed(copy: Copy, name: str, way: str) -> None:
    engine = opened(copy(way) / name)
    READING[way](engine, name)
    assert EXPECTED[name]["seen"] == seen(engine, engine.root)


# -- opened by a verb that changes something -------------------------------------------------------


@pytest.mark.parametrize("question", [one for one in ASKED if one != "seen"])
@each_pool
def test_what_was_discarded_is_as_the_earlier_one_left_it(
    copy: Copy, name: str, question: str
) -> None:
    """It is undone, restored, collected and checked to the same."""
    pool = copy(question) / name
    found = ASKED[question](opened(pool), pool)
    assert EXPECTED[name][question] == as_before(question, found, EXPECTED[name][question])


def as_before(question: str, found: Any, before: Any) -> Any:
    """The answer without the commits that are in no list: before format 3 they lay in entries, and
    went with these. Those that were in `commits` then are all still there."""
    if question == "collected":
        return [[one for one in each if one[1] != "drop"] for each in found]
    if question == "undone":
        frozen = {
            volume: {id: one for id, one in trees.items() if id in before["frozen"][volume]}
            for volume, trees in found["frozen"].items()
        }
        return found | {"frozen": frozen}
    return found


@each_pool
def test_it_is_restored_before_anything_else_is_asked(copy: Copy, name: str) -> None:
    pool = copy("restore") / name
    entries = [entry for entry, *_ in EXPECTED[name]["seen"]["discarded"]]
    assert EXPECTED[name]["restored"] == restored(opened(pool), pool, entries)


@each_pool
def test_a_commit_is_added_and_nothing_else_is_changed(copy: Copy, name: str) -> None:
    engine = opened(copy("commit") / name)
    for one, before in volumes(name).items():
        commit = engine.commit(one, "after", ANN)
        after = volume(engine, engine.root, one)
        added = after["branches"][before["current"]]
        assert added["commits"].pop() == commit.id
        assert after["frozen"].pop(commit.id) == digest(added["tree"])
        assert after["history"].pop(commit.id)[0] == "after"
        assert before == after
        assert {*listed(engine.root / one / "commits")} >= {*before["history"], commit.id}
        assert [finding.problem for finding in engine.fsck(one)] == []
    assert leavings(engine.root) == []


@each_pool
def test_a_reset_is_undone_and_nothing_is_lost(copy: Copy, name: str) -> None:
    engine = opened(copy("reset") / name)
    for one, before in volumes(name).items():
        if before["branches"][before["current"]]["commits"]:
            engine.reset(one)
            if before["branches"] != volume(engine, engine.root, one)["branches"]:
                engine.undo(one)
        assert before == volume(engine, engine.root, one)


@each_pool
def test_volumes_are_removed_and_restored(copy: Copy, name: str) -> None:
    engine = opened(copy("rm") / name)
    for one in volumes(name):
        engine.rm(one)
    assert engine.volumes() == []
    for one in engine.discarded():
        if one.verb == "rm" and one.volume in volumes(name):
            engine.restore(one.entry)
    assert volumes(name) == seen(engine, engine.root)["volumes"]


@each_pool
def test_a_volume_is_made_beside_the_others(copy: Copy, name: str) -> None:
    engine = opened(copy("init") / name)
    engine.init("another")
    assert listed(engine.root / ".dvol" / "staging") == []
    after = seen(engine, engine.root)
    assert after["active"] == "another"
    after["volumes"].pop("another")
    assert volumes(name) == after["volumes"]


@pytest.mark.parametrize("now", [False, True])
@each_pool
def test_gc_sweeps_what_was_doomed_and_keeps_what_is_live(copy: Copy, name: str, now: bool) -> None:
    """Without `now` what is freed depends on the day."""
    engine = opened(copy(f"gc-{now}") / name)
    engine.gc(now=now)
    assert volumes(name) == seen(engine, engine.root)["volumes"]
    engine.gc(now=now)  # what a dead verb had still to do was perhaps done after the first
    assert waste(engine.root) == []
    if now:
        assert engine.discarded() == []


# -- containers that dead verbs had ended ----------------------------------------------------------


@pytest.fixture
def docker(short_dir: Path) -> Iterator[Engine]:
    with standing_in(short_dir / "docker.sock") as engine:
        engine.containers = ended()
        yield engine


def ended() -> list[Container]:
    """As the notes in the pool `ended` name them."""
    volumes = {"db": "v", "one": "x", "two": "x", "web": "w", "cache": "y"}
    states = {"two": "paused"}
    return [container(name, one, states.get(name, "exited")) for name, one in volumes.items()]


def beside(docker: Engine, pool: Path) -> LocalEngine:
    return opened(pool, docker.asked_by())


def test_containers_that_dead_verbs_had_ended_are_started(copy: Copy, docker: Engine) -> None:
    engine = beside(docker, copy("docker") / "ended")
    assert resumed(engine)
    assert set(docker.done) == {"start db", "start one", "unpause two", "start web"}
    assert resumed(engine)
    assert len(docker.done) == 4


def test_those_of_a_volume_are_started_by_a_verb_that_changes_it(
    copy: Copy, docker: Engine
) -> None:
    engine = beside(docker, copy("docker commit") / "ended")
    engine.commit("w", "after", ANN)
    assert docker.done == ["start web", "stop web", "start web"]


def test_those_of_a_volume_in_the_trash_are_started_once_it_is_back(
    copy: Copy, docker: Engine
) -> None:
    engine = beside(docker, copy("docker restore") / "ended")
    [entry] = [one.entry for one in engine.discarded() if one.verb == "rm"]
    engine.restore(entry)
    docker.done.clear()
    assert resumed(engine)
    assert "start cache" in docker.done


def test_notes_stay_until_docker_is_asked(copy: Copy, docker: Engine) -> None:
    pool = copy("docker later") / "ended"
    for one in volumes("ended"):
        opened(pool).commit(one, "without Docker", ANN)
    assert resumed(beside(docker, pool))
    assert set(docker.done) == {"start db", "start one", "unpause two", "start web"}


# -- the earlier dvol ------------------------------------------------------------------------------


def before(pool: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What the dvol of format 1 says, as a process of its own."""
    argv = [sys.executable, "-m", "dvol", "--pool", str(pool), "--disable-docker-integration"]
    env = environment(PYTHONPATH=str(ZIP))
    return subprocess.run([*argv, *words], env=env, cwd="/", capture_output=True, text=True)


def test_the_earlier_one_still_runs(copy: Copy) -> None:
    done = before(copy("before") / "whole", "log", "v")
    assert (done.returncode, done.stderr) == (0, "")
    [id] = EXPECTED["whole"]["seen"]["volumes"]["v"]["branches"]["master"]["commits"]
    assert id in done.stdout


def test_the_build_of_before_refuses_a_pool_of_a_newer_format(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    opened(pool).init("v")
    mark = pool / ".dvol" / "pool.json"
    document = json.loads(mark.read_text())
    assert document["format"] == 3
    left = described(pool)
    done = before(pool, "log", "v")
    assert done.returncode == 6
    [line] = done.stderr.splitlines()
    assert "has format 3" in line
    assert "upgrade dvol" in line
    assert left == described(pool)


def test_a_new_volume_takes_no_commits_of_an_older_one_of_its_name(short_dir: Path) -> None:
    pool = short_dir / "volumes"
    for words in (
        *("init v", "commit -m 1 v", "checkout -b side v", "commit -m 2 v", "checkout master v"),
        *("branch -d side v", "rm -f v", "init v", "commit -m new v"),
    ):
        assert before(pool, *words.split()).returncode == 0
    for note in pool.glob(".dvol/trash/*/entry.json"):  # dates have whole seconds
        note.write_text(json.dumps({**json.loads(note.read_text()), "date": YESTERDAY}))
    created = next(pool.glob(".dvol/trash/*/volume/.dvol/volume.json"))
    created.write_text(json.dumps({"created": YESTERDAY}))
    engine = opened(pool)
    engine.commit("v", "after", ANN)
    engine.rm("v")
    old = next(one for one in engine.discarded() if one.verb == "rm" and one.message == "1")
    engine.restore(old.entry)
    engine.restore("v/side")
    assert [one.message for one in engine.log("v", "side")] == ["2", "1"]


# -- format 3 --------------------------------------------------------------------------------------


def held(pool: Path) -> set[tuple[str, str]]:
    """The volumes and ids of the commits that lie in entries of living volumes."""
    found = {(path.parents[5].name, path.name) for path in pool.glob("*/.dvol/undo/*/*/commits/*")}
    for path in pool.glob(".dvol/trash/*/entry.json"):
        note = json.loads(path.read_text())
        if note["verb"] != "rm":
            inside = [*path.parent.glob("commits/*"), *path.parent.glob("undo/*/commits/*")]
            found |= {(note["volume"], one.name) for one in inside}
    return {(volume, id) for volume, id in found if (pool / volume / "branches").is_dir()}


def test_commits_in_entries_return_and_are_found_by_their_ids(copy: Copy) -> None:
    """With the first verb that changes the volume, once what was unfinished is completed."""
    found = 0
    for name in EXPECTED:
        engine = opened(copy("format 3") / name)
        engine.volumes()
        before = held(engine.root)
        for one in volumes(name):
            engine.config(one, "gc.keep", "forever")
        for one, id in before:
            assert engine.log(one, id)[0].id == id
            found += 1
        assert held(engine.root) == set()
        assert [one.problem for one in engine.fsck() if "left by" not in one.problem] == []
    assert found > 10
