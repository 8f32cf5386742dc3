"""The house: a folder imports only folders below it, and some things stay in their rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. A folder, or a module at the root of dvol/, imports only what stands below it,
# or on the same line. `remotes` (sharing) and `web` (a page, in the command's own process) are to
# come.
FLOORS = """
    errors model sizes layout names dates
    fs
    tree
    journal
    backends
    containers
    history
    remotes
    trash
    pool
    fsck
    engine
    dvol
    web
    cli pytest_plugin __main__
    plugin
"""
# Who may import what: anybody else may not.
ROOMS = {
    "bottle": {"plugin.control", "plugin.volumedriver", "plugin.wire"},
    "waitress": {"plugin.sockets", "plugin.wire"},
    "docker": {"dvol.containers.docker", "dvol.containers.execution", "plugin.uninstall"},
    "requests": {"dvol.containers.docker", "plugin.uninstall"},
    "docopt": {"dvol.cli.usage", "plugin.__main__", "plugin.uninstall"},
    # these would cost every command more of its start than most of its work takes
    "dataclasses": {"plugin.control"},
    "inspect": {"plugin.control"},
    "subprocess": set(),
    "ctypes": {"dvol.fs.syscalls"},
    "fcntl": {
        "dvol.fs.locks",
        "dvol.fs.btrfs",
        "dvol.fs.extents",
        "dvol.fs.flags",
        "dvol.fs.projects",
        "dvol.tree.content",
    },
    "logging": {"plugin.__main__", "plugin.wire"},
    "os.environ": {"dvol.pytest_plugin", "dvol.cli.main", "dvol.cli.commands", "plugin.__main__"},
    "print": {"dvol.pytest_plugin", "dvol.cli.terminal", "plugin.uninstall"},
    "dvol.containers.docker": {"dvol.engine.connect", "plugin.__main__"},
}
BANNED = {"manager", "helper", "helpers", "utils", "util", "common", "misc", "base", "info"}
BREACHES = [
    ("dvol.engine.local", "import dvol.cli.main", 1),
    ("dvol.engine.local", "from dvol import cli", 1),
    ("dvol.history.history", "def f(): import dvol.engine.local", 1),
    ("dvol.fs.locks", "from dvol.tree.walk import fill", 1),
    ("dvol.errors", "from dvol import fs", 1),
    ("dvol.cli.main", "from plugin import wire", 1),
    ("dvol.cli.main", "import plugin", 1),
    ("dvol.cli.main", "import bottle", 1),
    ("dvol.engine.local", "import docker.errors", 1),
    ("dvol.fs.locks", "import subprocess", 1),
    ("dvol.pool.files", "from dvol.containers.docker import Docker", 1),
    ("dvol.engine.local", "import dvol.unlisted", 1),
    ("dvol.engine.local", "print(1)", 1),
    ("dvol.engine.local", "import os; os.environ", 1),
    ("dvol.engine.local", "from os import environ", 1),
    ("dvol.engine.local", "import os\nfrom dvol.history.history import History", 0),
    ("dvol.backends.copy.copy", "from dvol.backends.copy.freeze import Freezer", 0),
    ("dvol.engine.commit", "from dvol.engine.quiesce import Quiesce", 0),
    ("dvol.names", "from dvol.errors import InvalidName", 0),
    (
        "plugin.volumedriver",
        "from plugin import wire\nfrom dvol.engine.local import LocalEngine",
        0,
    ),
]

FLOOR = {name: at for at, line in enumerate(FLOORS.split("\n")) for name in line.split()}
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (*ROOT.glob("dvol/**/*.py"), *ROOT.glob("plugin/**/*.py"))
}


def used(tree: ast.AST) -> Iterator[str]:
    """Whole names of what is imported; `from dvol import x` means dvol.x where that is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole module"
            for whole in (f"{node.module}.{alias.name}" for alias in node.names):
                yield whole if whole in FILES or whole in ROOMS else str(node.module)
        elif isinstance(node, ast.Name) and node.id == "print":
            yield "print"
        elif isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            yield "os.environ"


def floor(module: str) -> int:
    """Where a module of ours stands; one that is not listed stands above all."""
    first, *rest = module.split(".")
    return FLOOR.get(rest[0] if rest and first == "dvol" else first, len(FLOOR))


def breaches(module: str, tree: ast.AST) -> list[str]:
    """What a module uses that it must not."""
    return [name for name in set(used(tree)) if not may_use(module, name)]


def may_use(module: str, name: str) -> bool:
    allowed = ROOMS.get(name, ROOMS.get(name.split(".")[0], {module}))
    below = not name.startswith(("dvol", "plugin")) or floor(name) <= floor(module)
    return module in allowed and (below or module == "dvol")  # whose `open()` imports when called


@pytest.mark.parametrize("module", sorted(FILES))
def test_a_folder_imports_only_folders_below_it(module: str) -> None:
    assert floor(module) < len(FLOOR)
    assert breaches(module, ast.parse(FILES[module].read_text())) == []
    assert BANNED.isdisjoint(module.replace("_", ".").split("."))


@pytest.mark.parametrize(("module", "line", "count"), BREACHES)
def test_a_breach_is_told(module: str, line: str, count: int) -> None:
    """The rule itself is tested: a test that cannot fail would hold nothing."""
    assert len(breaches(module, ast.parse(line))) == count
