"""Whether the real thing is as the model says: containers, trees, commits and undo entries."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterator

from tests.docker.installed import TIMEOUT, Installed, wait_for
from tests.docker.model import engine
from tests.docker.model.app import ALIVE, GONE, RESTARTING, RUNNING, App
from tests.docker.model.apps import Apps, May
from tests.docker.model.verb import Done, Verb
from tests.docker.model.volume import KEPT, Made, Volume, first_line

# after an id: a task in containerd, or its directory; or the container there, or one that runs on
STUCK = "{}[^\\n]*((already|file) exists|id already in use|cannot delete running task)"
GIVEN_UP = "restartmanger wait error"  # Docker's spelling


class Comparison:
    """Of these volumes and containers, which become as they are found, where that may be."""

    def __init__(
        self, installed: Installed, volumes: list[Volume], apps: Apps, counts: Counter[str]
    ) -> None:
        self.installed = installed
        self.volumes = volumes
        self.apps = apps
        self.counts = counts
        self.mark = 0  # where the log of the step begins

    # -- all of it -------------------------------------------------------------------------------

    def settle(self, may: May, at_once: bool = False) -> None:
        """Until all containers are as they may be and none is recorded, or at once; then that is
        how they are. Whatever runs has the files that the model says."""
        deadline = time.monotonic() + TIMEOUT
        while problems := self._problems(may):
            assert not at_once, "\n".join(problems)
            if time.monotonic() > deadline:
                assert self._remove_stuck(may), "\n".join(problems)
                deadline = time.monotonic() + TIMEOUT
            time.sleep(0.1)
        for volume in self.volumes:
            looked = volume.look()
            assert looked == volume.seen, f"{volume.name}: {looked}, not {volume.seen}"
            entries = volume.entries(looked.current)
            known = volume.undo.get(looked.current, {})
            assert entries == set(known), f"{volume.name}: {entries}, not {known}"

    def _problems(self, may: May) -> list[str]:
        recorded = {name for volume in self.volumes for name in volume.recorded()}
        found = engine.look(self.installed.engine, may)  # later: it may yet be changed before
        problems = [*self._wrong(may, found), *self._left(recorded, found)]
        for name, one in found.items() if not problems else ():
            self.apps[name].state = self._state(name, one)
            self.apps[name].owed = name in recorded
            if one.state == GONE:
                del self.apps[name]
        return problems

    def _wrong(self, may: May, found: dict[str, engine.Looked]) -> Iterator[str]:
        for name, one in found.items():
            if self._state(name, one) not in may[name]:
                yield f"{name} is {one.state}, not {may[name]}"
            yield from self._unseen(name, one.pid)

    def _left(self, recorded: set[str], found: dict[str, engine.Looked]) -> Iterator[str]:
        """Who is recorded, but for those that can't be started: their owner does not run."""
        for name in recorded:
            owner = self.apps[name].owner if name in self.apps else ""
            if not owner or found.get(owner, engine.Looked(GONE)).state in ALIVE:
                yield f"{name} is recorded"

    def _state(self, name: str, one: engine.Looked) -> str:
        loops = self.apps[name].kind == "loop" and one.state == RESTARTING
        return RUNNING if loops else one.state

    def _unseen(self, name: str, pid: int) -> Iterator[str]:
        """What a container that runs sees of its volumes, where that is wrong."""
        app = self.apps[name]
        for volume in self.volumes if pid else ():
            if volume.name in app.volumes:
                content = engine.content(pid, f"{app.place(volume.name)}/file")
                if content not in (None, volume.seen.branch.file):
                    yield f"{name} sees {content}, not {volume.seen.branch.file}"

    def _remove_stuck(self, may: May) -> bool:
        """Remove the containers that Docker itself could not start, says its log; False if there
        are none. 20.10, killed while it ends or starts one, now and then finds a task of it in
        containerd, whose process may run and outlives the removal; and now and then it fails to
        start one by its policy, and gives it up. 28.5 starts such a one by its policy again and
        again, and kills it each time, since it can't delete the task."""
        text = self.installed.engine.logs()[self.mark :]
        ids = engine.ids(self.installed.engine, may)
        stuck = [name for name, id in ids.items() if re.search(STUCK.format(id), text)]
        if GIVEN_UP in text:
            stuck += [name for name in ids.keys() - stuck if self.apps[name].kind == "loop"]
        for name in stuck:
            self.installed.engine.docker("rm", "-f", name)
            engine.end_processes(ids[name])
            may[name] = {GONE}
            self.counts["containers that Docker itself could not start again"] += 1
        return stuck != []

    # -- volumes, after a command ----------------------------------------------------------------

    def look_at_volumes(self, asked: Verb, after: bool, before: bool) -> bool:
        """Each volume must be as after the command, or as before it, where that may be; all of them
        alike. Returns whether they are as after it."""
        looked = {volume.name: volume.look() for volume in asked.volumes}
        masked = {one.name: looked[one.name].masked(one.commits) for one in asked.volumes}
        new = masked == asked.after
        old = looked == {one.name: one.seen for one in asked.volumes}
        assert (new and after) or (old and before), f"{asked.words}: {looked}, not {asked.after}"
        for volume in asked.volumes:
            self._look_at_undo(volume, asked, looked[volume.name] != volume.seen)
            volume.seen = looked[volume.name]
            for id in {*volume.seen.branch.line} - volume.commits.keys():
                volume.commits[id] = volume.made(id)
        return new

    def _look_at_undo(self, volume: Volume, asked: Verb, changed: bool) -> None:
        """The entries of the current branch: what was replaced is in one, what was undone in none,
        and only surplus ones have gone besides."""
        known = volume.undo.setdefault(volume.seen.current, {})
        now = volume.entries(volume.seen.current)
        fresh, gone = now - known.keys(), known.keys() - now
        replaces = asked.kind.startswith(("reset", "undo"))
        assert len(fresh) <= replaces, (known, now)
        assert fresh or not (replaces and changed), (known, now)
        if asked.kind == "undo" and fresh | gone:
            gone.discard(max(known))
        assert len(gone) <= max(0, len(known.keys() | fresh) - KEPT), (known, now)
        replaced = volume.seen.branch
        volume.undo[volume.seen.current] = {one: known.get(one, replaced) for one in now}

    # -- what commits hold -----------------------------------------------------------------------

    def look_at_commits(self, asked: Verb, touched: Collection[str]) -> None:
        """A commit holds one instant. Where all writers were stopped, each that counts was at the
        end of a turn, but for those that others have `touched`; else its second number may be one
        behind."""
        heads = {one.name: one.commits[one.seen.branch.line[-1]] for one in asked.volumes}
        running = [one for one in self.apps.values() if one.state == RUNNING]
        calm = [one for one in running if one.name not in touched and one.kind == "writer"]
        for name in heads:
            ended = [one.name for one in calm if heads[name].state == "stopped"]
            for app, (first, second) in heads[name].numbers.items():
                ahead = (first or 0) - (second or 0)
                allowed = (0,) if app in ended else (0, 1)
                assert _is_split(app) or ahead in allowed, f"{app} in {name}: {heads[name]}"
        self._look_at_split(heads, calm)

    def _look_at_split(self, heads: dict[str, Made], calm: list[App]) -> None:
        """Those that write to two volumes: the commits of a group hold one instant together."""
        stopped = [name for name, made in heads.items() if made.state == "stopped"]
        for app in calm:
            if len(app.volumes) == 2 and set(app.volumes) <= set(stopped):
                one, other = (heads[name].numbers.get(app.name) for name in app.volumes)
                assert (one or (None,))[0] == (other or (None,))[-1], f"{app}: {heads}"
                self.counts["two volumes committed at one instant"] += 1

    def look_at_counting(self, asked: Verb) -> None:
        """After a reset those that count have gone on from what the commit has."""
        for volume in (one for one in asked.volumes if one.name in asked.commits):
            made = volume.commits[asked.commits[volume.name]]
            for one in self.apps.values():
                alone = one.volumes == (volume.name,) and one.state == RUNNING and not one.once
                if one.kind == "writer" and alone:
                    _, number = made.numbers.get(one.name, (None, None))
                    self._await_start(volume, one, str(number or 0))

    def _await_start(self, volume: Volume, app: App, wanted: str) -> None:
        file = volume.tree() / f"{app.name}.start"
        wait_for(lambda: first_line(file) == wanted, f"{app.name} goes on from {wanted}: {file}")
        self.counts["a container went on from the commit"] += 1

    # -- namespaces ------------------------------------------------------------------------------

    def look_at_namespaces(self, done: Done) -> None:
        """Who shared with a container that was ended shares with it again."""
        ended = {name for action, name, _ in done.ends if action != "paused"}
        pids = {name: one.pid for name, one in engine.look(self.installed.engine, ended).items()}
        for app in (self.apps[name] for name in ended if name in self.apps):
            if app.owner in ended and pids[app.name] and pids[app.owner]:
                found = {engine.namespace(pids[name], app.space) for name in (app.name, app.owner)}
                assert len(found) == 1, f"{app.name} shares no {app.space} with {app.owner}"
                self.counts["a namespace was shared again"] += 1


def _is_split(name: str) -> bool:
    """Whether one of that name counts in two volumes."""
    return name.startswith("split")
