"""Who commits and when: from the option, git's environment and configuration, or the machine;
and that the log shows it as git does."""

import getpass
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Dvol, on_disk
from tests.contract.places import Keeper, environment

BEE = "Bee <bee@example.org>"


@pytest.fixture
def git(tmp_path: Path) -> Path:
    """A home directory for git's configuration."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return tmp_path


def newest(keeper: Keeper) -> tuple[str, str]:
    commit = keeper.engine.log("v")[0]
    return commit.author, commit.date


def configured(home: Path, **settings: str) -> str:
    for name, value in settings.items():
        command = ["git", "config", "--file", home / ".gitconfig", name.replace("_", "."), value]
        subprocess.run(command, check=True)
    return str(home)


@on_disk
@pytest.mark.parametrize("option", [["--author", BEE], [f"--author={BEE}"]])
def test_the_author_is_the_options(dvol: Dvol, volume: Keeper, option: list[str]) -> None:
    dvol("commit", "-m", "x", *option, GIT_AUTHOR_NAME="No", GIT_AUTHOR_EMAIL="no@x").well()
    assert newest(volume)[0] == BEE


@on_disk
def test_the_author_is_gits_environments(dvol: Dvol, volume: Keeper, git: Path) -> None:
    home = configured(git, user_name="No", user_email="no@x")
    dvol(
        "commit", "-m", "x", HOME=home, GIT_AUTHOR_NAME="Bee", GIT_AUTHOR_EMAIL="bee@example.org"
    ).well()
    assert newest(volume)[0] == BEE


def test_the_author_is_gits_configurations(dvol: Dvol, volume: Keeper, git: Path) -> None:
    """The client's own, also where a server keeps the pool."""
    home = configured(git, user_name="Bee", user_email="bee@example.org")
    dvol("commit", "-m", "x", HOME=home).well()
    assert newest(volume)[0] == BEE


@on_disk
def test_gits_author_wins_over_its_user(dvol: Dvol, volume: Keeper, git: Path) -> None:
    home = configured(git, user_name="No", user_email="no@x", author_name="Bee")
    dvol("commit", "-m", "x", HOME=home, GIT_AUTHOR_EMAIL="bee@example.org").well()
    assert newest(volume)[0] == BEE


@on_disk
def test_the_configuration_of_the_repository_one_is_in_counts(
    dvol: Dvol, volume: Keeper, git: Path
) -> None:
    subprocess.run(["git", "init", "-q", git], check=True, env=environment())
    for name, value in (("user.name", "Bee"), ("user.email", "bee@example.org")):
        subprocess.run(["git", "-C", git, "config", name, value], check=True)
    dvol("commit", "-m", "x", cwd=str(git)).well()
    assert newest(volume)[0] == BEE


def test_without_git_the_author_is_the_user_of_the_machine(dvol: Dvol, volume: Keeper) -> None:
    dvol("commit", "-m", "x").well()
    user = getpass.getuser()
    assert newest(volume)[0] == f"{user} <{user}@{socket.gethostname()}>"


@on_disk
def test_where_there_is_no_git_a_commit_is_made_all_the_same(
    dvol: Dvol, volume: Keeper, tmp_path: Path
) -> None:
    dvol("commit", "-m", "x", PATH=str(tmp_path)).well()
    assert socket.gethostname() in newest(volume)[0]


@on_disk
@pytest.mark.parametrize("name", ["A\nB", "A <b> C", "\x01", "<>", " ", "x" * 1000])
def test_an_odd_name_in_the_configuration_never_hinders_a_commit(
    dvol: Dvol, volume: Keeper, name: str
) -> None:
    dvol("commit", "-m", "x", GIT_AUTHOR_NAME=name, GIT_AUTHOR_EMAIL="e@x").well()
    assert re.fullmatch(r"[^<>\n]+ <e@x>", newest(volume)[0])


@on_disk
@pytest.mark.parametrize(
    ("zone", "offset"), [("UTC0", "+00:00"), ("XXX-5:30", "+05:30"), ("XXX9:30", "-09:30")]
)
def test_the_date_keeps_the_authors_own_offset(
    dvol: Dvol, volume: Keeper, zone: str, offset: str
) -> None:
    dvol("commit", "-m", "x", TZ=zone).well()
    date = newest(volume)[1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?" + re.escape(offset), date)
    assert f" {offset.replace(':', '')}\n" in dvol("log", TZ="YYY3").well()


DATES = [
    "2026-08-31T12:34:56+02:00",
    "2026-01-01T00:00:00-09:30",
    "1999-12-31T23:59:59+00:00",
    "2026-02-09T03:04:05+05:45",
]
MESSAGES = ["one line", "two\nlines", "a subject\n\na body\n\n  indented\n\n\n\nlast", "ü 🐘"]


@on_disk
def test_the_log_is_as_git_shows_it(dvol: Dvol, keeper: Keeper, git: Path) -> None:
    """Letter for letter, but for the ids."""
    keeper.engine.init("v")
    alone = environment(GIT_COMMITTER_NAME="x", GIT_COMMITTER_EMAIL="x", LC_ALL="C.UTF-8")
    subprocess.run(["git", "init", "-q", git], check=True, env=alone)
    for message, date in zip(MESSAGES, DATES, strict=True):
        keeper.engine.commit("v", message, BEE, date)
        options = ["-q", "--allow-empty", "--cleanup=verbatim", "--author", BEE, "--date", date]
        command = ["git", "-C", git, "commit", *options, "-m", message]
        subprocess.run(command, check=True, env=alone)
    command = ["git", "-C", git, "log", "--no-color", "--no-decorate"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=alone).stdout
    ids = re.compile("^commit [0-9a-f]{40}$", re.M)
    assert ids.sub("commit ID", dvol("log", LC_ALL="C.UTF-8").well()) == ids.sub("commit ID", shown)


@on_disk
def test_commits_of_the_original_are_shown_in_its_words(dvol: Dvol, volume: Keeper) -> None:
    """It kept neither author nor date, and said so."""
    (volume.pool / "v" / "branches" / "master.json").write_text(
        f'[{{"message": "m", "id": "{"1" * 40}"}}]'
    )
    assert dvol("log").well() == (
        f"commit {'1' * 40}\nAuthor: Who knows <mystery@person>\nDate:   Whenever\n\n    m\n"
    )
