"""The earlier pools, each built by the package in the zip; runs with that zip first on the path.

    python -m tests.contract.earlier.pools build DIRECTORY
    python -m tests.contract.earlier.pools answer QUESTION DIRECTORY

`build` makes the pools in a directory, `answer` prints what the package itself says of each.
A verb dies as in the crash rings: the kernel kills its process at the call that is named.
"""

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from dvol.containers.facts import Ended
from dvol.ended import note

import dvol
from dvol.cli import main
from dvol.containers import NoContainers
from dvol.layout import PoolLayout
from dvol.pool import Pool
from tests.contract.earlier.answers import ANN, ASKED
from tests.contract.earlier.images import ZIP
from tests.crash.calls import NEW_NAME, Call
from tests.crash.tracer import KILL, Decision, traced

COMMIT = f"commit --author '{ANN}' -m"
ANONYMOUS = "a1" * 32  # as Docker calls a volume that nobody named
FIRST = "2026-01-01T00:00:01Z"  # when the stand-in for Docker has started its containers
Words = str | Callable[[Pool], object]


class Point(NamedTuple):
    """A call at which a verb dies: the `number`-th one with one of `names` and a target that ends
    with `target`; of those after the journal is in place, unless it is `early`."""

    names: frozenset[str]
    number: int = 1
    target: str = ""
    early: bool = False

    def fits(self, call: Call) -> bool:
        return call.name in self.names and call.target.endswith(self.target)


def step(number: int) -> Point:
    """Before the step of that number, counted from 1, of those that change a name."""
    return Point(frozenset(NEW_NAME), number)


def turn(target: str) -> Point:
    """Before a document is put in its place."""
    return Point(frozenset(NEW_NAME), target=target, early=True)


TIMES = Point(frozenset({"utimensat"}), 2)
DRESS = Point(frozenset({"fchmod"}))
DISCARD = Point(frozenset({"unlinkat"}), 2)  # half of it is deleted
SWEEP = DISCARD
LAST = Point(frozenset({"unlink"}))  # of the journal: all else is done
STAGED = turn("/journal.json")


class Maker:
    """Has verbs done on the pool at `root`, and has them die."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def pool(self) -> Pool:
        return Pool(self.root, NoContainers(certain=True))

    def tree(self, volume: str, branch: str = "master") -> Path:
        return self.root / volume / "branches" / branch

    def do(self, *verbs: Words) -> None:
        for words in verbs:
            ended = traced(lambda words=words: self._perform(words), str(self.root))
            assert ended.code == 0, (words, ended.said)

    def die(self, words: Words, point: Point) -> None:
        """Have a verb killed at a point."""
        counted, begun = 0, point.early

        def decide(call: Call) -> Decision:
            nonlocal counted, begun
            if begun and point.fits(call):
                counted += 1
                return KILL if counted == point.number else None
            begun = begun or call.journals
            return None

        ended = traced(lambda: self._perform(words), str(self.root), decide)
        assert ended.killed, (words, point, ended.code, ended.said, ended.calls)

    def _perform(self, words: Words) -> int:
        if callable(words):
            words(self.pool)
            return 0
        return main(["--pool", str(self.root), "--disable-docker-integration", *self._split(words)])

    def _split(self, words: str) -> list[str]:
        """`{entry}` is what was discarded last."""
        entry = self.pool.discarded()[0].entry if "{entry}" in words else ""
        return shlex.split(words.format(entry=entry))


# -- what is in a volume ---------------------------------------------------------------------------


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def begin(tree: Path) -> None:
    """Something for each kind of change that is to come."""
    for name in ("file", "kept", "replaced", "removed", "closed/inside", "gone/a"):
        put(tree / name, f"{name}, first")
    (tree / "link").symlink_to("kept")
    os.chown(tree / "kept", 999, 999)


def change(tree: Path, text: str) -> None:
    """Every kind of change: added, removed, replaced, another mode, other times."""
    put(tree / "file", text)
    put(tree / "new", f"{text}, new")
    put(tree / "inside" / "it", f"{text}, inside")
    (tree / "removed").unlink(missing_ok=True)
    if (tree / "gone").is_dir():
        (tree / "gone" / "a").unlink()
        (tree / "gone").rmdir()
    put(tree / "replaced.new", f"{text}, replaced")
    (tree / "replaced.new").rename(tree / "replaced")
    (tree / "closed").chmod(0o700 if (tree / "closed").stat().st_mode & 0o077 else 0o755)


def grown(maker: Maker, *volumes: str) -> None:
    """Volumes of two commits each, and changes that nobody committed."""
    for name in volumes or ("v",):
        maker.do(f"init {name}")
        begin(maker.tree(name))
        maker.do(f"{COMMIT} one {name}")
        put(maker.tree(name) / "file", "second")
        maker.do(f"{COMMIT} two {name}")
        change(maker.tree(name), "not committed")


def branched(maker: Maker) -> None:
    """The same, and a branch `old` with a commit and a discarded state of its own."""
    grown(maker)
    maker.do("checkout -b old v")
    put(maker.tree("v", "old") / "file", "old")
    maker.do(f"{COMMIT} three v")
    change(maker.tree("v", "old"), "discarded of old")
    maker.do("reset --hard HEAD v", "checkout master v")


def deleted(maker: Maker) -> None:
    """The same, with that branch in the trash."""
    branched(maker)
    maker.do("branch -d old v")


def reset(maker: Maker) -> None:
    """The same as `grown`, after a reset that dropped a commit."""
    grown(maker)
    maker.do("reset --hard HEAD^ v")


def together(maker: Maker) -> None:
    """Two volumes that were committed as one, and changed since."""
    for name in ("v", "w"):
        maker.do(f"init {name}")
        begin(maker.tree(name))
    maker.do(f"{COMMIT} both --volume v --volume w")
    for name in ("v", "w"):
        change(maker.tree(name), "not committed")


def removed(maker: Maker) -> None:
    """A volume in the trash, beside one that stays."""
    reset(maker)
    maker.do("rm -f v", "init w")


def anonymous(maker: Maker) -> None:
    """A volume that Docker made for a container, and another."""
    grown(maker)
    maker.do(lambda pool: pool.door.create(ANONYMOUS))
    put(maker.tree(ANONYMOUS) / "file", "of nobody")


# -- the pools -------------------------------------------------------------------------------------


def whole(maker: Maker) -> None:
    """Everything that a pool holds at rest, and what is doomed and half deleted."""
    deleted(maker)  # its discarded state went along
    maker.do("config v commit.mode pause", "config --global commit.mode stop")
    maker.do("checkout -b side v", f"{COMMIT} four v", "reset --hard HEAD^ v", "checkout master v")
    maker.do("reset --hard HEAD v")
    change(maker.tree("v"), "changed again")
    maker.do(f"{COMMIT} dropped v", "reset --hard HEAD^ v", "undo v", "reset --hard HEAD~2 v")
    put(maker.tree("v") / "file", "at last")
    grown(maker, "gone")
    maker.do("reset --hard HEAD^ gone", "rm -f gone")
    _forget(maker, "w")
    maker.do("fsck --repair w", "switch v")
    maker.do("init x", f"{COMMIT} one x", lambda pool: begin(maker.tree("x")))
    maker.do("reset --hard HEAD x")
    maker.die("undo x", SWEEP)


def _forget(maker: Maker, volume: str) -> None:
    """A commit that no list names, which fsck moves to the trash."""
    maker.do(f"init {volume}")
    begin(maker.tree(volume))
    maker.do(f"{COMMIT} one {volume}")
    line = maker.tree(volume).with_name("master.json")
    before = line.read_bytes()
    maker.do(f"{COMMIT} forgotten {volume}")
    line.write_bytes(before)


def ended(maker: Maker) -> None:
    """Notes of containers that dead verbs had ended: of a whole volume, of one whose reset is to
    be completed, of two containers of one volume, and of a volume in the trash."""
    grown(maker, "v", "w")
    maker.do("init x", "init y")
    _note(maker, "v", Ended(_id("db"), "/db", "stop", "running", FIRST))
    _note(maker, "x", Ended(_id("one"), "/one", "kill", "running", FIRST))
    _note(maker, "x", Ended(_id("two"), "/two", "pause", "running", FIRST))
    maker.die("reset --hard HEAD^ w", step(2))
    _note(maker, "w", Ended(_id("web"), "/web", "kill", "running", FIRST))
    _note(maker, "y", Ended(_id("cache"), "/cache", "stop", "running", FIRST))
    maker.do("rm -f y")


def _id(name: str) -> str:
    """As the stand-in for Docker calls its containers."""
    return name.encode().hex().ljust(64, "0")


def _note(maker: Maker, volume: str, one: Ended) -> None:
    note(PoolLayout(maker.root).volume(volume), [one])


def original(maker: Maker) -> None:
    """Format 0, as the original dvol laid it out: no `.dvol` at all, and trees of mode 0777."""
    ids = [digit * 40 for digit in "123"]
    for branch, count in (("master", 2), ("alpha", 3)):
        put(maker.tree("foo", branch) / "file", f"live in {branch}")
        maker.tree("foo", branch).chmod(0o777)
        listed = [{"message": f"m{id[0]}", "id": id} for id in ids[:count]]
        put(maker.tree("foo", f"{branch}.json"), json.dumps(listed))
    for id in ids:
        put(maker.root / "foo" / "commits" / id / "file", f"state {id[0]}")
    maker.tree("bar").mkdir(parents=True)
    put(maker.root / "foo" / "current_branch.json", '{"current_branch": "alpha"}')
    put(maker.root / "current_volume.json", '{"current_volume": "foo"}')


def half_marked(maker: Maker) -> None:
    """A pool of the original whose first change died before it had a mark."""
    original(maker)
    maker.die(f"{COMMIT} new foo", turn("/pool.json"))


class Dying(NamedTuple):
    """A pool in which a verb has died."""

    words: Words
    point: Point
    before: Callable[[Maker], None] = grown

    def __call__(self, maker: Maker) -> None:
        self.before(maker)
        maker.die(self.words, self.point)


RESET = "reset --hard HEAD^ v"
BRANCH = "checkout -b new v"
COMMIT_BOTH = f"{COMMIT} again --volume v --volume w"
RESET_BOTH = "reset --hard HEAD --volume v --volume w"

POOLS: dict[str, Callable[[Maker], None]] = {
    "whole": whole,
    "ended": ended,
    "original": original,
    "half-marked": half_marked,
    "half-made": Dying("init v", turn("/pool.json"), lambda maker: None),
    "reset-journal": Dying(RESET, step(1)),
    "reset-half": Dying(RESET, step(5)),
    "reset-times": Dying(RESET, TIMES),
    "reset-dress": Dying(RESET, DRESS),
    "reset-last": Dying(RESET, LAST),
    "undo-journal": Dying("undo v", step(1), reset),
    "undo-half": Dying("undo v", step(5), reset),
    "undo-unswept": Dying("undo v", SWEEP, reset),
    "branch-journal": Dying(BRANCH, step(1)),
    "branch-discard": Dying(BRANCH, DISCARD, branched),
    "branch-deletion-journal": Dying("branch -d old v", step(1), branched),
    "branch-deletion-half": Dying("branch -d old v", step(3), branched),
    "restore-journal": Dying("restore {entry} back", step(1), reset),
    "restore-discard": Dying("restore {entry} back", DISCARD, reset),
    "restore-branch-journal": Dying("restore {entry}", step(2), deleted),
    "restore-volume-journal": Dying("restore {entry}", step(1), removed),
    "restore-volume-half": Dying("restore {entry}", step(2), removed),
    "init-journal": Dying("init w", step(1)),
    "init-half": Dying("init w", step(2)),
    "rm-journal": Dying("rm -f v", step(1), reset),
    "rm-half": Dying("rm -f v", step(2), reset),
    "anonymous-journal": Dying(lambda pool: pool.door.remove(ANONYMOUS), step(2), anonymous),
    "group-commit-journal": Dying(COMMIT_BOTH, step(1), together),
    "group-commit-half": Dying(COMMIT_BOTH, step(2), together),
    "group-commit-discard": Dying(COMMIT_BOTH, DISCARD, together),
    "group-reset-journal": Dying(RESET_BOTH, step(1), together),
    "group-reset-half": Dying(RESET_BOTH, step(6), together),
    "staged-commit": Dying(f"{COMMIT} three v", turn("branches/master.json")),
    "staged-reset": Dying(RESET, STAGED),
    "staged-undo": Dying("undo v", STAGED, reset),
    "staged-branch": Dying(BRANCH, STAGED),
    "staged-restore": Dying("restore {entry} back", STAGED, reset),
    "staged-init": Dying("init w", STAGED),
    "staged-group": Dying(RESET_BOTH, STAGED, together),
}


def build(place: Path) -> None:
    for name, made in POOLS.items():
        made(Maker(place / name))


def answer(question: str, place: Path) -> dict[str, Any]:
    """What the package says of each pool; it is completed by that."""
    return {name: ASKED[question](Maker(place / name).pool, place / name) for name in POOLS}


if __name__ == "__main__":
    assert str(dvol.__file__).startswith(f"{ZIP}/"), dvol.__file__
    if sys.argv[1] == "build":
        build(Path(sys.argv[2]))
    else:
        print(json.dumps(answer(sys.argv[2], Path(sys.argv[3]))))
