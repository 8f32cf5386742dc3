"""What a page tells people to type."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

from tests.docker.installed import SOURCE, Installed


class Line(NamedTuple):
    """A command, and what the page shows as its output."""

    command: str
    shown: str = ""


def blocks(page: str) -> list[str]:
    """Its indented blocks, without that indentation."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page, flags=re.MULTILINE)
    return [dedent(block).strip("\n") for block in found]


def block_with(page: str, text: str) -> list[str]:
    """The lines of the first block that has `text` in it."""
    block = next(block for block in blocks(page) if text in block)
    return [line.strip() for line in block.splitlines() if line.strip()]


def lines_of(block: str) -> list[Line]:
    """The commands of a block, without their comments. Where any begins with `$ `, what does not
    is output."""
    joined = re.sub(r"\\\n +", "", block).splitlines()
    if not block.startswith("$ "):
        return [Line(re.sub(r" {2,}# .*", "", line)) for line in joined if line]
    lines: list[Line] = []
    for line in joined:
        if line.startswith("$ "):
            lines.append(Line(line[2:]))
        else:
            lines[-1] = lines[-1]._replace(shown=f"{lines[-1].shown}{line}\n")
    return lines


@dataclass
class Typist:
    """Types a block of a page in an Engine of the tests, and knows what is still to be typed.

    A command differs from the page in what is replaced, which must be in it; and in `sudo`, since
    tests that have an Engine are root's, and in the directory of `make`.
    """

    installed: Installed
    place: Path
    block: str
    env: dict[str, str] = field(default_factory=dict)
    left: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.env = dict(self.installed.env)
        self.left = lines_of(self.block)

    def type(self, replaced: Mapping[str, str] | None = None) -> str:
        """Type the next command; returns what a terminal would show."""
        return self.sh(_replaced(self.left.pop(0).command, replaced or {}))

    def type_all(self, replaced: Mapping[str, str] | None = None) -> list[str]:
        """Type what is left, line by line; each replacement must be in one of them at least."""
        commands = "\n".join(line.command for line in self.left)
        self.left.clear()
        return [self.sh(command) for command in _replaced(commands, replaced or {}).splitlines()]

    def type_as_one(self, replaced: Mapping[str, str] | None = None) -> str:
        """Type what is left in one and the same shell."""
        commands = "\n".join(line.command for line in self.left)
        self.left.clear()
        return self.sh(_replaced(commands, replaced or {}))

    def text(self, replaced: Mapping[str, str] | None = None) -> str:
        """The whole block, for a file."""
        self.left.clear()
        return _replaced(self.block, replaced or {}) + "\n"

    def sh(self, command: str) -> str:
        """Run a line in a shell; what it printed, errors among it."""
        command = re.sub(r"\bsudo ", "", command)
        command = re.sub(r"\bmake (?!-)", f"make -s -C {SOURCE} ", command)
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            env=self.env,
            cwd=self.place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}"
        return done.stdout


def shows(shown: str, printed: str) -> bool:
    """Whether what a page shows was printed, in that order; ids and times are never the same."""
    rest = iter(_without_ids_and_times(printed).splitlines())
    return all(line in rest for line in _without_ids_and_times(shown).splitlines())


def _without_ids_and_times(text: str) -> str:
    text = re.sub(r"\b([0-9a-f]{40}|[0-9a-f]{7})\b", "ID", text)
    text = re.sub(r"\d+\.\d s\b", "N s", text)
    return re.sub(r"(?m)^real\s.*", "real", text)


def _replaced(text: str, replaced: Mapping[str, str]) -> str:
    for old, new in replaced.items():
        assert old in text, f"'{old}' is no longer in: {text}"
        text = text.replace(old, new)
    return text
