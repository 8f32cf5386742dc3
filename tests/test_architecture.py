"""The house: imports go down only, and some things stay in their rooms. The tables are the rule."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Imports go to lower floors, to the same package, and sideways on the floors in SIDEWAYS.
FLOORS = {
    0: "dvol dvol.errors dvol.model",
    1: "dvol.names dvol.fs.directories dvol.fs.documents dvol.history.revisions dvol.fs.durable dvol.layout "
    "dvol.history.commits dvol.fs.beneath dvol.sizes dvol.pool.config",
    2: "dvol.history.history dvol.fs.locks dvol.journal.journal dvol.journal.steps dvol.containers "
    "dvol.containers.docker dvol.containers.container dvol.containers.start_order dvol.containers.policy "
    "dvol.trash.entries dvol.pool.format "
    "dvol.backends dvol.backends.copy.precopy dvol.backends.btrfs dvol.tree.change_detection "
    "dvol.tree.compare "
    "dvol.tree.content dvol.backends.copy.copy dvol.tree.delete dvol.tree.metadata "
    "dvol.backends.copy.freeze dvol.tree.index dvol.tree.hardlinks dvol.fs.mountinfo "
    "dvol.backends.copy.in_place "
    "dvol.backends.copy.thaw dvol.tree.space dvol.fs.btrfs dvol.tree.walk "
    "dvol.pool.volume dvol.engine.reset dvol.trash.reachability dvol.engine.restore dvol.fsck.volume dvol.fsck.repair "
    "dvol.fsck.index dvol.tree.usage dvol.pool.files dvol.fsck dvol.engine.gc dvol.engine.docker_volumes "
    "dvol.pool.suspended dvol.engine.quiesce dvol.history.groups dvol.engine.transaction",
    3: "dvol.engine",
    4: "dvol.engine.local dvol.engine.remote",
    5: "dvol.cli.usage dvol.cli.terminal dvol.engine.connect dvol.cli.identity dvol.cli.render",
    6: "dvol.cli.commands",
    7: "dvol.cli.main dvol.pytest_plugin",
    8: "dvol.__main__ plugin plugin.__main__ plugin.control plugin.propagated plugin.sockets "
    "plugin.uninstall plugin.volumedriver plugin.wire",
}
SIDEWAYS = {0, 1, 2}

# Who may import what: anybody else may not.
ROOMS = {
    "bottle": {"plugin.control", "plugin.volumedriver", "plugin.wire"},
    "waitress": {"plugin.sockets", "plugin.wire"},
    "docker": {"dvol.containers.docker", "plugin.uninstall"},
    "requests": {"dvol.containers.docker", "plugin.uninstall"},
    "docopt": {"dvol.cli.usage", "plugin.__main__", "plugin.uninstall"},
    # these would cost every command more of its start than most of its work takes
    "dataclasses": {"plugin.control"},
    "inspect": {"plugin.control"},
    "subprocess": set(),
    "ctypes": {"dvol.fs.durable", "plugin.propagated"},
    "fcntl": {"dvol.fs.locks", "dvol.tree.content", "dvol.fs.btrfs"},
    "logging": {"plugin.__main__", "plugin.wire"},
    "dvol.containers": {
        *(
            "dvol.engine.local",
            "dvol.engine.transaction",
            "dvol.engine.quiesce",
            "dvol.engine.connect",
            "plugin.__main__",
        ),
        *("dvol.pool.suspended",),
        *(f"dvol.containers.{room}" for room in ("docker", "facts", "order", "treatment")),
    },
    "dvol.containers.docker": {"dvol.engine.connect", "plugin.__main__"},
}
# What `dvol.open()` is made of; nothing there is loaded before it is called.
LATE = {"dvol": {"dvol.engine.connect", "dvol.engine", "dvol.model"}}
ENVIRONMENT = {"dvol.pytest_plugin", "dvol.cli.main", "dvol.cli.commands", "plugin.__main__"}
PRINTING = {"dvol.pytest_plugin", "dvol.cli.terminal", "plugin.uninstall"}
BANNED = {"manager", "helper", "helpers", "utils", "util", "common", "misc", "base", "info"}

FLOOR = {module: number for number, modules in FLOORS.items() for module in modules.split()}


def source_files() -> dict[str, Path]:
    """Every module of ours, by its name."""
    paths = [*ROOT.glob("dvol/**/*.py"), *ROOT.glob("plugin/**/*.py")]
    return {_name(path.relative_to(ROOT)): path for path in paths}


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """Whole names of what is imported; `from dvol import x` means dvol.x where that is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole module"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules else str(node.module)


def breaches(module: str, tree: ast.AST, modules: set[str]) -> list[str]:
    """What a module imports that it must not."""
    found = []
    for name in sorted(set(imported(tree, modules))):
        top = name.split(".")[0]
        allowed = ROOMS.get(name, ROOMS.get(top, {module}))
        if not _goes_down(module, name) or module not in allowed:
            found.append(f"{module} must not import {name}")
    return found


def _goes_down(module: str, name: str) -> bool:
    if name in LATE.get(module, ()):
        return True
    if name not in FLOOR:
        return not name.startswith(("dvol.", "plugin."))
    here, there = FLOOR[module], FLOOR[name]
    same_package = module.rpartition(".")[0] == name.rpartition(".")[0] != "dvol"
    return there < here or (there == here and (here in SIDEWAYS or same_package))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


FILES = source_files()
each_module = pytest.mark.parametrize("module", sorted(FILES))


def test_every_module_lives_on_a_floor() -> None:
    assert sorted(FLOOR) == sorted(FILES)


@each_module
def test_imports_go_down_and_stay_in_their_rooms(module: str) -> None:
    assert breaches(module, parsed(FILES[module]), set(FILES)) == []


@each_module
def test_the_environment_is_read_in_the_command_and_the_server_only(module: str) -> None:
    found = [
        f"{module}:{node.lineno}"
        for node in ast.walk(parsed(FILES[module]))
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"))
        or (isinstance(node, ast.ImportFrom) and node.module == "os")
    ]
    assert module in ENVIRONMENT or found == []


@each_module
def test_only_the_command_line_prints(module: str) -> None:
    found = [
        f"{module}:{node.lineno}"
        for node in ast.walk(parsed(FILES[module]))
        if isinstance(node, ast.Name) and node.id == "print"
    ]
    assert module in PRINTING or found == []


@each_module
def test_modules_are_named_for_what_they_hold(module: str) -> None:
    assert BANNED.isdisjoint(module.replace("_", ".").split("."))


@each_module
def test_a_module_says_what_lives_in_it(module: str) -> None:
    assert ast.get_docstring(parsed(FILES[module]))


@pytest.mark.parametrize(
    ("module", "line", "expected"),
    [
        (
            "dvol.engine.local",
            "import dvol.cli.main",
            ["dvol.engine.local must not import dvol.cli.main"],
        ),
        (
            "dvol.engine.local",
            "from dvol import cli",
            ["dvol.engine.local must not import dvol.cli.main"],
        ),
        (
            "dvol.engine.local",
            "import dvol.engine.remote",
            ["dvol.engine.local must not import dvol.engine.remote"],
        ),
        (
            "dvol.history.history",
            "def f(): import dvol.engine.local",
            ["dvol.history.history must not import dvol.engine.local"],
        ),
        ("dvol.cli.main", "from plugin import wire", ["dvol.cli.main must not import plugin.wire"]),
        ("dvol.cli.main", "import plugin", ["dvol.cli.main must not import plugin"]),
        ("dvol.cli.main", "import bottle", ["dvol.cli.main must not import bottle"]),
        (
            "dvol.engine.local",
            "import docker.errors",
            ["dvol.engine.local must not import docker.errors"],
        ),
        ("dvol.fs.locks", "import subprocess", ["dvol.fs.locks must not import subprocess"]),
        (
            "dvol.history.history",
            "from dvol.containers import Docker",
            ["dvol.history.history must not import dvol.containers"],
        ),
        (
            "dvol.engine.local",
            "import dvol.unlisted",
            ["dvol.engine.local must not import dvol.unlisted"],
        ),
        ("dvol.engine.local", "import os\nfrom dvol.history.history import History", []),
        ("dvol.backends.copy.copy", "from dvol.tree.metadata import Copier", []),
        ("plugin.control", "from plugin import wire", []),
        ("plugin.volumedriver", "from dvol.engine.local import Pool", []),
    ],
)
def test_a_breach_is_told(module: str, line: str, expected: list[str]) -> None:
    """The rule itself is tested: a test that cannot fail would hold nothing."""
    assert expected == breaches(module, ast.parse(line), set(FILES))
