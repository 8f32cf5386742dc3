"""Wrong input of every kind: one clear line, its exit code, and nothing changed."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from dvol.model import VERSION
from tests.cli.conftest import Dvol, on_disk, run
from tests.contract.places import Keeper

BAD_NAMES: dict[str, str | bytes] = {
    "empty": "",
    "dot": ".",
    "dots": "..",
    "hidden": ".dvol",
    "slashed": "foo/bar",
    "climbing": "../../evil",
    "absolute": "/etc",
    "newline": "a\nb",
    "last newline": "foo\n",
    "space": "a b",
    "not UTF-8": b"a\xff",
    "umlaut": "bücher",
    "300": "x" * 300,
    "5000": "x" * 5000,
    "escape": "\x1b[31m",
    "caret": "a^",
    "tilde": "a~1",
}
bad_names = pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)


@on_disk
@bad_names
def test_a_volume_of_a_bad_name_is_not_made(dvol: Dvol, unchanged: Keeper, name: str) -> None:
    assert "is not a valid name" in dvol("init", name).refused(2)


@on_disk
@bad_names
def test_a_branch_of_a_bad_name_is_not_made(dvol: Dvol, unchanged: Keeper, name: str) -> None:
    assert "is not a valid name" in dvol("checkout", "-b", name).refused(2)


@on_disk
@pytest.mark.parametrize("name", ["HEAD", "x.json"])
def test_a_branch_of_a_reserved_name_is_not_made(dvol: Dvol, unchanged: Keeper, name: str) -> None:
    assert f"{name} is not a valid name" in dvol("checkout", "-b", name).refused(2)


@on_disk
@pytest.mark.parametrize("name", ["current_volume.json", "config.yml"])
def test_a_volume_of_a_reserved_name_is_not_made(dvol: Dvol, unchanged: Keeper, name: str) -> None:
    assert f"{name} is not a valid name" in dvol("init", name).refused(2)


ON_A_VOLUME = {
    "switch": ["switch"],
    "rm": ["rm", "-f"],
    "commit": ["commit", "-m", "x"],
    "log": ["log"],
    "reset": ["reset", "--hard", "HEAD"],
    "branch": ["branch"],
    "branch -d": ["branch", "-d", "side"],
    "checkout": ["checkout", "side"],
    "checkout -b": ["checkout", "-b", "new"],
}
on_a_volume = pytest.mark.parametrize("argv", ON_A_VOLUME.values(), ids=ON_A_VOLUME)


@pytest.mark.slow
@on_disk
@on_a_volume
def test_a_bad_name_of_a_volume_is_refused(dvol: Dvol, unchanged: Keeper, argv: list[str]) -> None:
    """The original deleted the entire pool on `rm -f .`."""
    for name in (".", "", "../x", b"\xff"):
        done = dvol(*argv, name)
        assert done.code in (2, 3)
        done.refused(done.code)


@pytest.mark.slow
@on_a_volume
def test_a_missing_volume_is_named(dvol: Dvol, unchanged: Keeper, argv: list[str]) -> None:
    assert "nope" in dvol(*argv, "nope").refused(3)


@pytest.mark.slow
@on_disk
@on_a_volume
def test_a_missing_dvol_volume_is_named(dvol: Dvol, unchanged: Keeper, argv: list[str]) -> None:
    if argv[0] in ("switch", "rm"):
        assert dvol(*argv, DVOL_VOLUME="nope").refused(2)
    else:
        assert "nope" in dvol(*argv, DVOL_VOLUME="nope").refused(3)


@pytest.mark.slow
@on_disk
@on_a_volume
def test_without_an_active_volume_the_user_is_told_to_choose_one(
    dvol: Dvol, volume: Keeper, argv: list[str]
) -> None:
    if argv[0] in ("switch", "rm"):
        assert "Please specify a volume name." in dvol(*argv).refused(2)
        return
    (volume.pool / "current_volume.json").unlink()
    said = "No active volume: use dvol switch to choose one, or dvol init to make one"
    assert dvol(*argv).refused(3) == said


@pytest.mark.slow
@on_disk
@on_a_volume
def test_a_removed_active_volume_is_named(dvol: Dvol, volume: Keeper, argv: list[str]) -> None:
    volume.engine.rm("v")
    if argv[0] in ("switch", "rm"):
        assert "v" in dvol(*argv, "v").refused(3)
        return
    text = "Active volume v does not exist: use dvol switch to choose another"
    assert text == dvol(*argv).refused(3)


@on_disk
@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["init", "v"], 4, "volume v already exists"),
        (["init"], 2, "Please specify a volume name."),
        (["switch"], 2, "Please specify a volume name."),
        (["rm"], 2, "Please specify a volume name."),
        (["rm", "-f", "nope"], 3, "Volume 'nope' does not exist, cannot remove it"),
        (["commit"], 2, "You must provide a commit message"),
        (["commit", "v"], 2, "You must provide a commit message"),
        (["commit", "-m", ""], 2, "You must provide a commit message"),
        (["commit", "-m", "x", "--author", "nobody"], 2, "'nobody' is not an author"),
        (["reset", "HEAD"], 2, "Please specify --hard to confirm you intend to lose data"),
        (["reset"], 2, "Please specify --hard to confirm you intend to lose data"),
        (["reset", "--hard", ""], 2, "Malformed commit identifier ''"),
        (["reset", "--hard", "../branches/master"], 2, "Malformed commit identifier"),
        (["reset", "--hard", ".."], 2, "Malformed commit identifier"),
        (["reset", "--hard", "a\nb"], 2, "Malformed commit identifier"),
        (["reset", "--hard", b"\xff"], 2, "Malformed commit identifier"),
        (["reset", "--hard", "HEAD^^"], 3, "Referenced commit does not exist; check dvol log"),
        (["reset", "--hard", "HEAD^^^^^^^"], 3, "Referenced commit does not exist"),
        (["reset", "--hard", "HEAD~2"], 3, "Referenced commit does not exist"),
        (["reset", "--hard", "deadbeef"], 3, "Referenced commit does not exist"),
        (["reset", "--hard", "nope"], 3, "Referenced commit does not exist"),
        (["checkout"], 2, "Must specify a branch name."),
        (["checkout", "nope"], 3, "Cannot switch to"),
        (["checkout", ""], 3, "Cannot switch to"),
        (["checkout", ".."], 3, "Cannot switch to"),
        (["checkout", "master.json"], 3, "Cannot switch to"),
        (["checkout", "-b", "side"], 4, "Cannot create existing branch side"),
        (["checkout", "-b"], 2, "Must specify a branch name."),
        (["branch", "-d", "master"], 4, "Cannot delete active branch, use 'dvol checkout'"),
        (["branch", "-d", "nope"], 3, "Branch 'nope' does not exist"),
        (["branch", "-d", ""], 3, "Branch '' does not exist"),
        (["branch", "-d", "../.."], 3, "does not exist"),
        (["frob"], 2, "Unknown command: frob"),
        (["branch", "-d"], 2, "-d needs a value; usage: dvol branch"),
        (["undo", "--hard"], 2, "--hard is no option of 'undo'; usage: dvol undo"),
        (["comit"], 2, "Unknown command: comit; did you mean 'commit'? see 'dvol --help'"),
        (["create", "x"], 2, "Unknown command: create; did you mean 'init'?"),
        (["volume", "ls"], 2, "Unknown command: volume"),
        (["list", "extra"], 2, "Wrong number of arguments."),
        (["init", "a", "b"], 2, "Wrong number of arguments."),
        (["checkout", "a", "b", "c"], 2, "Wrong number of arguments."),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_a_refusal_is_one_line_with_its_exit_code(
    dvol: Dvol, unchanged: Keeper, argv: list[str], code: int, text: str
) -> None:
    assert text in dvol(*argv).refused(code)


def test_a_branch_before_any_commit_is_refused_in_the_originals_words(
    dvol: Dvol, volume: Keeper
) -> None:
    volume.engine.init("w")
    text = "You must commit ('dvol commit') before you can branch ('dvol checkout -b')"
    assert text == dvol("checkout", "-b", "new").refused(4)


def test_an_ambiguous_prefix_is_refused(dvol: Dvol, volume: Keeper) -> None:
    twins = [{"id": f"abcd{number:036d}", "message": str(number)} for number in (1, 2)]
    (volume.pool / "v" / "branches" / "master.json").write_text(json.dumps(twins))
    assert "'abcd' may mean several commits" in dvol("reset", "--hard", "abcd").refused(4)
    assert "Referenced commit does not exist" in dvol("reset", "--hard", "abc").refused(3)


# -- options -----------------------------------------------------------------------------------


@pytest.mark.slow
@on_disk
@pytest.mark.parametrize(
    "argv",
    [
        ["reset", "--har", "HEAD"],
        ["reset", "--h", "HEAD"],
        ["rm", "--forc", "v"],
        ["rm", "--f", "v"],
        ["commit", "--mess", "x"],
        ["commit", "--mess=x"],
        ["commit", "-m", "x", "--auth", "A <a@b>"],
        ["branch", "--del", "side"],
        ["branch", "--del=side"],
        ["checkout", "--bra", "new"],
        ["--disable-docker", "commit", "-m", "x"],
        ["--disable", "commit", "-m", "x"],
    ],
    ids=" ".join,
)
def test_an_abbreviated_option_is_refused(dvol: Dvol, unchanged: Keeper, argv: list[str]) -> None:
    """docopt would take `--har` for the guard of a verb that loses data."""
    dvol(*argv).refused(2)


@on_disk
@pytest.mark.parametrize("option", ["--pat", "--poo", "--hos", "--pa", "--pool-"])
def test_an_abbreviated_option_of_the_keeper_is_refused(volume: Keeper, option: str) -> None:
    run(option, str(volume.pool), "list").refused(2)
    run(f"{option}={volume.pool}", "list").refused(2)


@on_disk
@pytest.mark.parametrize(
    "argv",
    [
        ["--frob", "list"],
        ["list", "--hard"],
        ["-x", "list"],
        ["commit", "-m"],
        ["branch", "-d"],
        ["reset", "--hard=yes", "HEAD"],
        ["commit", "-m", "x", "-m", "y"],
        ["--hard"],
    ],
    ids=" ".join,
)
def test_options_that_make_no_sense_are_refused(
    dvol: Dvol, unchanged: Keeper, argv: list[str]
) -> None:
    dvol(*argv).refused(2)


@on_disk
@pytest.mark.parametrize("message", ["-h", "--help", "--har", "-x", "--"])
def test_a_message_may_look_like_an_option(dvol: Dvol, volume: Keeper, message: str) -> None:
    """A script commits what it is given, or is told that it did not."""
    done = dvol("commit", f"--message={message}")
    assert (done.code, message) == (0, volume.engine.log("v")[0].message)


@on_disk
@pytest.mark.parametrize("message", ["-h", "--help"])
def test_a_message_is_never_taken_for_a_cry_for_help(
    dvol: Dvol, volume: Keeper, message: str
) -> None:
    """Exit code 0 would say that it was committed."""
    done = dvol("commit", "-m", message)
    assert done.code != 0 or volume.engine.log("v")[0].message == message


# -- pools and servers -------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-p", "--pool", "--path"])
def test_a_missing_pool_is_named(tmp_path: Path, option: str) -> None:
    for argv in (["list"], ["log"], ["log", "v"], ["commit", "-m", "x", "v"], ["switch", "v"]):
        assert "there is no pool at" in run(option, str(tmp_path / "no"), *argv).refused(3)
    assert os.listdir(tmp_path) == []


def test_a_file_is_no_pool(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file" in run("-p", str(tmp_path / "file"), "list").refused(3)
    done = run("-p", str(tmp_path / "file"), "init", "v")
    assert "file" in done.refused(done.code)
    assert done.code in (3, 4, 7)


def test_a_pool_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    assert "/proc/dvol" in run("-p", "/proc/dvol/pool", "init", "v").refused(7)


def test_a_directory_of_other_things_is_no_pool(tmp_path: Path) -> None:
    (tmp_path / "thesis").touch()
    assert str(tmp_path) in run("-p", str(tmp_path), "init", "v").refused(4)
    assert os.listdir(tmp_path) == ["thesis"]


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=["unreadable", "unwritable"])
def test_a_pool_that_is_somebody_elses_is_named(volume: Keeper, as_nobody, mode: int) -> None:
    volume.pool.parent.chmod(0o755)
    volume.pool.chmod(mode)
    for argv in (["init", "w"], ["commit", "-m", "x", "v"], ["rm", "-f", "v"], ["switch", "v"]):
        text = as_nobody("--pool", str(volume.pool), *argv).refused(7)
        assert "Permission denied" in text
        assert str(volume.pool) in text


@pytest.mark.root
def test_nobody_else_looks_into_a_pool(volume: Keeper) -> None:
    """A container's setuid file or a colleague's rows must not lie open on the host."""
    volume.pool.parent.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for path in (volume.pool, volume.tree("v"), volume.tree("v") / "file"):
        assert subprocess.run([*nobody, "test", "-r", path]).returncode == 1


def test_an_empty_pool_option_is_refused() -> None:
    run("--pool", "", "list").refused(2)
    run("--pool=", "list").refused(2)


def test_pool_and_host_exclude_each_other(tmp_path: Path) -> None:
    run("-p", str(tmp_path), "-H", str(tmp_path / "sock"), "list").refused(2)


@pytest.mark.parametrize("argv", [["list"], ["init", "v"], ["commit", "-m", "x", "v"]])
def test_no_server_is_exit_code_9(tmp_path: Path, argv: list[str]) -> None:
    """And a server that is asked for is never silently done without."""
    url = f"unix://{tmp_path}/control.sock"
    assert str(tmp_path) in run("--host", url, *argv).refused(9)
    assert str(tmp_path) in run(*argv, DVOL_HOST=url).refused(9)


def test_without_a_server_the_commands_own_version_is_printed_all_the_same(tmp_path: Path) -> None:
    done = run("--host", f"unix://{tmp_path}/control.sock", "version")
    assert (done.code, VERSION in done.out) == (9, True)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:1", "http://x", "unix://", "x" * 200, "a\nb"])
def test_what_is_no_servers_address_is_refused_in_one_line(url: str) -> None:
    done = run("-H", url, "list")
    assert done.code in (2, 9)
    done.refused(done.code)


CORRUPT = {
    "v/branches/master.json": [["log"], ["commit", "-m", "x"], ["reset", "--hard"], ["branch"]],
    "v/current_branch.json": [["log"], ["commit", "-m", "x"], ["checkout", "side"], ["branch"]],
    "current_volume.json": [["log"], ["commit", "-m", "x"], ["list"]],
    ".dvol/pool.json": [["log", "v"], ["list"], ["init", "w"], ["commit", "-m", "x", "v"]],
}


@pytest.mark.slow
@on_disk
@pytest.mark.parametrize("broken", ["", "[1"])
@pytest.mark.parametrize("path", CORRUPT)
def test_a_corrupt_file_is_named_with_exit_code_8(
    dvol: Dvol, volume: Keeper, path: str, broken: str
) -> None:
    (volume.pool / path).write_text(broken)
    for argv in CORRUPT[path]:
        done = dvol(*argv)
        assert (done.code, f"{path} is corrupt" in done.err) == (8, True), (argv, done.err)
        assert len(done.err.splitlines()) == 1
    assert broken == (volume.pool / path).read_text()


def test_list_shows_the_sound_volumes_and_complains_of_the_others(
    dvol: Dvol, volume: Keeper
) -> None:
    volume.engine.init("w")
    (volume.pool / "v" / "branches" / "master.json").write_text("{")
    done = dvol("list")
    assert done.code == 8
    assert any(row.split()[-2:] == ["w", "master"] for row in done.out.splitlines())
    assert "master.json" in done.err


def test_a_newer_pool_is_refused(dvol: Dvol, volume: Keeper) -> None:
    (volume.pool / ".dvol" / "pool.json").write_text('{"format": 99, "id": "x"}')
    for argv in (["list"], ["init", "w"], ["log", "v"]):
        assert "format 99" in dvol(*argv).refused(6)
