"""The promise, asked of a pool whose verb was killed, cut off or failed.

Everything is as it was before or as it is after, nothing is lost, the next try works, what is
committed then is what is there then, and nothing is left over.
"""

from dataclasses import dataclass, field
from pathlib import Path

from dvol.errors import Conflict, NotFound
from dvol.pool import Pool
from tests.crash.calls import Call
from tests.crash.history import ANN
from tests.crash.picture import (
    Picture,
    cut,
    differences,
    everything,
    firm,
    kept,
    litter,
    picture,
    unfaithful,
)
from tests.crash.verbs import VERBS, Verb

SAID_SO_ALREADY = (NotFound.exit_code, Conflict.exit_code)
COMMITS = {"commit": ["v"], "commit together": ["v", "other"]}  # and the volumes of each
ENOUGH = 8  # complaints about one pool


@dataclass(frozen=True)
class Lesson:
    """How a verb goes when nobody disturbs it."""

    before: Picture
    after: Picture
    kept: set[str]
    calls: list[Call] = field(default_factory=list)


def learned(root: Path, name: str) -> Lesson:
    """Build a pool, and do the verb."""
    verb = VERBS[name]
    verb.build(root)
    before, files = picture(root), kept(root)
    ended = verb.perform(root)
    assert ended.code == 0, ended.said
    return Lesson(before, picture(root), files, ended.calls)


@dataclass
class Judge:
    """What a fresh process finds in the pool at `root`, after the verb was stopped there.

    `cut`: by a power cut, so that what was not synced may be gone. `done`: the verb had said
    that it happened.
    """

    root: Path
    name: str
    lesson: Lesson
    cut: bool = False
    done: bool = False
    wrong: list[str] = field(default_factory=list)

    @property
    def verb(self) -> Verb:
        return VERBS[self.name]

    def judge(self) -> list[str]:
        """All that is wrong, in words; nothing is better."""
        new = self.state()
        self.nothing_lost()
        self.again(new)
        self.goes_on()
        return self.wrong[:ENOUGH]

    def state(self) -> bool:
        """Whether it is the new state; it must be that or the old one."""
        now = picture(self.root)
        new = self.same(now, self.lesson.after, self.verb.settles)
        if not new and (self.done or not self.same(now, self.lesson.before)):
            self.tell(now, self.lesson.after, "instead of new")
            if not self.done:
                self.tell(now, self.lesson.before, "instead of old")
        return new

    def same(self, one: Picture, other: Picture, settled: bool = False) -> bool:
        return self.lasting(one, settled) == self.lasting(other, settled)

    def lasting(self, whole: Picture, settled: bool) -> Picture:
        """What cannot have been lost."""
        return cut(whole, settled) if self.cut else whole

    def tell(self, now: Picture, wanted: Picture, where: str) -> None:
        settled = self.verb.settles
        found = differences(self.lasting(now, settled), self.lasting(wanted, settled), where)
        self.wrong += found[:4]

    def nothing_lost(self) -> None:
        found = everything(self.root) if self.root.exists() else set()
        lost = self.lesson.kept - found
        self.wrong += [f"{len(lost)} files are nowhere any more"] if lost else []

    def again(self, new: bool) -> None:
        """The next try succeeds, or says that it is so already."""
        ended = self.verb.perform(self.root)
        fine = (0, *SAID_SO_ALREADY) if new and not self.verb.repeats else (0,)
        if ended.code not in fine:
            self.wrong.append(f"the next try ended with {ended.code}: {ended.said.strip()}")
        elif not (new and self.verb.repeats):
            self.after_next_try(new)
        self.nothing_lost()

    def after_next_try(self, again: bool) -> None:
        now, wanted = picture(self.root), self.lesson.after
        if again:  # on btrfs a reset may set a tree aside that is what it leads to
            now, wanted = ({**one, "discarded": []} for one in (now, wanted))
        if self.cut and self.name in COMMITS:
            found = [
                each for volume in COMMITS[self.name] for each in unfaithful(self.root, volume)
            ]
            self.wrong += (found + differences(firm(now), firm(wanted), "next try"))[:4]
        else:
            self.tell(now, wanted, "next try")

    def goes_on(self) -> None:
        """Commits hold what is there, and nothing is left over."""
        pool = Pool(self.root)
        for volume in [one.name for one in pool.volumes()]:
            pool.commit(volume, "next", ANN)
            self.wrong += unfaithful(self.root, volume)[:2]
        pool.init("next")
        pool.door.sweep()
        self.wrong += [f"left over: {path}" for path in litter(self.root)[:4]]


def judged(root: Path, name: str, lesson: Lesson, done: bool = False) -> list[str]:
    """What is wrong with a pool on the disk it was on."""
    return Judge(root, name, lesson, done=done).judge()
