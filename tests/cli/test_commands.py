"""Each command doing well: what it prints, and that it is what the original printed."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dvol.errors import NoActiveVolume
from dvol.model import VERSION
from tests.cli.conftest import Dvol, on_disk, run
from tests.contract.places import Keeper, environment

ID = r"[0-9a-f]{40}"


def test_init_says_what_it_made(dvol: Dvol, keeper: Keeper) -> None:
    assert dvol("init", "foo").well() == "Created volume foo\nCreated branch foo/master\n"
    assert keeper.engine.active() == "foo"


@pytest.mark.parametrize("command", ["list", "ls"])
def test_list_shows_volumes_by_name_and_marks_the_active_one(dvol: Dvol, command: str) -> None:
    for name in ("b", "c", "a"):
        dvol("init", name)
    header, *rows = dvol(command).well().splitlines()
    assert header.split()[:2] == ["VOLUME", "BRANCH"]
    assert [row.split()[:3] for row in rows] == [
        ["*", "a", "master"],
        ["b", "master"],
        ["c", "master"],
    ]
    assert [row[:2] for row in (header, *rows)] == ["  ", "* ", "  ", "  "]


@on_disk
def test_list_without_volumes_is_its_header(dvol: Dvol, keeper: Keeper) -> None:
    dvol("init", "v")
    dvol("rm", "-f", "v")
    assert len(dvol("list").well().splitlines()) == 1


def test_switch_says_where_one_is(dvol: Dvol, volume: Keeper) -> None:
    volume.engine.init("w")
    assert dvol("switch", "v").said() == "Active volume: v, on branch 'master'"
    assert volume.engine.active() == "v"


@pytest.mark.parametrize("force", ["-f", "--force"])
def test_rm_by_force_says_what_it_deletes(dvol: Dvol, volume: Keeper, force: str) -> None:
    done = dvol("rm", force, "v")
    assert (done.code, done.out) == (0, "Deleting volume 'v'\n")
    assert done.err == "'dvol restore' can undelete it\n"
    with pytest.raises(Exception, match="Active volume v does not exist"):
        volume.engine.active()


@on_disk
@pytest.mark.parametrize(
    "option",
    [["-m", "a message"], ["--message", "a message"], ["--message=a message"], ["-ma message"]],
)
def test_commit_prints_the_id_alone(dvol: Dvol, volume: Keeper, option: list[str]) -> None:
    printed = dvol("commit", *option).well()
    assert re.fullmatch(ID + "\n", printed)
    newest = volume.engine.log("v")[0]
    assert (printed.strip(), "a message") == (newest.id, newest.message)


@on_disk
def test_commit_takes_a_volume_on_either_side_of_its_option(dvol: Dvol, volume: Keeper) -> None:
    volume.engine.init("w")
    assert dvol("commit", "v", "-m", "x").code == 0
    assert dvol("commit", "-m", "y", "v").code == 0
    assert [one.message for one in volume.engine.log("v")][:2] == ["y", "x"]
    assert volume.engine.log("w") == []


def test_log_shows_commits_newest_first(dvol: Dvol, volume: Keeper) -> None:
    two, one = (commit.id for commit in volume.engine.log("v"))
    assert dvol("log").well() == (
        f"commit {two}\nAuthor: Ann <ann@example.org>\nDate:   Mon Aug 31 12:34:56 2026 +0200\n\n"
        f"    2\n\n"
        f"commit {one}\nAuthor: Ann <ann@example.org>\nDate:   Mon Aug 31 12:34:56 2026 +0200\n\n"
        f"    1\n"
    )


def test_log_before_any_commit_is_empty(dvol: Dvol, keeper: Keeper) -> None:
    keeper.engine.init("v")
    assert dvol("log").well() == ""


@pytest.mark.parametrize("argv", [["HEAD"], ["HEAD", "v"], []])
def test_reset_prints_nothing_and_says_as_git_where_head_is(
    dvol: Dvol, volume: Keeper, argv: list[str]
) -> None:
    """On stderr: the original printed nothing, and a script may count on that."""
    head = volume.engine.log("v")[0].id[:7]
    assert dvol("reset", "--hard", *argv).said() == f"HEAD is now at {head} 2"
    assert (volume.tree("v") / "file").read_text() == "2"


@on_disk
@pytest.mark.parametrize("revision", ["HEAD^", "HEAD~1", "HEAD~", "side^", "@^"])
def test_reset_goes_back(dvol: Dvol, volume: Keeper, revision: str) -> None:
    assert dvol("reset", "--hard", revision).out == ""
    assert (volume.tree("v") / "file").read_text() == "1"
    assert len(volume.engine.log("v")) == 1


def test_reset_takes_the_beginning_of_an_id(dvol: Dvol, volume: Keeper) -> None:
    one = volume.engine.log("v")[1]
    two = volume.engine.log("v")[0].id[:7]
    leaves, head = dvol("reset", "--hard", one.id[:6]).err.splitlines()
    assert head == f"HEAD is now at {one.id[:7]} 1"
    back = f"'dvol reset --hard {two} v' goes back to it"
    assert leaves == f"dvol: commits that left branch 'master': 1, the newest is {two} '2'; {back}"
    assert [one] == volume.engine.log("v")


def test_branch_lists_branches_by_name_and_marks_the_current_one(
    dvol: Dvol, volume: Keeper
) -> None:
    assert dvol("branch").well() == "* master\n  side\n"
    volume.engine.checkout("v", "side")
    assert dvol("branch", "v").well() == "  master\n* side\n"


@pytest.mark.parametrize("option", [["-d", "side"], ["--delete", "side"], ["--delete=side"]])
def test_branch_d_says_what_it_deletes(dvol: Dvol, volume: Keeper, option: list[str]) -> None:
    done = dvol("branch", *option)
    assert (done.code, done.out) == (0, "Deleting branch 'side'\n")
    assert done.err == "'dvol restore' can undelete it\n"
    assert [branch.name for branch in volume.engine.branches("v")] == ["master"]


@pytest.mark.parametrize("argv", [["checkout", "v"], ["reset", "--hard", "v"]])
def test_whoever_names_the_volume_first_is_told(
    dvol: Dvol, volume: Keeper, argv: list[str]
) -> None:
    assert dvol(*argv).refused(2).startswith(f"'v' is a volume, which comes last: dvol {argv[0]}")
    assert "is a volume, which comes last" in dvol(*argv, "HEAD").refused(2)


def test_checkout_says_as_git_where_one_is(dvol: Dvol, volume: Keeper) -> None:
    assert dvol("checkout", "side").said() == "Switched to branch 'side'"
    assert volume.engine.get("v").branch == "side"
    assert dvol("checkout", "master", "v").said() == "Switched to branch 'master'"
    assert volume.engine.get("v").branch == "master"


@pytest.mark.parametrize("option", ["-b", "--branch"])
def test_checkout_b_makes_a_branch(dvol: Dvol, volume: Keeper, option: str) -> None:
    head = volume.engine.log("v")[0].id[:7]
    said = f"Switched to a new branch 'new', made from {head}"
    assert dvol("checkout", option, "new", "v").said() == said
    assert volume.engine.get("v").branch == "new"
    assert (volume.tree("v", "new") / "file").read_text() == "2"


def test_version_is_printed(dvol: Dvol, volume: Keeper) -> None:
    assert VERSION in dvol("version").well()


@pytest.mark.parametrize(
    "argv",
    [[], ["-h"], ["--help"], ["commit", "--help"], ["init", "-h"], ["help"], ["help", "commit"]],
)
def test_help_is_printed_and_does_nothing_else(argv: list[str]) -> None:
    printed = run("-p", "/nowhere", *argv) if argv else run()
    assert (printed.code, printed.err) == (0, "")
    assert "Usage:" in printed.out


@on_disk
@pytest.mark.parametrize("argv", [["--hard", "--help"], ["--hard", "HEAD", "-h"]])
def test_a_cry_for_help_is_no_value_of_hard(dvol: Dvol, unchanged: Keeper, argv: list[str]) -> None:
    assert "Usage:" in dvol("reset", *argv).well()


def test_reflog_shows_where_head_pointed(dvol: Dvol, volume: Keeper) -> None:
    dvol("reset", "--hard", "HEAD^")
    two, one = (one.id[:7] for one in volume.engine.log("v", "side"))
    assert dvol("reflog").well().splitlines() == [
        f"{one} HEAD@{{0}}: reset: moving to HEAD^",
        f"{two} HEAD@{{1}}: checkout: moving from side to master",
        f"{two} HEAD@{{2}}: checkout: moving from master to side",
        f"{two} HEAD@{{3}}: commit: 2",
        f"{one} HEAD@{{4}}: commit: 1",
    ]


@pytest.mark.parametrize("words", [["side"], ["side", "v"]])
def test_reflog_of_a_branch(dvol: Dvol, volume: Keeper, words: list[str]) -> None:
    two = volume.engine.get("v").head
    assert dvol("reflog", *words).well() == f"{two[:7]} side@{{0}}: branch: created from HEAD\n"


def test_one_word_of_reflog_is_a_volume_if_there_is_one(dvol: Dvol, volume: Keeper) -> None:
    volume.engine.init("w")
    assert dvol("reflog", "w").well() == ""
    assert len(dvol("reflog", "v").well().splitlines()) == 4
    assert dvol("reflog", "nope").refused(3).startswith("Branch 'nope' does not exist")
    assert dvol("reflog", "side", "w").refused(3).startswith("Branch 'side' does not exist")


def test_help_fits_a_terminal() -> None:
    text = run("--help").out
    assert max(len(line) for line in text.splitlines()) <= 100
    assert len(text.splitlines()) <= 72


def test_help_lists_each_command() -> None:
    text = run("--help").out
    commands = ("list", "ls", "init", "switch", "rm", "commit", "log", "reset", "branch")
    for command in (
        *commands,
        "undo",
        "checkout",
        "tag",
        "drop",
        "prune",
        "restore",
        "gc",
        "fsck",
        "version",
    ):
        assert re.search(rf"^  {command}\b|, {command} ", text, re.M), command


def test_the_walk_through_of_the_mission(dvol: Dvol, keeper: Keeper) -> None:
    dvol("init", "frob_mysql").well()
    file = keeper.tree("frob_mysql") / "file"
    file.write_text("hello")
    dvol("commit", "-m", "Hello", "frob_mysql").well()
    file.write_text("world")
    assert dvol("reset", "--hard", "HEAD", "frob_mysql").code == 0
    assert file.read_text() == "hello"


# -- asking before removing --------------------------------------------------------------------


def asked(keeper: Keeper, answer: bytes) -> tuple[int, str, str]:
    """`dvol rm v` on a terminal where `answer` is typed."""
    master, slave = pty.openpty()
    try:
        os.write(master, answer)
        command = [sys.executable, "-m", "dvol", *keeper.options, "rm", "v"]
        done = subprocess.run(
            command, stdin=slave, capture_output=True, text=True, env=environment()
        )
    finally:
        os.close(master)
        os.close(slave)
    return done.returncode, done.stdout, done.stderr


@on_disk
@pytest.mark.parametrize("answer", [b"y\n", b"yes\n", b"Y\n", b"YES\n"])
def test_rm_asks_and_takes_yes_for_an_answer(volume: Keeper, answer: bytes) -> None:
    code, out, err = asked(volume, answer)
    assert (code, out) == (0, "Deleting volume 'v'\n")
    assert "Are you sure?" in err
    assert "(y/n): " in err
    assert not volume.tree("v").exists()


@on_disk
@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"yep\n", b"\x04", b"v\n"])
def test_rm_asks_and_takes_all_else_for_no(unchanged: Keeper, answer: bytes) -> None:
    code, out, err = asked(unchanged, answer)
    assert (code, out) == (1, "")
    assert "Aborting." in err


def test_rm_without_anybody_to_ask_is_refused(dvol: Dvol, unchanged: Keeper) -> None:
    done = dvol("rm", "v")
    assert done.code != 0
    assert done.out == ""


# -- which volume ------------------------------------------------------------------------------


def test_commands_mean_the_active_volume(dvol: Dvol, volume: Keeper) -> None:
    volume.engine.init("w")
    assert "the volume w is empty" in dvol("commit", "-m", "x").err
    assert [one.message for one in volume.engine.log("w")] == ["x"]


def test_dvol_volume_wins_over_the_active_one(dvol: Dvol, volume: Keeper) -> None:
    volume.engine.init("w")
    dvol("commit", "-m", "x", DVOL_VOLUME="v").well()
    assert volume.engine.log("w") == []
    assert volume.engine.active() == "w"
    assert dvol("branch", DVOL_VOLUME="v").well() == "* master\n  side\n"
    dvol("checkout", "side", DVOL_VOLUME="v").said()
    assert dvol("reset", "--hard", "HEAD^", DVOL_VOLUME="v").code == 0
    assert dvol("log", DVOL_VOLUME="v").well().count("commit ") == 1


def test_a_volume_in_the_command_wins_over_dvol_volume(dvol: Dvol, volume: Keeper) -> None:
    volume.engine.init("w")
    dvol("commit", "-m", "x", "v", DVOL_VOLUME="w").well()
    assert volume.engine.log("w") == []


@on_disk
def test_dvol_volume_needs_no_active_one(dvol: Dvol, volume: Keeper) -> None:
    (volume.pool / "current_volume.json").unlink()
    with pytest.raises(NoActiveVolume):
        volume.engine.active()
    assert dvol("log", DVOL_VOLUME="v").code == 0


# -- output ------------------------------------------------------------------------------------


@on_disk
def test_a_message_comes_out_as_it_went_in(dvol: Dvol, volume: Keeper) -> None:
    """Bytes that are no UTF-8 as well."""
    dvol("commit", b"-m", b"caf\xe9 \xc3\xbc").well()
    assert os.fsencode(dvol("log").well()).count(b"    caf\xe9 \xc3\xbc\n") == 1


@pytest.mark.slow
@on_disk
@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "xx_XX.nonsense"])
def test_no_locale_makes_output_fail(dvol: Dvol, volume: Keeper, locale: str) -> None:
    dvol("commit", "-m", "ü 🐘", "--author", "Åsa <å@x>", LC_ALL=locale, LANG=locale).well()
    assert "ü 🐘" in dvol("log", LC_ALL=locale, LANG=locale).well()


def piped(options: list[str], *argv: str, stdout: str) -> subprocess.CompletedProcess:
    command = " ".join([sys.executable, "-m", "dvol", *options, *argv])
    script = {"closed": f"{command} >&-", "full": f"{command} > /dev/full"}[stdout]
    return subprocess.run(
        ["sh", "-c", script], env=environment(), capture_output=True, text=True, cwd="/"
    )


@on_disk
def test_a_refusal_that_nobody_can_be_told_keeps_its_exit_code(volume: Keeper) -> None:
    command = [sys.executable, "-m", "dvol", *volume.options, "log", "nope"]
    buffered = environment(PYTHONUNBUFFERED="")
    with Path("/dev/full").open("wb") as full:
        assert subprocess.run(command, env=buffered, stderr=full, cwd="/").returncode == 3


@on_disk
def test_a_reader_that_has_seen_enough_is_no_error_to_speak_of(volume: Keeper) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "dvol", *volume.options, "log"]
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, text=True, env=environment()
    )
    os.close(write)
    assert done.stderr == ""
    assert done.returncode in (0, 141)


@pytest.mark.slow
@on_disk
@pytest.mark.parametrize("argv", [["list"], ["log"], ["branch"], ["restore"], ["gc"], ["--help"]])
@pytest.mark.parametrize("stdout", ["closed", "full"])
def test_output_that_nobody_takes_is_no_bug(volume: Keeper, argv: list[str], stdout: str) -> None:
    done = piped(volume.options, *argv, stdout=stdout)
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1
    assert done.returncode != 70


@on_disk
def test_a_full_disk_under_stdout_is_told(volume: Keeper) -> None:
    """A script must not take a list that is not there for an empty one."""
    done = piped(volume.options, "list", stdout="full")
    assert done.returncode not in (0, 70)
    assert re.fullmatch(r"dvol: [^\n]*No space left on device[^\n]*\n", done.stderr)


@on_disk
def test_a_closed_stderr_hinders_nothing(dvol: Dvol, volume: Keeper) -> None:
    command = " ".join([sys.executable, "-m", "dvol", *volume.options, "log nope"])
    done = subprocess.run(["sh", "-c", f"{command} 2>&-"], env=environment(), cwd="/")
    assert done.returncode == 3


@on_disk
def test_a_closed_stdin_hinders_nothing(dvol: Dvol, volume: Keeper) -> None:
    command = " ".join([sys.executable, "-m", "dvol", *volume.options])
    for argv, code in (("list", 0), ("rm v", 2)):
        done = subprocess.run(
            ["sh", "-c", f"{command} {argv} <&-"],
            env=environment(),
            capture_output=True,
            text=True,
            cwd="/",
        )
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


@on_disk
def test_the_command_runs_from_a_directory_that_is_gone(volume: Keeper, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = " ".join([sys.executable, "-m", "dvol", *volume.options, "branch"])
    done = subprocess.run(
        ["sh", "-c", f"rmdir {gone}; {command}"],
        env=environment(),
        capture_output=True,
        text=True,
        cwd=gone,
    )
    assert (done.returncode, done.stdout) == (0, "* master\n  side\n"), done.stderr
