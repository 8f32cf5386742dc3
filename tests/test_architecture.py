"""The house: imports go down only, and some things stay in their rooms. The tables are the rule."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Imports go to lower floors, to the same package, and sideways on the floors in SIDEWAYS.
FLOORS = {
    0: "dvol dvol.errors dvol.model",
    1: "dvol.names dvol.directories dvol.documents dvol.revisions dvol.atomic dvol.layout "
    "dvol.authorship dvol.beneath dvol.sizes dvol.config",
    2: "dvol.history dvol.locks dvol.journal dvol.steps dvol.containers "
    "dvol.containers.docker dvol.containers.facts dvol.containers.order dvol.containers.treatment "
    "dvol.trash dvol.mark "
    "dvol.backends dvol.backends.ahead dvol.backends.btrfs dvol.backends.clean "
    "dvol.backends.comparing "
    "dvol.backends.content dvol.backends.copy dvol.backends.deletion dvol.backends.entries "
    "dvol.backends.freezing dvol.backends.index dvol.backends.links dvol.backends.mounts "
    "dvol.backends.replacing "
    "dvol.backends.restoring dvol.backends.space dvol.backends.subvolumes dvol.backends.walk "
    "dvol.volume_files dvol.resets dvol.discarded dvol.restore dvol.fsck.volume dvol.fsck.repair "
    "dvol.fsck.index dvol.weighing dvol.pool_files dvol.fsck dvol.gc dvol.door "
    "dvol.ended dvol.quiescence dvol.together dvol.changes",
    3: "dvol.engine",
    4: "dvol.pool dvol.client",
    5: "dvol.arguments dvol.terminal dvol.connect dvol.identity dvol.render",
    6: "dvol.commands",
    7: "dvol.cli dvol.pytest_plugin",
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
    "docopt": {"dvol.arguments", "plugin.__main__", "plugin.uninstall"},
    # these would cost every command more of its start than most of its work takes
    "dataclasses": {"plugin.control"},
    "inspect": {"plugin.control"},
    "subprocess": set(),
    "ctypes": {"dvol.atomic", "plugin.propagated"},
    "fcntl": {"dvol.locks", "dvol.backends.content", "dvol.backends.subvolumes"},
    "logging": {"plugin.__main__", "plugin.wire"},
    "dvol.containers": {
        *("dvol.pool", "dvol.changes", "dvol.quiescence", "dvol.connect", "plugin.__main__"),
        *("dvol.ended",),
        *(f"dvol.containers.{room}" for room in ("docker", "facts", "order", "treatment")),
    },
    "dvol.containers.docker": {"dvol.connect", "plugin.__main__"},
}
# What `dvol.open()` is made of; nothing there is loaded before it is called.
LATE = {"dvol": {"dvol.connect", "dvol.engine", "dvol.model"}}
ENVIRONMENT = {"dvol.pytest_plugin", "dvol.cli", "dvol.commands", "plugin.__main__"}
PRINTING = {"dvol.pytest_plugin", "dvol.terminal", "plugin.uninstall"}
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
        ("dvol.pool", "import dvol.cli", ["dvol.pool must not import dvol.cli"]),
        ("dvol.pool", "from dvol import cli", ["dvol.pool must not import dvol.cli"]),
        ("dvol.pool", "import dvol.client", ["dvol.pool must not import dvol.client"]),
        ("dvol.history", "def f(): import dvol.pool", ["dvol.history must not import dvol.pool"]),
        ("dvol.cli", "from plugin import wire", ["dvol.cli must not import plugin.wire"]),
        ("dvol.cli", "import plugin", ["dvol.cli must not import plugin"]),
        ("dvol.cli", "import bottle", ["dvol.cli must not import bottle"]),
        ("dvol.pool", "import docker.errors", ["dvol.pool must not import docker.errors"]),
        ("dvol.locks", "import subprocess", ["dvol.locks must not import subprocess"]),
        (
            "dvol.history",
            "from dvol.containers import Docker",
            ["dvol.history must not import dvol.containers"],
        ),
        ("dvol.pool", "import dvol.unlisted", ["dvol.pool must not import dvol.unlisted"]),
        ("dvol.pool", "import os\nfrom dvol.history import History", []),
        ("dvol.backends.copy", "from dvol.backends.entries import Copier", []),
        ("plugin.control", "from plugin import wire", []),
        ("plugin.volumedriver", "from dvol.pool import Pool", []),
    ],
)
def test_a_breach_is_told(module: str, line: str, expected: list[str]) -> None:
    """The rule itself is tested: a test that cannot fail would hold nothing."""
    assert expected == breaches(module, ast.parse(line), set(FILES))
