"""What the pages say of the code is true."""

import ast
import re
from pathlib import Path

import pytest

from dvol.errors import kinds

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FOLDERS = sorted(path.parent for path in ROOT.glob("dvol/*/__init__.py"))


def test_the_page_on_the_protocol_lists_every_error_as_it_is() -> None:
    table = re.findall(
        r"^\| `(\w+)` \| (\d+) \| (\d+) \| (.*) \|$", (DOCS / "protocol.md").read_text(), re.M
    )
    listed = {name: (int(code), int(status), text) for name, code, status, text in table}
    assert listed == {
        kind.__name__: (kind.exit_code, kind.status, " ".join((kind.__doc__ or "").split()))
        for kind in kinds()
    }


def test_the_page_on_the_design_opens_with_the_promise() -> None:
    text = (DOCS / "design.md").read_text()
    promise = "> Kill dvol or cut the power at any moment: afterwards every volume is as it was"
    assert promise in text[:600]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_says_what_lives_there_as_the_page_on_the_design_does(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    sentence = " ".join(text.split("\n\n")[0].split())
    assert f"| `{folder.name}/` | {sentence} |" in (DOCS / "design.md").read_text()


def test_the_root_of_the_library_holds_no_more_than_nine_modules() -> None:
    assert len([*ROOT.glob("dvol/*.py")]) <= 9


@pytest.mark.parametrize("path", [*ROOT.glob("dvol/**/*.py"), *ROOT.glob("plugin/*.py")], ids=str)
def test_a_module_says_what_lives_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_the_page_on_the_design_shows_the_tree_as_it_is() -> None:
    text = (DOCS / "design.md").read_text()
    block = next(one for one in text.split("\n\n") if one.startswith("    dvol/ "))
    listed = re.sub(r"(?m)^ {8,}", "  ", block).split()
    folders = [word for word in listed if word.endswith("/")]
    modules = [*ROOT.glob("dvol/**/*.py"), *ROOT.glob("plugin/*.py")]
    names = sorted(path.stem for path in modules if path.name != "__init__.py")
    assert sorted(word for word in listed if not word.endswith("/")) == names
    assert len(folders) == 2 + len([*ROOT.glob("dvol/**/__init__.py")]) - 1
