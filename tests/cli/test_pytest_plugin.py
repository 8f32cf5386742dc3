"""The pytest plugin, in projects of its own: small test files on a real pool, without Docker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dvol.errors import NoSpace
from dvol.pytest_plugin import Volumes
from tests.cli.conftest import ANN, on_disk
from tests.contract.conftest import on_disk as keeper_of
from tests.contract.places import Keeper
from tests.lab import Unavailable
from tests.lab.filesystems import mounted

pytest_plugins = ["pytester"]

CONFTEST = """\
from pathlib import Path
import pytest
from dvol.pytest_plugin import volumes

POOL = Path({pool!r})
shop = volumes({words}, {keeper})

@pytest.fixture(scope="session")
def tree():
    return POOL / "v" / "branches" / "master"
"""
# tests that find a file, say what is in it, and ruin it
RUINS = """\
import pytest

@pytest.mark.parametrize("number", range(2))
def test_ruin(shop, tree, number):
    file = tree / "file"
    with (tree.parents[3] / "found").open("a") as found:
        print(file.read_text(), file=found)
    file.write_text(file.read_text() + "x")
"""
FAILS = """\
def test_fails(shop, tree):
    (tree / "file").write_text("ruin")
    assert False
"""


@dataclass
class Project:
    """A directory with tests in it, whose fixture `shop` is made with `words`."""

    keeper: Keeper
    pytester: pytest.Pytester

    def make(self, words: str, **modules: str) -> None:
        keeper = f"{'pool' if self.keeper.name == 'disk' else 'host'}={self.keeper.options[1]!r}"
        text = CONFTEST.format(pool=str(self.keeper.pool), words=words, keeper=keeper)
        self.pytester.makeconftest(text)
        self.pytester.makepyfile(**modules)

    def run(self, *options: str, **outcomes: int) -> str:
        """What pytest prints; the outcomes must be these."""
        result = self.pytester.runpytest("-p", "no:randomly", *options)
        result.assert_outcomes(**outcomes)
        return str(result.stdout)

    def failed(self, volume: str = "v") -> list[str]:
        """The branches that were kept."""
        names = [one.name for one in self.keeper.engine.branches(volume)]
        return [name for name in names if name.startswith("failed-")]

    def content(self, volume: str = "v", branch: str = "master") -> str:
        return (self.keeper.tree(volume, branch) / "file").read_text()


@pytest.fixture
def project(volume: Keeper, pytester: pytest.Pytester) -> Project:
    return Project(volume, pytester)


# -- back to a commit --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ("function", "2 2 2 2"),
        ("module", "2 2x 2 2x"),
        ("session", "2 2x 2xx 2xxx"),
    ],
)
def test_the_volume_is_put_back_before_each(project: Project, scope: str, found: str) -> None:
    project.make(f"'v', scope={scope!r}", test_one=RUINS, test_two=RUINS)
    project.run(passed=4)
    log = project.keeper.pool.parent / "found"
    assert log.read_text().split() == found.split()
    log.unlink()


@on_disk
@pytest.mark.parametrize(
    ("to", "expected"),
    [("HEAD~1", "1"), ("1", "1"), ("side", "2"), ("seed", "1"), ("two words", "1")],
)
def test_to_is_a_revision_or_the_first_line_of_a_message(
    project: Project, to: str, expected: str
) -> None:
    engine = project.keeper.engine
    engine.reset("v", "HEAD~1")
    engine.commit("v", f"{to}\n\nand more", ANN)
    engine.commit("v", f"not {to}", ANN)
    if to in ("HEAD~1", "1", "side"):
        engine.reset("v", "side")
    test = f"def test(shop, tree): assert (tree / 'file').read_text() == {expected!r}"
    project.make(f"'v', to={to!r}", test_it=test)
    project.run(passed=1)


@on_disk
def test_a_commit_that_is_not_there_is_named(project: Project) -> None:
    project.make("'v', to='no such'", test_it="def test(shop): pass")
    assert "RevisionNotFound" in project.run(errors=1)


@on_disk
def test_a_service_that_does_not_come_back_is_told_in_one_line(project: Project) -> None:
    words = "'v', ready=('127.0.0.1', 1), timeout=0.1"  # where nobody listens
    project.make(words, test_it="def test(shop): pass")
    said = project.run(errors=1)
    late = "the service was not ready within 0.1 s: ConnectionRefused"
    assert f"after the reset of v {late}" in said
    assert "Traceback" not in said


@on_disk
def test_a_volume_without_commits_is_refused(project: Project) -> None:
    project.keeper.engine.init("empty")
    project.make("'empty'", test_it="def test(shop): pass")
    assert "RevisionNotFound" in project.run(errors=1)


@on_disk
def test_a_commit_of_a_tests_own_does_not_move_the_others(project: Project) -> None:
    commits = """
        import pytest
        @pytest.mark.parametrize("number", range(2))
        def test_it(shop, tree, number):
            assert (tree / "file").read_text() == "2"
            (tree / "file").write_text("mine")
            shop.engine.commit("v", "mine", "Ann <ann@example.org>")
        """
    project.make("'v'", test_it=commits)
    project.run(passed=2)


@pytest.fixture
def together(project: Project) -> Project:
    """`v` and `w`, committed together as `both` and alone afterwards."""
    engine = project.keeper.engine
    engine.init("w")
    for content in ("both", "later"):
        for name in ("v", "w"):
            (project.keeper.tree(name) / "file").write_text(content)
        if content == "both":
            engine.commit_group(["v", "w"], "", "both", ANN)
    engine.commit("v", "v alone", ANN)
    project.make("'v', 'w', to='both'", test_it="def test(shop): pass")
    return project


def test_what_was_committed_together_is_put_back_together(together: Project) -> None:
    together.run(passed=1)
    assert (together.content("v"), together.content("w")) == ("both", "both")


@on_disk
def test_together_is_all_or_none(together: Project) -> None:
    """`w` can't be put back, so `v` is not either."""
    head = together.keeper.engine.log("w")[0].id
    shutil.rmtree(together.keeper.frozen("w", head))
    assert "TreeMissing" in together.run(errors=1)
    assert together.content("v") == "later"


@on_disk
def test_volumes_committed_one_by_one_are_put_back_so(together: Project) -> None:
    together.keeper.engine.commit("w", "alone", ANN)
    together.make("'v', 'w'", test_it=FAILS)
    together.run(failed=1)
    assert (together.content("v"), together.content("w")) == ("ruin", "later")


# -- what was there before ---------------------------------------------------------------------


def kept(project: Project) -> list[str]:
    return [one.verb for one in project.keeper.engine.discarded() if one.volume == "v"]


def test_the_state_before_the_session_is_kept_and_no_test_pushes_it_out(project: Project) -> None:
    (project.keeper.tree("v") / "file").write_text("a day of work")
    before = kept(project)
    many = RUINS.replace("range(2)", "range(14)")
    project.make("'v'", test_one=many, test_two=many)
    project.run(passed=28)
    (project.keeper.pool.parent / "found").unlink()
    assert kept(project) == ["reset", *before]
    project.keeper.engine.undo("v")
    assert project.content() == "a day of work"


@on_disk
def test_fixtures_of_the_same_volume_share_the_memory(project: Project) -> None:
    (project.keeper.tree("v") / "file").write_text("a day of work")
    before = kept(project)
    words = f"'v', pool={str(project.keeper.pool)!r}"
    uses = f"from dvol.pytest_plugin import volumes\nagain = volumes({words})\n"
    project.make("'v'", test_one=FAILS, test_two=uses + "def test_it(again): pass\n")
    project.run(failed=1, passed=1)
    assert kept(project) == ["reset", *before]


@on_disk
def test_each_session_keeps_what_it_finds(project: Project) -> None:
    before = kept(project)
    project.make("'v'", test_it=FAILS)
    project.run(failed=1)
    project.run(failed=1)
    assert kept(project) == ["reset", "reset", *before]


@on_disk
def test_volumes_that_are_reset_once_more_by_hand_are_discarded(volume: Keeper) -> None:
    found = Volumes(volume.engine, ("v",), "HEAD", None)
    before = len(volume.engine.discarded())
    for text in ("work", "ruin", "ruin"):
        (volume.tree("v") / "file").write_text(text)
        found.reset()
    assert len(volume.engine.discarded()) == before + 1
    volume.engine.undo("v")
    assert (volume.tree("v") / "file").read_text() == "work"


# -- what failed tests leave -------------------------------------------------------------------


@pytest.mark.parametrize("option", [True, False])
def test_what_a_failed_test_has_left_is_kept(project: Project, option: bool) -> None:
    before = project.keeper.engine.log("v")
    project.make("'v'" if option else "'v', keep_failed=True", test_it=FAILS)
    told = project.run(*["--dvol-keep"][: int(option)], failed=1)
    assert "the volume as the test left it is on branch 'failed-test_fails'" in told
    assert project.failed() == ["failed-test_fails"]
    assert project.content(branch="failed-test_fails") == "ruin"
    assert project.content() == "2"
    assert project.keeper.engine.log("v") == before
    assert project.keeper.engine.get("v").branch == "master"


@on_disk
def test_nothing_is_kept_unasked_or_of_tests_that_pass(project: Project) -> None:
    project.make("'v'", test_it=FAILS)
    project.run(failed=1)
    project.make("'v', keep_failed=True", test_it="def test_passes(shop): pass")
    project.run(passed=1)
    assert project.failed() == []


@on_disk
def test_a_second_failure_of_a_test_gets_a_name_of_its_own(project: Project) -> None:
    project.make("'v', keep_failed=True", test_one=FAILS, test_two=FAILS)
    project.run(failed=2)
    assert project.failed() == ["failed-test_fails", "failed-test_fails-2"]


@on_disk
@pytest.mark.parametrize(
    ("definition", "branch"),
    [
        ("def test_größe(shop, tree):", "failed-test_gr-e"),
        ("@pytest.mark.parametrize('x', ['a/b c'])\ndef test(shop, tree, x):", "failed-test-a-b-c"),
        ("@pytest.mark.parametrize('x', ['.json'])\ndef test(shop, tree, x):", "failed-test-json"),
        ("@pytest.mark.parametrize('x', [1.5])\ndef test(shop, tree, x):", "failed-test-1-5"),
        (f"def test_{'x' * 200}(shop, tree):", f"failed-test_{'x' * 88}"),
    ],
    ids=["no ASCII", "slash", "reserved", "dot", "long"],
)
def test_a_branch_has_a_name_that_it_may_have(
    project: Project, definition: str, branch: str
) -> None:
    text = (
        f"import pytest\n{definition}\n    (tree / 'file').write_text('ruin')\n    assert False\n"
    )
    project.make("'v', keep_failed=True", test_it=text)
    project.run(failed=1)
    assert project.failed() == [branch]
    assert project.content(branch=branch) == "ruin"


@on_disk
@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_only_failures_of_tests_that_use_the_volume_count(project: Project, scope: str) -> None:
    users = "class TestAll:\n    def test_uses(self, shop): pass\n"
    other = "    def test_other(self): assert False\n"
    project.make(f"'v', keep_failed=True, scope={scope!r}", test_it=users + other)
    project.run(passed=1, failed=1)
    assert project.failed() == []
    failing = "    def test_fails(self, shop): assert False\n    def test_later(self, shop): pass\n"
    project.make(f"'v', keep_failed=True, scope={scope!r}", test_it=users + failing + other)
    project.run(passed=2, failed=2)
    assert project.failed() == ["failed-test_fails"]


@on_disk
def test_a_test_that_asks_for_the_volume_late_counts(project: Project) -> None:
    late = "def test_late(request):\n    request.getfixturevalue('shop')\n    assert False\n"
    project.make("'v', keep_failed=True", test_it=late)
    project.run(failed=1)
    assert project.failed() == ["failed-test_late"]


# -- where keeping is refused ------------------------------------------------------------------


@pytest.fixture
def cramped() -> Iterator[Keeper]:
    """A volume whose commit has room for a small change, and none for a branch."""
    try:
        with mounted("tmpfs", 16 << 20) as root:
            keeper = keeper_of(root / "volumes")
            keeper.engine.init("v")
            (keeper.tree("v") / "large").write_bytes(os.urandom(6 << 20))
            (keeper.tree("v") / "file").write_text("1")
            keeper.engine.commit("v", "1", ANN)
            yield keeper
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.root
def test_a_refusal_changes_nothing(cramped: Keeper) -> None:
    before = cramped.engine.log("v")
    found = Volumes(cramped.engine, ("v",), "HEAD", None)
    (cramped.tree("v") / "file").write_text("ruin")
    with pytest.raises(NoSpace):
        found.keep("failed-test")
    assert cramped.engine.log("v") == before
    assert (cramped.tree("v") / "file").read_text() == "ruin"
    assert [one.name for one in cramped.engine.branches("v")] == ["master"]


@on_disk
def test_a_volume_that_has_no_commit_any_more_is_kept(volume: Keeper) -> None:
    engine = volume.engine
    found = Volumes(engine, ("v",), "HEAD", None)
    engine.rm("v")
    engine.init("v")
    (volume.tree("v") / "file").write_text("ruin")
    assert found.keep("failed") == "failed"
    assert engine.get("v").branch == "master"
    assert (volume.tree("v", "failed") / "file").read_text() == "ruin"
