"""The README, walked top to bottom: every command in it does what it says."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.docker.installed import SOURCE, Installed, run
from tests.docker.readmes import block_with
from tests.lab.images import SHELL

README = (SOURCE / "README.md").read_text()


def shell(installed: Installed, line: str, cwd: Path) -> str:
    return run(["sh", "-c", f"cd {cwd}; {line}"], installed.env).stdout


def on_a_terminal(installed: Installed, line: str, answer: str) -> None:
    """Run a command that asks, and answer it."""
    ours, its = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    subprocess.run(shlex.split(line), env=installed.env, stdin=its, check=True)
    os.close(ours)
    os.close(its)


def test_the_first_steps_print_hello(installed: Installed, tmp_path: Path) -> None:
    lines = block_with(README, "dvol init frob_mysql")
    printed = [shell(installed, line, tmp_path) for line in lines]
    assert printed[-1] == "hello\n"


def test_the_data_of_a_volume_of_dockers_own_is_brought_in(
    installed: Installed, tmp_path: Path
) -> None:
    write = ("-v", "old_db:/data", SHELL, "sh", "-c", "echo old > /data/file")
    installed.engine.docker("run", "--rm", "--network", "none", *write)
    for line in block_with(README, "old_db:/from"):
        shell(installed, line.replace("--rm", "--rm --network none"), tmp_path)
    assert installed.container("shop_db", "cat /data/file") == "old\n"
    assert "as it was" in installed.dvol("log", "shop_db").stdout


def test_each_everyday_command_works(installed: Installed, tmp_path: Path) -> None:
    """The lines stand in an order in which they can be typed."""
    installed.dvol("init", "frob_mysql")
    for number in range(3):
        installed.dvol("commit", "-m", str(number))
    commands = [re.split(r" {3,}", line)[0] for line in block_with(README, "dvol checkout -b")]
    assert len(commands) == 11
    for command in commands:
        if command.startswith("dvol rm"):
            on_a_terminal(installed, command, "y")
        else:
            shell(installed, command, tmp_path)
    assert installed.listed() == []


def test_the_line_that_runs_the_command_inside_the_plugin(
    installed: Installed, volume: str, tmp_path: Path
) -> None:
    """But for sudo and for where this Engine keeps its state."""
    line = " ".join(block_with(README, "runc --root")).replace("\\ ", "").removeprefix("sudo ")
    line = line.replace("/run/docker/", f"{installed.engine.exec_root}/")
    assert volume in shell(installed, line, tmp_path)


@pytest.mark.parametrize("name", ["demo", "test", "install", "uninstall", "exec"])
def test_a_make_target_that_it_names_exists(name: str) -> None:
    assert f"make {name}" in README
    targets = run(["make", "-C", str(SOURCE)], dict(os.environ)).stdout
    assert re.search(rf"^  {name}\b", targets, flags=re.MULTILINE)


def test_each_file_that_it_links_to_exists() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (SOURCE / link).is_file()
