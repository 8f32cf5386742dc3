"""Settings, and verbs about several volumes; what they do to containers is the docker ring's."""

import pytest

from tests.cli.conftest import Dvol, on_disk
from tests.contract.places import Keeper

# -- config ------------------------------------------------------------------------------------


def test_a_setting_is_shown_changed_and_forgotten(dvol: Dvol, volume: Keeper) -> None:
    assert dvol("config", "commit.mode").well() == "stop\n"
    assert dvol("config", "commit.mode", "pause").well() == "pause\n"
    assert dvol("config", "v", "commit.mode").well() == "pause\n"
    assert dvol("config", "--unset", "commit.mode").well() == "stop\n"


def test_a_volume_without_its_own_setting_has_that_of_all(dvol: Dvol, volume: Keeper) -> None:
    volume.engine.init("w")
    dvol("config", "--global", "commit.mode", "pause").well()
    dvol("config", "v", "commit.mode", "stop").well()
    assert dvol("config", "v", "commit.mode").well() == "stop\n"
    assert dvol("config", "w", "commit.mode").well() == "pause\n"
    assert dvol("config", "--global", "commit.mode").well() == "pause\n"
    assert dvol("config", "--unset", "v", "commit.mode").well() == "pause\n"


@on_disk
@pytest.mark.parametrize(
    "argv",
    [
        ["commit.mode", "freeze"],
        ["commit.speed"],
        ["ready.port", "http"],
        ["ready.exec", "two\nlines"],
        ["v", "commit.mode", "stop", "more"],
        ["--unset", "commit.mode", "stop"],
        ["--global", "v", "commit.mode", "stop"],
    ],
)
def test_an_impossible_setting_is_refused(dvol: Dvol, unchanged: Keeper, argv: list[str]) -> None:
    dvol("config", *argv).refused(2)


def test_without_a_key_all_settings_are_shown(dvol: Dvol, volume: Keeper) -> None:
    dvol("config", "v", "commit.mode", "pause").well()
    assert (
        dvol("config").well()
        == dvol("config", "v").well()
        == "commit.mode=pause\ngc.keep=30d\ngc.auto=on\n"
    )
    assert dvol("config", "--global").well() == "commit.mode=stop\ngc.keep=30d\ngc.auto=on\n"
    dvol("config", "ready.exec", "pg_isready -h 127.0.0.1").well()
    dvol("config", "--global", "ready.port", "5432").well()
    shown = "ready.exec=pg_isready -h 127.0.0.1\nready.port=5432\n"
    assert dvol("config").well() == f"commit.mode=pause\ngc.keep=30d\ngc.auto=on\n{shown}"


@on_disk
def test_a_misspelt_key_is_named(dvol: Dvol, unchanged: Keeper) -> None:
    assert "'commit.mod'" in dvol("config", "commit.mod", "pause").refused(2)


def test_a_corrupt_setting_is_named(dvol: Dvol, volume: Keeper) -> None:
    (volume.pool / "v/.dvol/config.json").write_text("[]")
    assert "config.json is corrupt" in dvol("config", "v", "commit.mode").refused(8)


# -- several as one ----------------------------------------------------------------------------


@pytest.fixture
def both(volume: Keeper) -> Keeper:
    """`w` beside `v`, with files of their own."""
    volume.engine.init("w")
    for name in ("v", "w"):
        (volume.tree(name) / "file").write_text("old")
    return volume


def content(both: Keeper) -> list[str]:
    return [(both.tree(name) / "file").read_text() for name in ("v", "w")]


BOTH = ("--volume", "w", "--volume", "v")


def test_volumes_are_committed_and_put_back_as_one(dvol: Dvol, both: Keeper) -> None:
    lines = dvol("commit", "-m", "x", *BOTH).well().splitlines()
    ids = [both.engine.log(name)[0].id for name in ("v", "w")]
    assert lines == [f"{ids[0]} v", f"{ids[1]} w"]
    groups = {both.engine.log(name)[0].group for name in ("v", "w")}
    assert len(groups - {""}) == len(groups) == 1
    for name in ("v", "w"):
        (both.tree(name) / "file").write_text("new")
    for id in (*ids, *groups):  # of either volume, or of both
        done = dvol("reset", "--hard", id[:8], *BOTH)
        assert done.err.splitlines() == [
            f"v: HEAD is now at {ids[0][:7]} x",
            f"w: HEAD is now at {ids[1][:7]} x",
        ]
    assert content(both) == ["old", "old"]
    assert f"Group:  {groups.pop()[:7]}\n" in dvol("log", "w").well()


def test_a_revision_that_would_mix_what_was_made_together_is_refused(
    dvol: Dvol, both: Keeper
) -> None:
    """Counted back in each volume it would; HEAD is each one's own."""
    for message in ("1", "2"):
        dvol("commit", "-m", message, *BOTH).well()
    dvol("commit", "-m", "only w", "w").well()
    before = [both.engine.log(name) for name in ("v", "w")]
    text = dvol("reset", "--hard", "HEAD~1", *BOTH).refused(4)
    assert f"v {before[0][1].id[:7]}, w {before[1][1].id[:7]}" in text
    assert [both.engine.log(name) for name in ("v", "w")] == before
    assert dvol("reset", "--hard", *BOTH).code == 0
    assert dvol("reset", "--hard", before[0][1].id[:9], *BOTH).code == 0
    assert [both.engine.log(name)[0].message for name in ("v", "w")] == ["1", "1"]


def test_all_or_none(dvol: Dvol, both: Keeper) -> None:
    """`w` has no commit that the revision could mean."""
    first = both.engine.log("v")[-1].id
    before = both.engine.log("v")
    assert first[:8] in dvol("reset", "--hard", first[:8], *BOTH).refused(3)
    assert both.engine.log("v") == before
    assert content(both) == ["old", "old"]


def test_what_is_no_volume_stops_all(dvol: Dvol, both: Keeper) -> None:
    before = both.engine.log("v")
    dvol("commit", "-m", "x", "--volume", "v", "--volume", "nope").refused(3)
    assert both.engine.log("v") == before


@on_disk
def test_volumes_are_named_in_one_way_only(dvol: Dvol, both: Keeper) -> None:
    assert "--volume" in dvol("commit", "-m", "x", "--volume", "v", "w").refused(2)
    assert "'shop'" in dvol("commit", "-m", "x", "--project", "shop").refused(3)


@on_disk
@pytest.mark.parametrize("verb", [["commit", "-m", "x"], ["reset", "--hard"]])
def test_a_project_without_a_name_is_none(dvol: Dvol, unchanged: Keeper, verb: list[str]) -> None:
    """A variable that is not set must not mean the active volume."""
    assert "names no project" in dvol(*verb, "--project", "").refused(2)
    assert "'typo'" in dvol(*verb, "--project", "typo", "--volume", "v").refused(3)


# -- options about containers ------------------------------------------------------------------


@on_disk
@pytest.mark.parametrize("option", ["--stop-timeout", "--wait"])
@pytest.mark.parametrize("seconds", ["-1", "x", "1.5", "", "9" * 10, "9" * 5000])
def test_a_time_to_stop_or_wait_is_a_number(
    dvol: Dvol, unchanged: Keeper, option: str, seconds: str
) -> None:
    assert option in dvol("commit", "-m", "x", f"{option}={seconds}").refused(2)


@on_disk
def test_not_to_wait_has_no_limit(dvol: Dvol, unchanged: Keeper) -> None:
    assert "--no-wait" in dvol("commit", "-m", "x", "--wait", "5", "--no-wait").refused(2)


@on_disk
def test_one_mode_at_a_time(dvol: Dvol, unchanged: Keeper) -> None:
    dvol("commit", "-m", "x", "--stop", "--pause").refused(2)


@on_disk
def test_a_live_commit_needs_a_file_system_that_can(dvol: Dvol, unchanged: Keeper) -> None:
    assert "--pause or --stop" in dvol("commit", "-m", "x", "--live").refused(6)


@on_disk
def test_quiet_says_nothing_that_went_well(dvol: Dvol, volume: Keeper) -> None:
    assert dvol("-q", "reset", "--hard").well() == ""
    assert dvol("checkout", "--quiet", "side").well() == ""


@on_disk
def test_a_commands_own_help_has_its_own_options(dvol: Dvol) -> None:
    text = dvol("commit", "--help").well()
    assert "--stop-timeout N" in text
    assert "--repair" not in text
    assert text.startswith("keep the state of the volume")
