"""The README, docs/operations.md and docs/python.md: their shape, and what stands in their text.

What their blocks tell to type is typed by tests/docker/test_readme.py.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import dvol
from dvol import errors, model, pytest_plugin
from dvol.engine import Engine

ROOT = Path(__file__).parents[2]
PAGES = {
    name: (ROOT / name).read_text()
    for name in ("README.md", "docs/operations.md", "docs/python.md")
}
README, PYTHON = PAGES["README.md"], PAGES["docs/python.md"]
LONGEST = 70  # words of a paragraph, an item of a list, or a cell of a table
PROGRAMS = ("cp", "createdb", "docker", "dropdb", "dvol", "journalctl", "make", "pip", "pipx")
# What stands in the text, is neither dvol's nor make's, and is typed elsewhere: where, and how.
ELSEWHERE = {
    "cp -a": ("tests/bench/peers.py", '"cp", "-a"'),
    "createdb -T": ("tests/bench/databases.py", "createdb"),
    "docker compose down -v": ("tests/docker/test_compose.py", '"down", "-v"'),
    "docker cp": ("tests/docker/test_volumes.py", '"cp"'),
    "docker plugin install clusterhq/dvol": (
        "tests/docker/test_plugin.py",
        "docker(*install, name",
    ),
    "docker plugin rm -f dvol": ("tests/docker/test_plugin.py", '"plugin", "rm", "-f", "dvol"'),
    "docker volume inspect": ("tests/docker/installed.py", '"volume", "inspect"'),
    "docker volume rm": ("tests/docker/test_volumes.py", '"volume", "rm"'),
    "journalctl -u docker": ("tests/acceptance/test_upgrade.py", "-u docker"),
    "pip install git+https://github.com/clusterhq/dvol": ("README.md", "pipx install git+https"),
    "pytest --dvol-keep": ("tests/docker/test_examples.py", "pytest --dvol-keep"),
}
# All pages whose words are checked. The start of design.md and the end of protocol.md repeat texts
# of the code, and are left out.
WORDED = {
    **PAGES,
    "docs/design.md": (ROOT / "docs/design.md").read_text().partition("## On disk")[2],
    "docs/protocol.md": (ROOT / "docs/protocol.md").read_text().partition("## Errors")[0],
    "docs/faq.md": (ROOT / "docs/faq.md").read_text(),
    "docs/reliability.md": (ROOT / "docs/reliability.md").read_text(),
    "docs/performance.md": (ROOT / "docs/performance.md").read_text(),
    "examples/pytest-postgres/README.md": (ROOT / "examples/pytest-postgres/README.md").read_text(),
    "examples/web-app/README.md": (ROOT / "examples/web-app/README.md").read_text(),
}
UNWANTED = (
    r"nobody|somebody|whoever|mend\w*|doom\w*|told|patience|wishes|besides|put back|brought back"
    r"|doors?|keepers?|treatment|quiescence|vouch\w*"
)


def without_blocks(page: str) -> str:
    return re.sub(r"(?m)^    .*\n", "\n", page)


def pieces(page: str) -> list[str]:
    """Paragraphs, items of lists, and cells of tables, each in one line."""
    found: list[str] = []
    for part in re.split(r"\n{2,}", without_blocks(page)):
        if part.startswith("|"):
            found += [cell for line in part.splitlines() for cell in line.split("|")]
        else:
            found += re.split(r"(?m)^- ", part)
    return [" ".join(piece.split()) for piece in found if piece.strip()]


def in_code(page: str) -> list[str]:
    """What stands in backquotes within the text."""
    return re.findall(r"`([^`]+)`", " ".join(without_blocks(page).split()))


COMMANDS = sorted(
    {
        said
        for page in PAGES.values()
        for said in in_code(page)
        if said.startswith(tuple(f"{program} " for program in (*PROGRAMS, "pytest", "sudo")))
    }
)


# -- shape -------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_no_paragraph_is_long(page: str) -> None:
    lengths = {piece: len(piece.split()) for piece in pieces(PAGES[page])}
    assert {piece: words for piece, words in lengths.items() if words > LONGEST} == {}


def test_the_first_thing_shown_is_a_commit_and_a_reset() -> None:
    first = re.search(r"(?m)(?:^    .*\n)+", README)
    assert first
    assert "dvol commit" in first[0]
    assert "dvol reset" in first[0]
    assert README[: first.start()].count("\n\n") <= 2, "it begins below the first paragraph"


def test_the_figures_are_those_of_the_page_on_performance() -> None:
    """Those of the session at the top were measured with it, and with `createdb -T` in it."""
    measured = (ROOT / "docs/performance.md").read_text()
    compared = [piece for piece in pieces(README) if "make bench" in piece]
    figures = set(re.findall(r"\d[\d.]* m?s\b", " ".join(compared)))
    assert {figure for figure in figures if figure not in measured} <= {"0.5 s", "0.21 s"}
    assert len(compared) == 4


@pytest.mark.parametrize("page", WORDED)
def test_no_word_stands_for_a_noun(page: str) -> None:
    assert re.findall(rf"(?i)\b({UNWANTED})\b", WORDED[page]) == []


@pytest.mark.parametrize("page", PAGES)
def test_each_file_that_a_page_links_to_exists(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        assert ((ROOT / page).parent / link).is_file(), link


# -- commands within the text ------------------------------------------------------------------


@pytest.mark.parametrize("command", [said for said in COMMANDS if said.startswith("dvol ")])
def test_the_command_understands_it(command: str, tmp_path: Path) -> None:
    """It may well refuse: there is no volume."""
    words = command.replace("COMMAND", "commit").split()[1:]
    own = ["--pool", str(tmp_path / "pool"), "--disable-docker-integration"]
    dvol = [sys.executable, "-m", "dvol", *own]
    done = subprocess.run(
        [*dvol, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path
    )
    assert not re.search(r"usage: dvol|see 'dvol --help'|exclude each other", done.stderr)


@pytest.mark.parametrize("name", ["demo", "test", "install", "uninstall", "exec"])
def test_a_task_that_people_need_is_named(name: str) -> None:
    assert any(re.search(rf"\bmake {name}\b", page) for page in PAGES.values())


def test_the_readme_names_the_first_two_tasks() -> None:
    assert {"make demo", "make test", "make bench-docker"} <= set(in_code(README))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bmake ([a-z-]+)", str(COMMANDS)))))
def test_a_task_that_a_page_names_exists(name: str) -> None:
    assert re.search(rf"(?m)^  {name}\b", _tasks())


@cache
def _tasks() -> str:
    done = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    "command", [said for said in COMMANDS if not re.match(r"(sudo )?(dvol|make) ", said)]
)
def test_any_other_command_is_typed_by_some_test(command: str) -> None:
    """In a block of these pages, or where ELSEWHERE says."""
    if any(re.search(rf"(?m)^    .*{re.escape(command)}", page) for page in PAGES.values()):
        return
    file, text = ELSEWHERE[command]
    assert text in (ROOT / file).read_text()


# -- docs/python.md ----------------------------------------------------------------------------

VERBS = re.findall(r"(?m)^\| `(\w+)\((.*?)\)` \|", PYTHON.partition("## The verbs")[2])


def _written(function: object) -> str:
    """Its parameters, as the page writes them."""
    parameters = list(inspect.signature(function).parameters.values())  # type: ignore[arg-type]
    plain = [one.replace(annotation=inspect.Parameter.empty) for one in parameters]
    return ", ".join(str(one) for one in plain if one.name != "self").replace("'", '"')


@pytest.mark.parametrize(("verb", "parameters"), [pytest.param(*one, id=one[0]) for one in VERBS])
def test_a_verb_has_the_parameters_that_are_written(verb: str, parameters: str) -> None:
    assert _written(getattr(Engine, verb)) == parameters


def test_every_verb_is_written() -> None:
    methods = {name for name, _ in inspect.getmembers(Engine, inspect.isfunction)}
    assert {verb for verb, _ in VERBS} == {one for one in methods if not one.startswith("_")}


@pytest.mark.parametrize(
    ("name", "function"), [("dvol.open", dvol.open), ("volumes", pytest_plugin.volumes)]
)
def test_a_function_has_the_parameters_that_are_written(name: str, function: object) -> None:
    written = next(said for said in in_code(PYTHON) if said.startswith(f"{name}(") and "=" in said)
    names = re.findall(r"(\w+)=", written)
    keyword = [one for one in inspect.signature(function).parameters if one != "names"]  # type: ignore[arg-type]
    assert names == keyword


def test_the_options_are_those_that_are_written() -> None:
    part = PYTHON.partition("| field of `ContainerOptions` |")[2].partition("\n\n")[0]
    written = re.findall(r"(?m)^\| `(\w+)` \| `([^`]*)` \|", part)
    defaults = model.ContainerOptions._field_defaults
    assert written == [(name, repr(value).replace("'", '"')) for name, value in defaults.items()]


def test_the_kinds_of_errors_are_those_that_are_written() -> None:
    written = re.findall(r"(?m)^\| `(\w+)` \| (\d+) \|", PYTHON.partition("## Errors")[2])
    kinds = [errors.DvolError, *errors.DvolError.__subclasses__()]
    assert [(name, int(code)) for name, code in written] == [
        (kind.__name__, kind.exit_code) for kind in kinds
    ]
