"""Two hundred random things done to volumes and containers, against a model of what must be so.

Without `--rounds N` it is a shorter walk, the same each time. The seed is printed; SEED=N repeats a
run.
"""

from __future__ import annotations

import os
import random
import signal
from dataclasses import dataclass, field

import pytest

from tests.docker.installed import Installed, server_pid, wait_for

KEPT = 10  # discarded states of a branch
History = list[tuple[str, str]]  # ids, and the content each holds


@dataclass
class Branch:
    """What a branch holds: its tree's content, its commits, and what resets have discarded."""

    tree: str
    line: History = field(default_factory=list)
    undo: list[tuple[str, History]] = field(default_factory=list)


@dataclass
class Model:
    """A volume, and the one container that has it, as they must be."""

    volume: str
    branches: dict[str, Branch] = field(default_factory=lambda: {"master": Branch("")})
    current: str = "master"
    runs: bool = True

    @property
    def app(self) -> str:
        return f"app-{self.volume}"

    @property
    def branch(self) -> Branch:
        return self.branches[self.current]

    def discard(self, tree: str, line: History) -> None:
        """What reset does: nothing at all where nothing differs."""
        old = (self.branch.tree, self.branch.line)
        if old != (tree, line):
            self.branch.undo = [*self.branch.undo, old][-KEPT:]
        self.branch.tree, self.branch.line = tree, line


class World:
    """The real thing beside the models, and everything that may happen to it."""

    def __init__(self, installed: Installed, dice: random.Random) -> None:
        self.installed = installed
        self.dice = dice
        self.count = 0
        self.models = [Model("shop_db"), Model("shop_cache")]
        for model in self.models:
            installed.dvol("init", model.volume)
            installed.start(model.volume, model.app)

    def write(self, model: Model) -> None:
        self.count += 1
        command = f"echo {self.count} > /data/file"
        if model.runs:
            self.installed.engine.docker("exec", model.app, "sh", "-c", command)
        else:
            self.installed.container(model.volume, command)
        model.branch.tree = str(self.count)

    def commit(self, model: Model) -> None:
        mode = self.dice.choice(["--stop", "--pause"])
        id = self.installed.dvol("commit", "-m", "x", mode, model.volume).stdout.strip()
        model.branch.line = [*model.branch.line, (id, model.branch.tree)]

    def reset(self, model: Model) -> None:
        lines = [branch.line for branch in model.branches.values() if branch.line]
        if lines:
            line = self.dice.choice(lines)
            end = self.dice.randrange(len(line)) + 1
            self.installed.dvol("reset", "--hard", line[end - 1][0], model.volume)
            model.discard(line[end - 1][1], line[:end])

    def undo(self, model: Model) -> None:
        done = self.installed.dvol("undo", model.volume, check=False)
        assert done.returncode == (0 if model.branch.undo else 3), done
        if model.branch.undo:
            model.discard(*model.branch.undo.pop())

    def branch(self, model: Model) -> None:
        if model.branch.line and len(model.branches) < 5:
            name = f"b{self.count}-{len(model.branches)}"
            self.installed.dvol("checkout", "-b", name, model.volume)
            line = model.branch.line
            model.branches[name], model.current = Branch(line[-1][1], line), name

    def checkout(self, model: Model) -> None:
        model.current = self.dice.choice(list(model.branches))
        self.installed.dvol("checkout", model.current, model.volume)

    def end(self, model: Model) -> None:
        how = self.dice.choice(["stop", "kill"])
        if model.runs:
            self.installed.engine.docker(how, model.app)
            model.runs = False

    def start(self, model: Model) -> None:
        self.installed.engine.docker("start", model.app)
        model.runs = True

    def restart_server(self, model: Model) -> None:
        if self.dice.random() < 0.5:
            os.kill(server_pid(self.installed), signal.SIGKILL)
        else:
            self.installed.engine.docker("plugin", "disable", "-f", "dvol")
            self.installed.engine.docker("plugin", "enable", "dvol")
        wait_for(lambda: self.installed.dvol("list", check=False).returncode == 0, "it answers")

    def restart_daemon(self, model: Model) -> None:
        self.installed.engine.restart()
        wait_for(lambda: self.installed.dvol("list", check=False).returncode == 0, "it answers")
        for each in self.models:  # they have no restart policy
            each.runs = False

    def compare(self, told: str) -> None:
        """All of it, against all of the models."""
        shown = self.installed.dvol("list").stdout
        for model in self.models:
            assert (model.app in shown) == model.runs, (told, shown)
            tree = self.installed.pool / model.volume / "branches" / model.current
            file = tree / "file"
            found = file.read_text().strip() if file.exists() else ""
            assert found == model.branch.tree, told
            log = self.installed.dvol("log", model.volume).stdout.splitlines()
            ids = [line.split()[1] for line in log if line.startswith("commit ")]
            assert ids == [id for id, _ in reversed(model.branch.line)], told
            branches = self.installed.dvol("branch", model.volume).stdout.split()
            assert set(branches) - {"*"} == set(model.branches), told


ODDS = {
    "write": 30,
    "commit": 20,
    "reset": 14,
    "undo": 8,
    "branch": 4,
    "checkout": 8,
    "end": 5,
    "start": 8,
    "restart_server": 2,
    "restart_daemon": 1,
}


@pytest.mark.slow
def test_what_happens_is_what_the_model_says(
    installed: Installed, request: pytest.FixtureRequest
) -> None:
    asked = request.config.getoption("--rounds")
    rounds, usual = (asked, random.randrange(10**6)) if asked else (60, 7)
    seed = int(os.environ.get("SEED") or usual)
    print(f"SEED={seed}")
    dice = random.Random(seed)
    world = World(installed, dice)
    done: list[str] = []
    for _ in range(rounds):
        [what] = dice.choices(list(ODDS), list(ODDS.values()))
        model = dice.choice(world.models)
        done.append(f"{what} {model.volume}")
        getattr(world, what)(model)
        world.compare(f"SEED={seed}: after {' '.join(done[-5:])}")
    assert installed.dvol("fsck", check=False).returncode == 0
