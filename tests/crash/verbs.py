"""The verbs under test, as words of the command, and the conditions they are tried under.

A new verb is a line here.
"""

import errno
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dvol.cli.main import main
from dvol.cli.terminal import print_error
from dvol.engine.local import LocalEngine
from dvol.errors import BackendFailed, Corrupt, DvolError, NoSpace
from dvol.fs import durable
from dvol.tree import space
from tests.crash import history
from tests.crash.calls import Call
from tests.crash.history import ANN
from tests.crash.tracer import Decide, Decision, Suspension, let_it_be, traced, untraced

DISK_FAILED, BROKEN = BackendFailed.exit_code, Corrupt.exit_code


@dataclass(frozen=True)
class Verb:
    """A verb: `words` are its command line, in which `{2}` is the id of the commit with the message
    2, and `{entry}` the entry that was discarded last. One that has no command is a `call`.

    `settles`: the live tree is durable once the verb has happened. `repeats`: another try does it
    once more. `journalled`: it writes a journal. `without`: calls that the file system lacks.
    """

    words: str = ""
    call: Callable[[LocalEngine], object] | None = None
    settles: bool = False
    repeats: bool = False
    journalled: bool = False
    without: tuple[str, ...] = ()
    refused: tuple[int, ...] = (DISK_FAILED,)  # the exit codes with which it says so
    dirty_pages: bool = False  # other processes have many dirty pages in memory
    cramped: bool = False  # no copy of a tree fits on the disk
    discards: bool = False  # uncommitted changes are not kept
    recovery: str = "list"  # the next command, which completes it if it dies
    deletes: bool = False  # it deletes what was committed, on purpose
    onto: str = ""  # the branch that a commit of the verb is on, if it is not the current one
    frees: bool = False  # it makes room, so a full disk must not stop it
    build: Callable[[Path], None] = history.build

    def argv(self, root: Path) -> list[str]:
        # asked only if need be: it would recover the pool
        ids = _ids(root) if "{" in self.words else []
        entry = _last_discarded(root) if "{entry}" in self.words else ""
        words = shlex.split(self.words.format(*ids, entry=entry))
        return ["--pool", str(root), "--disable-docker-integration", *words]

    def perform(self, root: Path, decide: Decide = let_it_be) -> Suspension:
        """Run it in a process of its own; see `traced`."""

        def decided(call: Call) -> Decision:
            return -errno.EINVAL if call.name in self.without else decide(call)

        return traced(self._process(root), str(root), decided)

    def repeat(self, root: Path) -> Suspension:
        """The same, undisturbed; what calls it makes is not told."""
        return self.perform(root) if self.without else untraced(self._process(root))

    def _process(self, root: Path) -> Callable[[], int]:
        argv = self.argv(root)

        def run() -> int:
            # as if other processes had a terabyte of dirty pages, or none at all
            durable.dirty = lambda: 1 << 40 if self.dirty_pages else 0
            if self.cramped:
                space.require = _no_space
            return _called(self.call, root) if self.call else main(argv)

        return run


def _called(call: Callable[[LocalEngine], object], root: Path) -> int:
    """Run a verb as the command runs its own; returns the exit code."""
    try:
        call(LocalEngine(root))
    except DvolError as error:
        print_error(str(error))
        return error.exit_code
    return 0


def _stash(*volumes: str) -> Callable[[LocalEngine], object]:
    return lambda engine: engine.stash([*volumes], "new", "aside", ANN)


def _no_space(directory: int, label: Path | str, needed: Callable[[], int]) -> None:
    raise NoSpace(str(label), str(needed()), "0")


def _ids(root: Path) -> list[str]:
    """The ids of the commits whose messages are numbers, in the place of that number."""
    if not (root / "v").exists():
        return [""] * 9
    pool = LocalEngine(root)
    found = {one.message: one.id for branch in pool.branches("v") for one in _log(pool, branch)}
    return [found.get(str(number), "") for number in range(9)]


def _last_discarded(root: Path) -> str:
    found = LocalEngine(root).discarded()
    return found[0].entry if found else "no-entry"


def _log(pool: LocalEngine, branch) -> list:
    return pool.log("v", branch.name) if branch.head else []


VERBS = {
    "init the pool": Verb("init w", journalled=True, build=history.nothing),
    "init": Verb("init w", journalled=True),
    "switch": Verb("switch other"),
    "commit": Verb(f"commit --author '{ANN}' -m new v", repeats=True),
    "reset": Verb("reset --hard {1} v", settles=True, journalled=True),
    "reset to HEAD": Verb("reset --hard {2} v", settles=True, journalled=True),
    "reset to side": Verb("reset --hard {3} v", settles=True, journalled=True),
    "reset without exchange": Verb(
        "reset --hard {1} v", settles=True, journalled=True, without=("renameat2",)
    ),
    "reset among dirty pages": Verb(
        "reset --hard {1} v", settles=True, journalled=True, dirty_pages=True
    ),
    "commit together": Verb(
        f"commit --author '{ANN}' -m new --volume v --volume other", repeats=True, journalled=True
    ),
    "reset together": Verb(
        "reset --hard {4} --volume v --volume other",
        settles=True,
        journalled=True,
        build=history.build_together,
    ),
    "discard": Verb("reset --hard --discard {2} v", settles=True, journalled=True, discards=True),
    "discard to side": Verb(
        "reset --hard --discard {3} v", settles=True, journalled=True, discards=True
    ),
    "refill": Verb(
        "reset --hard --discard {2} v",
        settles=True,
        journalled=True,
        discards=True,
        cramped=True,
        recovery="config v commit.mode stop",
    ),
    "refill to side": Verb(
        "reset --hard --discard {3} v",
        settles=True,
        journalled=True,
        discards=True,
        cramped=True,
        recovery="config v commit.mode stop",
    ),
    "refill together": Verb(
        "reset --hard --discard {4} --volume v --volume other",
        settles=True,
        journalled=True,
        discards=True,
        cramped=True,
        recovery="config v commit.mode stop",
        build=history.build_together,
    ),
    "undo": Verb(
        "undo v", settles=True, repeats=True, journalled=True, build=history.build_and_reset
    ),
    "checkout": Verb("checkout side v"),
    "checkout -b": Verb("checkout -b new v", journalled=True),
    "stash": Verb(call=_stash("v"), onto="new", settles=True, journalled=True),
    "stash together": Verb(call=_stash("v", "other"), onto="new", settles=True, journalled=True),
    "stash without exchange": Verb(
        call=_stash("v"), onto="new", settles=True, journalled=True, without=("renameat2",)
    ),
    "branch -d": Verb("branch -d side v", journalled=True),
    "tag": Verb("tag x {1} v"),
    "tag -d": Verb("tag -d old v", build=history.build_and_tag),
    "drop": Verb("drop {1} v", journalled=True),
    "prune": Verb("prune --keep-last 1 v", journalled=True),
    "undo together": Verb(
        "undo --volume v --volume other",
        settles=True,
        repeats=True,
        journalled=True,
        build=history.build_and_reset_together,
    ),
    "rm": Verb("rm -f v", journalled=True),
    "restore a volume": Verb("restore {entry}", build=history.build_and_remove),
    "restore a branch": Verb("restore {entry}", journalled=True, build=history.build_and_delete),
    "restore a state": Verb("restore {entry} old", journalled=True, build=history.build_and_reset),
    "gc of commits": Verb(
        "gc --now -f", frees=True, deletes=True, journalled=True, build=history.build_and_delete
    ),
    "gc": Verb("gc --now -f", frees=True, build=history.build_and_remove),
    "fsck": Verb(
        "fsck --repair v",
        journalled=True,
        refused=(DISK_FAILED, BROKEN),
        build=history.build_and_forget,
    ),
}
# of an ordinary user, whose trees have directories that he may not write to
OF_A_USER = {
    f"{name} of a user": replace(VERBS[name], words=words or VERBS[name].words, build=build)
    for name, words, build in (
        ("commit", "", history.build_locked),
        ("reset", "", history.build_locked),
        ("reset to HEAD", "reset --hard {4} v", history.build_locked),
        ("reset without exchange", "", history.build_locked),
        ("reset together", "reset --hard HEAD --volume v --volume other", history.build_locked),
        ("discard", "reset --hard --discard {4} v", history.build_locked),
        ("refill", "reset --hard --discard {4} v", history.build_locked),
        ("undo", "", history.build_locked_and_reset),
        ("checkout -b", "", history.build_locked),
        ("stash", "", history.build_locked),
        ("branch -d", "branch -d locked v", history.build_locked),
        ("rm", "", history.build_locked),
        ("restore a state", "", history.build_locked_and_reset),
        ("gc of commits", "", history.build_locked_and_delete),
    )
}
# in trees with append-only and immutable files and directories, which the steps unlock
OF_FLAGS = {
    f"{name} of flags": replace(VERBS[name], words=words or VERBS[name].words, build=build)
    for name, words, build in (
        ("commit", "", history.build_flagged),
        ("reset", "", history.build_flagged),
        ("reset to HEAD", "reset --hard {4} v", history.build_flagged),
        ("reset without exchange", "reset --hard {4} v", history.build_flagged),
        ("reset together", "reset --hard HEAD --volume v --volume other", history.build_flagged),
        ("refill", "reset --hard --discard {4} v", history.build_flagged),
        ("undo", "", history.build_flagged_and_reset),
        ("checkout -b", "", history.build_flagged),
        ("stash", "", history.build_flagged),
        ("branch -d", "branch -d flagged v", history.build_flagged),
        ("rm", "", history.build_flagged),
        ("restore a branch", "", history.build_flagged_and_delete),
        ("restore a state", "", history.build_flagged_and_reset),
        ("gc of commits", "", history.build_flagged_and_drop),
    )
}
ALL = VERBS | OF_A_USER | OF_FLAGS
