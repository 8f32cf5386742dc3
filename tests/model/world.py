"""A pool beside the model of it: makes calls, looks at what came of them, and complains."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from dvol import dates
from dvol.engine.local import LocalEngine
from dvol.engine.recovery import Recovery
from dvol.errors import RevisionNotFound
from dvol.model import Commit, Discarded
from tests.crash.worker import Worker
from tests.model import calls
from tests.model.calls import Call, Outcome
from tests.model.clocks import Clocks
from tests.model.ledger import Entry, Gc, Ledger, Made, Volume
from tests.model.oracle import Waiting
from tests.model.pool import Branch, Files, Pool, files_in, log, masked, seen, write

KEPT = 10  # undo entries of a branch
SECOND = timedelta(seconds=1)
PUSHING_OUT = ("reset", "reset_group", "undo", "undo_group")  # the verbs that push out undo entries
LOOKED_UP = 4  # commits that are looked up by their ids after each step, in turn


@dataclass
class Step:
    """A call, and what it may do. `after` is what it makes of the pool, or several pools that it
    may make, or none if it must be refused; `refusals` are the errors by which it may be refused
    otherwise. `uses` are the entries that it uses up, and `gc` says what it may delete."""

    call: Call
    after: list[Pool]
    refusals: tuple[str, ...] = ()
    uses: tuple[Entry, ...] = ()
    gc: Gc | None = None


class World:
    """The pool at `root`, which is made anew, and the ledger of what must be in it. `worker` runs
    the calls that are killed; without one none is."""

    def __init__(self, root: Path, worker: Worker | None) -> None:
        self.root, self.worker = root, worker
        self.clocks = Clocks()
        self.ledger = Ledger()
        self.pool: Pool = {}
        self.counts = {"steps": 0, "killed": 0, "refused": 0}
        self._turn = 0

    @property
    def engine(self) -> LocalEngine:
        """A fresh one, as each command has."""
        return LocalEngine(self.root)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def write(self, name: str, files: Files) -> None:
        """Make the current live tree hold these files."""
        found = self.pool[name]
        write(self.root / name / "branches" / found.current, files)
        self.pool[name] = found.with_current(found.branch._replace(files=files))
        for key, volume in self._present():
            volume.seen = self.pool[key]

    def take(self, step: Step, kill: int | None = None) -> Outcome:
        """Take a step, if need be killed before its system call of that number, and compare the
        pool with the model. Afterwards the pool is as before or as after the step, and what was
        committed is there, except what the step may delete."""
        before = self.pool
        outcome = self._made(step.call, kill)
        self.told = f"{step.call} at {self.clocks.moment()}: {outcome}"
        self._compare(step, outcome)
        self._learn_volumes(step)
        self._look_at_entries(step, outcome, before)
        self._learn_commits()
        self._look_at_commits(step, outcome)
        self._look_at_lists()
        if step.gc and not outcome.refused:
            self.ledger.note(step.gc)
        self.count("steps")
        self.clocks.go_on(SECOND)
        return outcome

    def _made(self, call: Call, kill: int | None) -> Outcome:
        moment = self.clocks.moment()
        if kill is None or self.worker is None:
            outcome = calls.made(self.root, call, moment)
        else:
            outcome = self.worker.run(calls.killed, self.root, call, moment, kill)
        self.count("killed", outcome.killed)
        self.count("refused", bool(outcome.refused))
        return outcome

    def _compare(self, step: Step, outcome: Outcome) -> None:
        """The lists and the live trees."""
        known = {id for volume in self.ledger.volumes for id in volume.ever}
        if outcome.refused:
            assert not step.after or outcome.refused in step.refusals, self.told
        done = not (outcome.killed or outcome.refused)
        possible = step.after if done else [self.pool]
        possible = [*possible, *step.after] if outcome.killed else possible
        self.pool = seen(self.root)
        now = masked(self.pool, known)
        assert now in possible, f"{self.told}: {now}, not {possible}"

    # -- volumes and commits that are new --------------------------------------------------------

    def _learn_volumes(self, step: Step) -> None:
        for name in self.pool:
            if self.ledger.named(name) is None:
                restored = [one.volume for one in step.uses if one.is_volume]
                for volume in restored or [Volume(name)]:
                    volume.name, volume.removed = name, ""
                self.ledger.volumes += [] if restored else [volume]
        for name, volume in self._present():
            volume.seen = self.pool.get(name, volume.seen)

    def _learn_commits(self) -> None:
        for name, volume in self._present():
            listed = self.pool[name].listed() - set(volume.ever)
            if listed:
                self._learn_from(volume, listed)

    def _learn_from(self, volume: Volume, new: set[str]) -> None:
        """The files of a new commit are those of the live tree."""
        for branch in self.engine.branches(volume.name):
            commits = log(self.engine, volume.name, branch)[::-1]
            history = tuple(one.id for one in commits)
            for number, one in enumerate(commits):
                if one.id in new:
                    files = self.pool[volume.name].branches[branch.name].files
                    self._enter(volume, one, files, history[: number + 1])

    def _enter(self, volume: Volume, one: Commit, files: Files, history: tuple[str, ...]) -> None:
        date = dates.parse(one.date)
        volume.commits[one.id] = Made(one.id, files, history, date, one.group)
        volume.ever.append(one.id)
        self.count("commits")

    # -- entries ---------------------------------------------------------------------------------

    def _look_at_entries(self, step: Step, outcome: Outcome, before: Pool) -> None:
        facts = {one.entry: one for one in self.engine.discarded()}
        missing = [one for one in self.ledger.shown() if one.fact.entry not in facts]
        self._learn_entries(facts, before)
        gone = [one for one in missing if not self._is_inside(one, facts)]
        for entry in reversed(gone):
            self._require_lawful(entry, step, facts)
        for entry in gone:
            if entry.is_volume and not entry.volume.removed:
                del self.ledger.entries[entry.fact.entry]  # it was restored
            else:
                self.ledger.forget(entry)
        for entry in [one for one in self.ledger.shown() if step.gc and not outcome.killed]:
            assert not self._must_go(entry, step.gc), f"{self.told} left {entry}"

    def _learn_entries(self, facts: dict[str, Discarded], before: Pool) -> None:
        new = sorted((one.volume, one.branch, id) for id, one in facts.items())
        for name, branch, id in new:
            if id in self.ledger.entries:
                entry = self.ledger.entries[id]
                entry.fact, entry.inside = facts[id], ""
                continue
            [volume] = [one for one in self.ledger.volumes if one.name == name and not one.removed]
            waiting = Waiting(self.clocks.moment().wall)
            state = before[name].branches[branch] if branch else Branch()
            base = self._base(facts[id])
            self.ledger.entries[id] = Entry(facts[id], volume, state, waiting, base)
            if facts[id].verb == "rm":
                volume.removed = id

    def _base(self, fact: Discarded) -> str:
        """The commit that a reset has gone to."""
        found = self.pool[fact.volume].branches[fact.branch].line if fact.verb == "reset" else ()
        return found[-1] if found else ""

    def _is_inside(self, entry: Entry, facts: dict[str, Discarded]) -> bool:
        """Whether an undo entry lies in the trash now, with its branch or its volume."""
        if entry.fact.verb not in ("reset", "undo"):
            return False
        if entry.volume.removed:
            entry.inside = entry.volume.removed
        elif entry.fact.branch not in self.pool[entry.volume.name].branches:
            entry.inside = next(
                one.fact.entry
                for one in reversed(self.ledger.shown())
                if (one.fact.verb, one.volume) == ("branch -d", entry.volume)
                and one.fact.branch == entry.fact.branch
            )
        return bool(entry.inside)

    def _require_lawful(self, entry: Entry, step: Step, facts: dict[str, Discarded]) -> None:
        """Complain if an entry is missing that no step may have taken."""
        if entry in step.uses or self._is_surplus(entry, step, facts):
            return
        assert step.gc, f"{self.told} lost {entry}"
        home, kept_for = self.ledger.home(entry), self.ledger.entry_kept_for(entry)
        may = self.ledger.may_delete(step.gc, entry.waiting, entry.fact.entry, home, kept_for)
        assert may, f"{self.told} deleted {entry} too early"
        self.count(f"entries deleted by {step.gc.kind}")

    def _is_surplus(self, entry: Entry, step: Step, facts: dict[str, Discarded]) -> bool:
        key = (entry.fact.volume, entry.fact.branch)
        beside = [one for one in facts.values() if (one.volume, one.branch) == key]
        undo = [one for one in beside if one.verb in ("reset", "undo")]
        return step.call.verb in PUSHING_OUT and len(undo) >= KEPT

    def _must_go(self, entry: Entry, gc: Gc) -> bool:
        home, kept_for = self.ledger.home(entry), self.ledger.entry_kept_for(entry)
        return self.ledger.must_delete(gc, entry.waiting, home, kept_for)

    # -- commits ---------------------------------------------------------------------------------

    def _look_at_commits(self, step: Step, outcome: Outcome) -> None:
        pinned = self.ledger.pinned() if step.gc else set[str]()
        for volume in self.ledger.volumes:
            had = set(volume.commits)
            broken = {id for id, one in volume.commits.items() if not self._is_whole(volume, one)}
            self._let_go(volume, broken, pinned, step)
            if not volume.removed:
                looked_up = self._looked_up(volume, bool(step.gc))
                hidden = [id for id in looked_up if not self._finds(volume, id)]
                assert not hidden, f"{self.told} has hidden {hidden}, or cut its history"
                if step.gc and not outcome.killed:
                    self._require_deleted(volume, had - volume.commits.keys(), pinned, step.gc)

    def _let_go(self, volume: Volume, lost: set[str], pinned: set[str], step: Step) -> None:
        for id in lost:
            self._require_deletable(volume, volume.commits[id], pinned, step)
        for id in lost:
            del volume.commits[id]

    def _is_whole(self, volume: Volume, one: Made) -> bool:
        place = self.root / volume.name
        if volume.removed:
            [place] = (self.root / ".dvol/trash").glob(f"*-{volume.removed}/volume")
        try:
            return files_in(place / "commits" / one.id) == one.files
        except FileNotFoundError:
            return False

    def _looked_up(self, volume: Volume, every: bool) -> list[str]:
        """The ids of all commits, or of a few, each in its turn."""
        found = list(volume.commits)
        if not every and len(found) > LOOKED_UP:
            self._turn += LOOKED_UP
            found = [found[(self._turn + by) % len(found)] for by in range(LOOKED_UP)]
        return found

    def _finds(self, volume: Volume, id: str) -> bool:
        line = self._log(volume, id)
        return line[-1:] == (id,) and self._is_history(volume, line)

    def _log(self, volume: Volume, id: str) -> tuple[str, ...]:
        """The history of a commit, oldest first; none if it is not found."""
        try:
            return tuple(one.id for one in reversed(self.engine.log(volume.name, id)))
        except RevisionNotFound:
            return ()

    def _is_history(self, volume: Volume, line: tuple[str, ...]) -> bool:
        if not volume.thinned:
            return line == volume.line(line[-1])
        made = [volume.ever.index(id) for id in line]
        return made == sorted(made)

    def _require_deletable(self, volume: Volume, one: Made, pinned: set[str], step: Step) -> None:
        """Complain if a commit was lost."""
        told = f"{self.told} lost {one} of {volume.name}"
        assert step.gc, told
        assert one.waiting, told
        assert not volume.removed, told
        assert one.id not in pinned, f"{told}, which is needed"
        kept_for = self.ledger.kept_for(volume)
        assert self.ledger.may_delete(step.gc, one.waiting, one.id, volume, kept_for), told
        self.count(f"commits deleted by {step.gc.kind}")

    def _require_deleted(self, volume: Volume, lost: set[str], pinned: set[str], gc: Gc) -> None:
        for id in lost:
            assert not self._log(volume, id), f"{self.told} left half of {id}"
        for one in volume.commits.values():
            if one.waiting and one.id not in pinned:
                must = self.ledger.must_delete(
                    gc, one.waiting, volume, self.ledger.kept_for(volume)
                )
                assert not must or volume.thinned, f"{self.told} left {one}"

    def _look_at_lists(self) -> None:
        """A commit begins to wait when it leaves the last list."""
        wall = self.clocks.moment().wall
        for name, volume in self._present():
            listed = self.pool[name].listed()
            for id, one in volume.commits.items():
                if id in listed:
                    one.waiting = None
                elif one.waiting is None:
                    one.waiting = Waiting(wall, one.date)
                    self.count("dropped")

    # -- at times --------------------------------------------------------------------------------

    def check_histories(self) -> None:
        """Every commit is found with the history that it had."""
        for name, volume in self._present():
            for id in volume.commits:
                assert self._finds(volume, id), f"{id} in {name}"

    def line(self, name: str, id: str) -> tuple[str, ...]:
        """The history of a commit, none if it was deleted."""
        volume = self.ledger.named(name)
        if volume is None or id not in volume.commits:
            return ()
        if not volume.thinned:
            return volume.line(id)
        return tuple(one.id for one in reversed(self.engine.log(name, id)))

    def check_with_fsck(self) -> None:
        """fsck finds nothing, once the server has cleared away what dead verbs have staged."""
        assert [*Recovery(self.engine.access).clear_staging()] == []
        assert self.engine.fsck() == []

    def _present(self) -> list[tuple[str, Volume]]:
        return [(one.name, one) for one in self.ledger.volumes if not one.removed]
