"""A pool of an ordinary user, in which root is killed. These functions run in the worker, as the
user where the words say so: `OF_A_USER` are verbs of that user."""

import getpass  # noqa: F401  the user could not import it
import os
from pathlib import Path

from dvol.cli.main import main
from tests.crash import history
from tests.crash.calls import Call
from tests.crash.history import wiped
from tests.crash.killing import at
from tests.crash.tracer import KILL, traced, untraced
from tests.crash.worker import USER

AS_USER = "commit of a user"  # the worker becomes the user for it
# the next command deletes what root has only staged
NEXT = ("commit -m after v", "reset --hard HEAD^ v", "gc --now -f")


def argv(root: Path, words: str) -> list[str]:
    return ["--pool", str(root), "--disable-docker-integration", *words.split()]


def built(root: Path, by: str, user: str) -> None:
    """Build the user's pool, by that function of `history`."""
    assert user == AS_USER
    assert os.geteuid() == USER
    getattr(history, by)(root)


def prepared(root: Path) -> None:
    """Make way for a new pool."""
    wiped(root)


def calls_of_root(root: Path, words: str) -> list[Call]:
    """The calls of root's command."""
    done = traced(lambda: main(argv(root, words)), str(root))
    assert done.code == 0, done.said
    return done.calls


def killed_root(root: Path, words: str, number: int) -> bool:
    """Kill root's command at its call of that number; whether it died."""
    return traced(lambda: main(argv(root, words)), str(root), at(number, KILL)).killed


def user_goes_on(root: Path, user: str) -> list[str]:
    """What hinders the user, and which of the files that are left are not the user's."""
    assert user == AS_USER
    found = []
    for words in NEXT:
        done = untraced(lambda words=words: main(argv(root, words)))
        if done.code:
            found.append(f"{words}: {done.said}")
    left = [*root.glob(".dvol/staging/*"), *root.glob("*/.dvol/staging/*")]
    return found + [f"left: {path}" for path in left if path.name != "index"] + foreign(root)


def foreign(root: Path) -> list[str]:
    """The directories that are not the user's."""
    paths = [Path(folder) for folder, _, _ in os.walk(root)]
    return [f"foreign: {path}" for path in paths if path.lstat().st_uid != USER]
