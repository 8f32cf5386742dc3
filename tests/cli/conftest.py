"""Running the command against both keepers."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.conftest import keeper, nobody, place, server
from tests.contract.places import Keeper, environment
from tests.contract.trees import Entry, described

__all__ = [
    "keeper",
    "nobody",
    "place",
    "server",
]  # fixtures of the contract, here on one file system

ANN = "Ann <ann@example.org>"

# where the command itself refuses, or the contract has shown that keepers agree
on_disk = pytest.mark.parametrize("keeper", ["disk"], indirect=True)


@pytest.fixture(scope="session")
def filesystem() -> Iterator[Path]:
    """Where pools lie: in memory where that can be had, since no test here asks for more."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    place = Path(tempfile.mkdtemp(prefix="dvol-", dir=memory if usable else None))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def refused(self, code: int) -> str:
        """The one line that a refusal is."""
        assert (code, "") == (self.code, self.out), self.err
        assert re.fullmatch(r"[^\n]+\n", self.err), self.err
        assert self.err.isascii() or self.err[:-1].isprintable()
        return self.err.removeprefix("dvol: ").rstrip("\n")

    def said(self) -> str:
        """The one line of talk of a command that did well and printed nothing."""
        assert (self.code, self.out) == (0, ""), self.err
        assert re.fullmatch(r"[^\n]+\n", self.err), self.err
        return self.err.removeprefix("dvol: ").rstrip("\n")

    def well(self) -> str:
        """What a command printed that did well and had nothing to complain about."""
        assert (self.code, self.err) == (0, "")
        return self.out


def run(*argv: str | bytes, stdin: str = "", cwd: Path | str = "/", **variables: str) -> Done:
    """`dvol ARGV...` with the scrubbed environment and `variables`."""
    done = subprocess.run(
        [sys.executable, "-m", "dvol", *argv],
        env=environment(**variables),
        input=stdin.encode(),
        capture_output=True,
        cwd=cwd,
    )
    return Done(
        done.returncode,
        done.stdout.decode(errors="surrogateescape"),
        done.stderr.decode(errors="surrogateescape"),
    )


Dvol = Callable[..., Done]


@pytest.fixture
def dvol(keeper: Keeper) -> Dvol:
    """The command with the options that lead it to the keeper."""

    def command(*argv: str | bytes, **settings: str) -> Done:
        return run(*keeper.options, *argv, **settings)

    return command


@pytest.fixture
def volume(keeper: Keeper) -> Keeper:
    """A pool whose active volume `v` has two commits, `1` and `2`, and a branch `side`."""
    engine = keeper.engine
    engine.init("v")
    for content in ("1", "2"):
        (keeper.tree("v") / "file").write_text(content)
        engine.commit("v", content, ANN, "2026-08-31T12:34:56+02:00")
    engine.branch("v", "side")
    engine.checkout("v", "master")
    (keeper.tree("v") / "file").write_text("not committed")
    return keeper


def snapshot(pool: Path) -> dict[bytes, Entry]:
    """All that counts in a pool: lock files come and go, as do empty directories of dvol's own."""
    if not pool.exists():
        return {}
    return {
        path: entry
        for path, entry in described(pool).items()
        if not path.startswith(b"/.dvol/locks")
        and not (entry.kind == "d" and (b".dvol" in path.split(b"/") or path in (b"", b"/v")))
    }


@pytest.fixture
def unchanged(volume: Keeper) -> Iterator[Keeper]:
    """That pool, in which the test must change nothing."""
    before = snapshot(volume.pool)
    yield volume
    assert before == snapshot(volume.pool)


@pytest.fixture
def as_nobody(nobody: list[str]) -> Dvol:
    """The command as a user without rights; for tests that run as root."""

    def command(*argv: str) -> Done:
        done = subprocess.run(
            [*nobody, "-m", "dvol", *argv],
            env=environment(),
            capture_output=True,
            text=True,
            cwd="/",
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return command
