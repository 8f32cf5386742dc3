"""Checks a pool in which a verb was killed, cut off or failed.

The pool has the state before the verb or the state after it, no file is lost, the next try
succeeds, the next commits equal the live trees, and no files are left over.
"""

from dataclasses import dataclass, field
from pathlib import Path

from dvol.engine.docker_volumes import DockerVolumes
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from dvol.errors import Conflict, NotFound, UnfinishedDiscard
from tests.crash.calls import Call
from tests.crash.history import ANN
from tests.crash.state import (
    State,
    commit_differences,
    cut,
    differences,
    everything,
    kept,
    leftovers,
    reflog_complaints,
    state_of,
    without_loose,
)
from tests.crash.verbs import ALL, Verb

HAPPENED_ALREADY = (NotFound.exit_code, Conflict.exit_code)
COMMITS = {  # and the volumes of each
    "commit": ["v"],
    "commit together": ["v", "other"],
    "stash": ["v"],
    "stash together": ["v", "other"],
    "stash without exchange": ["v"],
}
AT_MOST = 8  # complaints about one pool


@dataclass(frozen=True)
class Expected:
    """What an undisturbed run of a verb leaves: the states before and after it, the contents of the
    files that must be kept, and the calls that it makes."""

    before: State
    after: State
    kept: set[str]
    calls: list[Call] = field(default_factory=list)


def expect(root: Path, name: str) -> Expected:
    """Build a pool, and run the verb undisturbed."""
    verb = ALL[name]
    verb.build(root)
    before, files = state_of(root), kept(root, verb.discards, verb.deletes)
    ended = verb.perform(root)
    assert ended.code == 0, ended.said
    return Expected(before, state_of(root), files, ended.calls)


@dataclass
class Check:
    """Compares the pool at `root`, in which a verb was stopped, with the expected states.

    `cut`: the verb was stopped by a power cut, so data that was not synced may be lost.
    `done`: the verb had answered that it succeeded.
    `logged`: no write has failed, so no line of a reflog is missing.
    """

    root: Path
    name: str
    expected: Expected
    cut: bool = False
    done: bool = False
    logged: bool = False
    wrong: list[str] = field(default_factory=list)

    @property
    def verb(self) -> Verb:
        return ALL[self.name]

    def complaints(self) -> list[str]:
        """What is wrong with the pool, in words; an empty list if nothing is."""
        self.complete()
        new = self.check_state()
        self.wrong += reflog_complaints(self.root, self.logged)
        self.check_nothing_lost()
        self.check_next_try(new)
        self.check_next_commits()
        self.wrong += reflog_complaints(self.root, self.logged)
        return self.wrong[:AT_MOST]

    def complete(self) -> None:
        """Complete a reset that has begun to delete what it discards, as the next verb does that
        changes the volume: from its journal on there is only the new state. No container mounts the
        volume before that."""
        pool = LocalEngine(self.root) if self.root.exists() else None
        for volume in pool.volumes() if pool and self.verb.discards else ():
            if (self.root / volume.name / ".dvol" / "journal.json").exists():
                self.done = True
                self.check_mount_is_refused(pool, volume.name)
                with pool.access.changing(volume.name, "check"):
                    pass

    def check_mount_is_refused(self, pool: LocalEngine, volume: str) -> None:
        try:
            DockerVolumes(pool.access).mount(volume)
        except UnfinishedDiscard:
            return
        self.wrong.append(f"{volume} can be mounted while it is half reset")

    def check_state(self) -> bool:
        """Whether the pool has the new state; it must have the new one or the old one."""
        now = state_of(self.root)
        new = self.same(now, self.expected.after, self.verb.settles)
        if not new and (self.done or not self.same(now, self.expected.before)):
            self.compare(now, self.expected.after, "instead of new")
            if not self.done:
                self.compare(now, self.expected.before, "instead of old")
        return new

    def same(self, one: State, other: State, recovered: bool = False) -> bool:
        return self.durable(one, recovered) == self.durable(other, recovered)

    def durable(self, whole: State, recovered: bool) -> State:
        """The part of a state that cannot have been lost."""
        return cut(whole, recovered) if self.cut else whole

    def compare(self, now: State, wanted: State, where: str) -> None:
        recovered = self.verb.settles
        found = differences(self.durable(now, recovered), self.durable(wanted, recovered), where)
        self.wrong += found[:4]

    def check_nothing_lost(self) -> None:
        found = everything(self.root) if self.root.exists() else set()
        lost = self.expected.kept - found
        self.wrong += [f"{len(lost)} files are nowhere any more"] if lost else []

    def check_next_try(self, new: bool) -> None:
        """The next try succeeds, or is refused because the verb has happened already."""
        ended = self.verb.repeat(self.root)
        fine = (0, *HAPPENED_ALREADY) if new and not self.verb.repeats else (0,)
        if ended.code not in fine:
            self.wrong.append(f"the next try ended with {ended.code}: {ended.said.strip()}")
        elif not (new and self.verb.repeats):
            self.check_after_next_try(new)
        self.check_nothing_lost()

    def check_after_next_try(self, again: bool) -> None:
        now, wanted = state_of(self.root), self.expected.after
        if again:  # on btrfs a reset may set a tree aside that equals the commit
            now, wanted = ({**one, "discarded": []} for one in (now, wanted))
        if self.cut and self.name in COMMITS:
            found = [
                each
                for volume in COMMITS[self.name]
                for each in commit_differences(self.root, volume, self.verb.onto)
            ]
            self.wrong += (
                found + differences(without_loose(now), without_loose(wanted), "next try")
            )[:4]
        else:
            self.compare(now, wanted, "next try")

    def check_next_commits(self) -> None:
        """The next commits equal the live trees, and no files are left over."""
        pool = LocalEngine(self.root)
        for volume in [one.name for one in pool.volumes()]:
            pool.commit(volume, "next", ANN)
            self.wrong += commit_differences(self.root, volume)[:2]
        pool.init("next")
        Recovery(pool.access).collect_garbage()
        self.wrong += [f"left over: {path}" for path in leftovers(self.root)[:4]]
        found = LocalEngine(self.root).fsck()
        self.wrong += [f"fsck: {one.problem}" for one in found if one.state == "broken"]


def check(root: Path, name: str, expected: Expected, done: bool = False) -> list[str]:
    """What is wrong with the pool at `root`, on the disk that it was built on."""
    return Check(root, name, expected, done=done).complaints()


def check_killed(root: Path, name: str, expected: Expected, done: bool = False) -> list[str]:
    """The same, where the verb was killed: then every line that it wrote is there."""
    return Check(root, name, expected, done=done, logged=True).complaints()
