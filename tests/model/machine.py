"""The rules by which hypothesis chooses steps. Numbers are drawn, and mean one of what there is:
ids differ from run to run, and must decide nothing."""

import shutil
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.crash.conftest import memory
from tests.crash.worker import Worker
from tests.model import steps
from tests.model.oracle import DAY
from tests.model.pool import Files
from tests.model.world import Step, World

HOUR = timedelta(hours=1)
BRANCHES = ("master", "a", "b")
VOLUMES = ("v", "w", "x")
NAMES = ("one", "two")
TAGS = ("t", "u")
Any = TypeVar("Any")

numbers = st.integers(0, 999)
kills = st.one_of(st.none(), st.none(), st.none(), st.integers(0, 39))  # number of a system call
discards = st.sampled_from([False, False, True])
keeps = st.sampled_from(["1h", "1h", "30d", "30d", "400d", "forever"])
ages = st.sampled_from([HOUR, 23 * HOUR, DAY, 8 * DAY, 31 * DAY, 500 * DAY])
waits = st.sampled_from([timedelta(0), HOUR, DAY, DAY, 8 * DAY, 31 * DAY, 31 * DAY, 500 * DAY])
jumps = st.sampled_from([-3650, -400, -31, -1, 0, 0, 0, 1, 31, 400, 3650])  # days


def pick(found: Sequence[Any], number: int) -> Any:
    return found[number % len(found)]


class KeptModel(RuleBasedStateMachine):
    """A pool, and steps at random: a rule for each thing that a user or the machine does, and in it
    a choice of how. `totals` adds up what all of its runs have counted."""

    worker: Worker | None = None
    totals: dict[str, int] = {}

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="dvol-model-", dir=memory()))
        self.world = World(self.place / "pool", self.worker)
        self.texts = 0

    def teardown(self) -> None:
        try:
            self.world.check_histories()
            self.world.check_with_fsck()
        finally:
            for what, number in self.world.counts.items():
                self.totals[what] = self.totals.get(what, 0) + number
            shutil.rmtree(self.place)

    @initialize()
    def two_volumes(self) -> None:
        """With three commits each, of which two are of both."""
        for name in VOLUMES[:2]:
            self.take(steps.init(self.world, name))
            self.world.write(name, self.files(0))
            self.take(steps.commit(self.world, name, ""))
        for _ in range(2):
            self.commit_group(at=0, kill=None)

    def take(self, step: Step, kill: int | None = None) -> None:
        self.world.take(step, kill)

    # -- what there is -----------------------------------------------------------------------------

    def volume(self, number: int) -> str:
        return pick(sorted(self.world.pool), number)

    def volumes(self, number: int) -> list[str]:
        """Two volumes, or one if there is but one."""
        found = sorted(self.world.pool)
        return sorted({pick(found, number), pick(found, number + 1)})

    def scope(self, number: int) -> str:
        """A volume, or "" for all."""
        return pick(["", "", *sorted(self.world.pool)], number)

    def branch_of(self, name: str, number: int) -> str:
        return pick(sorted(self.world.pool[name].branches), number)

    def ever(self, name: str) -> list[str]:
        """The ids of all commits that were ever made in a volume, and exist or do not."""
        return steps.volume(self.world, name).ever

    def files(self, number: int) -> Files:
        """Files that no tree has had."""
        self.texts += 1
        kept = [name for at, name in enumerate(NAMES) if number >> at & 1]
        return tuple((name, str(self.texts)) for name in sorted([*kept, "always"]))

    def dropped(self, name: str = "") -> list[str]:
        """The ids of the dropped commits of a volume, or of all."""
        volumes = [one for one in self.world.ledger.volumes if not one.removed]
        found = [one for one in volumes if name in ("", one.name)]
        return [id for one in found for id, made in one.commits.items() if made.waiting]

    # -- commits -----------------------------------------------------------------------------------

    @precondition(lambda self: self.world.pool)
    @rule(
        at=numbers, times=st.integers(0, 3), kill=kills, claimed=st.sampled_from([0, 0, 0, -9, 9])
    )
    def write_and_commit(self, at: int, times: int, kill: int | None, claimed: int) -> None:
        """Some commits claim a date that is years off. In the end the tree differs from the last
        commit."""
        name, wall = self.volume(at), self.world.clocks.moment().wall
        date = (wall + claimed * 365 * DAY).isoformat() if claimed else ""
        for number in range(times):
            self.world.write(name, self.files(at + number))
            self.take(steps.commit(self.world, name, date), kill)
        self.world.write(name, self.files(at))

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, kill=kills)
    def commit_group(self, at: int, kill: int | None) -> None:
        for name in self.volumes(at):
            self.world.write(name, self.files(at))
        self.take(steps.commit_group(self.world, self.volumes(at)), kill)

    # -- going back --------------------------------------------------------------------------------

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, back=st.integers(0, 3), discard=discards, kill=kills)
    def reset_back(self, at: int, back: int, discard: bool, kill: int | None) -> None:
        name = self.volume(at)
        line = self.world.pool[name].branch.line
        found = line[: max(0, len(line) - back)]
        self.take(steps.reset(self.world, name, f"HEAD~{back}", found, discard), kill)

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, to=numbers, how=st.integers(0, 3), discard=discards, kill=kills)
    def reset_to(self, at: int, to: int, how: int, discard: bool, kill: int | None) -> None:
        """To a branch, to any commit that there ever was, or to a dropped one."""
        name = self.volume(at)
        if how == 0:
            revision = self.branch_of(name, to)
            line = self.world.pool[name].branches[revision].line
        else:
            ids = self.ever(name) if how == 1 else self.dropped(name)
            revision = pick(ids or ["HEAD"], to)
            line = self.world.line(name, revision) if ids else self.world.pool[name].branch.line
        self.take(steps.reset(self.world, name, revision, line, discard), kill)

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, back=st.integers(1, 3), to=numbers, discard=discards, kill=kills)
    def reset_to_and_fro(
        self, at: int, back: int, to: int, discard: bool, kill: int | None
    ) -> None:
        """Some commits back, and to one of those that this has dropped."""
        self.reset_back(at=at, back=back, discard=discard, kill=None)
        self.reset_to(at=at, to=to, how=2, discard=discard, kill=kill)

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, back=st.integers(0, 2), to=numbers, discard=discards, kill=kills)
    def reset_group(self, at: int, back: int, to: int, discard: bool, kill: int | None) -> None:
        """Of several volumes, some commits back or to a group that there was."""
        names = self.volumes(at)
        found = steps.volume(self.world, names[0])
        alive = [id for id, made in found.commits.items() if made.group]
        revision = pick([f"HEAD~{back}" if back else "HEAD", *alive], to)
        is_id = revision in alive
        lines = (steps.group if is_id else steps.back)(
            self.world, names, revision if is_id else back
        )
        self.take(steps.reset_group(self.world, revision, lines, discard), kill)

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, count=st.sampled_from([0, 1, 1, 1, 2, 3]), kill=kills)
    def undo(self, at: int, count: int, kill: int | None) -> None:
        """Of one volume after a reset, or of several the last reset."""
        if count == 1:
            self.reset_back(at=at, back=1, discard=False, kill=None)
        if count:
            self.take(steps.undo(self.world, self.volume(at), count), kill)
        else:
            self.take(steps.undo_group(self.world, self.volumes(at)), kill)

    # -- branches, tags, and taking commits out ----------------------------------------------------

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, how=st.integers(0, 3), new=st.sampled_from(BRANCHES), to=numbers, kill=kills)
    def branch(self, at: int, how: int, new: str, to: int, kill: int | None) -> None:
        name = self.volume(at)
        if how == 0:
            step = steps.checkout(self.world, name, self.branch_of(name, to))
        elif how == 1:
            current = self.world.pool[name].current
            others = self.world.pool[name].branches.keys() - {current}
            other = pick(sorted(others) or [current], to)
            step = steps.delete_branch(self.world, name, other)
        else:
            id = pick(self.ever(name) or ["HEAD"], to)
            step = steps.branch(self.world, name, new, id, self.world.line(name, id))
        self.take(step, kill)

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, both=st.booleans(), new=st.sampled_from(BRANCHES), kill=kills)
    def stash(self, at: int, both: bool, new: str, kill: int | None) -> None:
        names = self.volumes(at) if both else [self.volume(at)]
        self.world.write(names[0], self.files(at))
        self.take(steps.stash(self.world, names, new), kill)

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, delete=st.booleans(), tag=st.sampled_from(TAGS), to=numbers, kill=kills)
    def tag(self, at: int, delete: bool, tag: str, to: int, kill: int | None) -> None:
        name = self.volume(at)
        id = pick(self.dropped(name) or self.ever(name) or ["HEAD"], to)
        line = self.world.line(name, id)
        made = steps.tag(self.world, name, tag, id, line)
        self.take(steps.delete_tag(self.world, name, tag) if delete else made, kill)

    @precondition(lambda self: self.world.pool)
    @rule(at=numbers, last=st.integers(0, 4), groups=st.booleans(), to=numbers, kill=kills)
    def take_out(self, at: int, last: int, groups: bool, to: int, kill: int | None) -> None:
        """One commit, or all but the last few."""
        name = self.volume(at)
        if last:
            self.take(steps.prune(self.world, name, last, groups), kill)
        elif ever := self.ever(name):
            self.take(steps.drop(self.world, name, pick(ever, to)), kill)

    # -- volumes and the trash ---------------------------------------------------------------------

    @rule(name=st.sampled_from(VOLUMES), sure=st.sampled_from([False, False, True]), kill=kills)
    def init_or_rm(self, name: str, sure: bool, kill: int | None) -> None:
        if sure:
            made = steps.rm if name in self.world.pool else steps.init
            self.take(made(self.world, name), kill)

    @rule(at=numbers, name=st.sampled_from(["", "", *VOLUMES, *BRANCHES]), kill=kills)
    def restore(self, at: int, name: str, kill: int | None) -> None:
        """Not of a branch whose volume has another name now, or whose name another volume has. The
        newest entries are likely."""
        shown = self.world.ledger.shown()
        own = [one for one in shown if self.world.ledger.home(one) in (None, one.volume)]
        if own:
            self.take(steps.restore(self.world, pick(own[::-1], at), name), kill)

    # -- gc ----------------------------------------------------------------------------------------

    @rule(at=numbers, first=waits, age=ages, kill=kills)
    def gc_of_an_age(self, at: int, first: timedelta, age: timedelta, kill: int | None) -> None:
        self.world.clocks.go_on(first)
        self.take(steps.gc(self.world, volume=self.scope(at), older_than=age), kill)

    @rule(at=numbers, first=waits, dry_run=st.sampled_from([False, False, True]), kill=kills)
    def gc(self, at: int, first: timedelta, dry_run: bool, kill: int | None) -> None:
        self.world.clocks.go_on(first)
        self.take(steps.gc(self.world, volume=self.scope(at), dry_run=dry_run), kill)

    @rule(at=numbers, of_entry=st.booleans(), now=st.integers(0, 5), kill=kills)
    def gc_of_a_name(self, at: int, of_entry: bool, now: int, kill: int | None) -> None:
        """Or, now and then, of all in a volume."""
        entries = [one.fact.entry for one in self.world.ledger.shown()]
        found = entries if of_entry else self.dropped()
        if now == 0:
            self.take(steps.gc(self.world, volume=self.scope(at), now=True), kill)
        elif found:
            self.take(steps.gc(self.world, named=pick(found, at)), kill)

    @rule(first=waits, days=st.integers(0, 3), reboot=st.booleans(), kill=kills)
    def server(self, first: timedelta, days: int, reboot: bool, kill: int | None) -> None:
        """Runs gc when it starts and then each day; the machine may be started anew each day."""
        self.world.clocks.go_on(first)
        self.take(steps.auto(self.world), kill)
        for _ in range(days):
            self.world.clocks.go_on(DAY)
            if reboot:
                self.world.clocks.reboot()
            self.take(steps.auto(self.world), kill)

    @rule(at=numbers, keep=keeps, auto=st.sampled_from(["", "", "on", "off"]))
    def configure(self, at: int, keep: str, auto: str) -> None:
        name = self.scope(at)
        change = steps.set_auto(self.world, name, auto) if auto else None
        self.take(change or steps.set_keep(self.world, name, keep))

    # -- clocks ------------------------------------------------------------------------------------

    @rule(days=jumps, reboot=st.booleans())
    def the_clock_jumps(self, days: int, reboot: bool) -> None:
        """Or is set right, with a new boot or without."""
        self.world.clocks.set_wall(days * DAY)
        if not days:
            self.world.clocks.set_wall_right()
        if reboot:
            self.world.clocks.reboot()

    @rule()
    def fsck(self) -> None:
        self.world.check_with_fsck()
