"""Test modules hold tests only: fixtures are in a conftest, and functions that several test modules
need are in modules of their own. So no file of tests/ imports from a `test_*` module."""

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def breaches(source: str, path: str) -> list[str]:
    """The imports of `test_*` modules in a source file, each with its path and line."""
    return [
        f"{path}:{node.lineno} imports {name}"
        for node in ast.walk(ast.parse(source, path))
        for name in imported(node)
        if any(part.startswith("test_") for part in name.split("."))
    ]


def imported(node: ast.AST) -> Iterator[str]:
    """The full names that an import statement imports; nothing for any other node."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def test_no_file_imports_from_a_test_module() -> None:
    files = sorted(TESTS.rglob("*.py"))
    assert len(files) > 100
    names = [str(file.relative_to(TESTS.parent)) for file in files]
    found = map(breaches, [file.read_text() for file in files], names)
    assert [*chain.from_iterable(found)] == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import tests.unit.test_names", "tests.unit.test_names"),
        ("from tests.contract.test_engine import commit", "tests.contract.test_engine.commit"),
        ("from tests.contract import test_engine", "tests.contract.test_engine"),
        ("from . import test_engine", ".test_engine"),
        ("def f(): import tests.test_architecture", "tests.test_architecture"),
    ],
)
def test_an_import_of_a_test_module_is_found(line: str, name: str) -> None:
    assert breaches(f"import os\n{line}\n", "tests/file.py") == [f"tests/file.py:2 imports {name}"]


@pytest.mark.parametrize(
    "line", ["import tests.contract.verbs", "from tests.contract.conftest import indexed"]
)
def test_other_imports_are_no_breach(line: str) -> None:
    assert breaches(line, "tests/file.py") == []
