"""The real thing beside the model: one step after the other, each compared with what must be so."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.docker.installed import Installed, await_docker, run, server_pid, wait_for
from tests.docker.model import engine, user, verb
from tests.docker.model.app import ALIVE, GONE, RUNNING, STOP_TIMEOUT
from tests.docker.model.apps import Apps
from tests.docker.model.comparison import Comparison
from tests.docker.model.user import Deed
from tests.docker.model.verb import Done, Verb
from tests.docker.model.volume import Branch, Volume
from tests.lab import Unavailable

VOLUMES = ("model_db", "model_cache", "model_logs")
FEW, MANY = 4, 8  # containers
MOMENTS = (0.1, 0.4, 0.8, 1.4, 2.0)  # seconds within which others begin
WOULD_REMOVE, BUSY, FAILED = 4, 5, 7  # exit codes
# 28.5 unmounts for the old process of a plugin what it is mounting for the new one, and dies of it
UNMOUNTED = "error setting up propagated mount dir"
TRACED = 60  # lines of what happened, which a difference tells


class Difference(AssertionError):
    """The real thing is not as the model says."""


class World:
    """Volumes, containers, and everything that may happen to them. `counts` says how often it did,
    `longest` how many seconds something took, and in which step."""

    def __init__(self, installed: Installed, dice: random.Random) -> None:
        self.installed = installed
        self.dice = dice
        self.steps = 0
        self.counts: Counter[str] = Counter()
        self.longest: dict[str, tuple[float, int]] = {}
        self.apps = Apps()
        self.volumes = [Volume(installed.pool / name) for name in VOLUMES]
        self.comparison = Comparison(installed, self.volumes, self.apps, self.counts)
        self._trace: list[str] = []
        self._numbers = 0
        for volume in self.volumes:
            installed.dvol("init", volume.name)
        for _ in self.volumes:
            self._deeds([self._newcomer()])

    def step(self, kind: str) -> None:
        """Do one of the steps below. Raises Difference."""
        self.steps += 1
        self.counts[f"step {kind}"] += 1
        self._since, self.comparison.mark = time.time(), len(self.installed.engine.logs())
        self._say(f"--- {self.steps} {kind}: {'; '.join(map(str, self.apps.values()))}")
        try:
            getattr(self, kind)()
        except AssertionError as error:
            raise Difference(f"{error}\n{self._history()}") from error

    def check_all(self) -> None:
        """At the end: no commit has changed, and the pool is sound."""
        for volume in self.volumes:
            for id in volume.seen.branch.line:
                assert volume.made(id) == volume.commits[id], f"{volume.name} {id}"
        done = self.installed.dvol("fsck", check=False)
        assert done.returncode == 0, done

    # -- steps -----------------------------------------------------------------------------------

    def write(self) -> None:
        """Into the file of a volume, by a container that has it, or by one for that alone."""
        volume, text = self.dice.choice(self.volumes), str(self._number())
        writers = [one for one in self.apps.values() if one.writes_to(volume.name)]
        if writers:
            command = f"echo {text} > {writers[0].place(volume.name)}/file"
            self.installed.engine.docker("exec", writers[0].name, "sh", "-c", command)
        else:
            self.installed.container(volume.name, f"echo {text} > /data/file")
        branch = Branch(text, volume.seen.branch.line)
        volume.seen = volume.seen.but(volume.seen.current, branch)
        self.comparison.settle(self.apps.as_they_are())

    def command(self) -> None:
        """A command of dvol, and nobody else: what ran before runs again when it returns."""
        asked = self._chosen(self.volumes)
        lost, code = self._removed_by(asked), self._code(asked)
        forsaken = self.apps.forsaken(lost)
        [done] = self._do([asked])
        self._require([code, *[FAILED] * (done.left in forsaken)], asked, done)
        may = self.apps.as_they_are()
        if code == 0:
            may |= forsaken | {name: {GONE} for name in lost}
            self.comparison.look_at_counting(asked)
        self._look(asked, done)
        self.comparison.look_at_namespaces(done)
        self.comparison.settle(may, at_once=not lost)

    def commands(self) -> None:
        """Two commands at the same time on different volumes, which may share containers."""
        asked = [self._chosen([volume]) for volume in self.dice.sample(self.volumes, 2)]
        lost = list(map(self._removed_by, asked))
        codes = list(map(self._code, asked))
        may = self.apps.as_they_are()
        for one, done, names, code in zip(asked, self._do(asked), lost, codes, strict=True):
            # the other one may have removed what was in the way
            forsaken = self.apps.forsaken(names)
            excused = [0] * (code == WOULD_REMOVE) + [FAILED] * (done.left in forsaken)
            self._require([code, *excused], one, done)
            if done.code in (0, FAILED):
                may |= forsaken | {name: {GONE} for name in names}
            self._look(one, done, touched=self.apps)
        self.comparison.settle(may)

    def users(self) -> None:
        """Other people, one after the other, and no dvol."""
        self._deeds(self._some_deeds())

    def disturbed(self) -> None:
        """A command of dvol, and other people meanwhile."""
        asked, deeds = self._chosen(self.volumes), self._some_deeds()
        for deed in deeds:
            deed.after = self.dice.choice(MOMENTS) * self.dice.random()
        allowed = self._codes(asked, deeds)
        [done] = self._do([asked], deeds)
        wrong = [str(deed) for deed in deeds if deed.is_wrong]
        assert not wrong, f"{wrong}\n{done}"
        removable = asked.forced and asked.ends
        once = [one.name for one in self.apps.values() if one.once and removable]
        shaken = self.apps.forsaken(once) | self.apps.shaken(deeds)
        may = self.apps.as_they_are() | shaken
        self.apps |= {deed.app.name: deed.app for deed in deeds}
        may |= {deed.app.name: self._disturbed(deed, asked, done) for deed in deeds}
        for one in self.apps.values():
            may[one.name] |= {GONE} if one.once and removable else set()
        self._require([*allowed, *self._excused(done, deeds, {*shaken})], asked, done)
        self._look(asked, done, {*shaken, *(deed.app.name for deed in deeds)})
        self.comparison.settle(may)

    def server_dies(self) -> None:
        """With nobody at work."""
        if self.dice.random() < 0.5:
            await_docker(self.installed)
            self._kill_server()
        else:
            self._cycle_plugin()
        self._await_answer()
        self.comparison.settle(self.apps.after_server())

    def server_dies_in_command(self) -> None:
        asked = self._chosen(self.volumes)
        accident, within = self._cycle_plugin, 1.0
        if self.dice.random() < 0.7:
            await_docker(self.installed)
            accident, within = self._kill_server, 1.5
        self._do([asked], moment=self.dice.random() * within, accident=accident)
        self._await_answer()
        may = self.apps.after_server(in_command=True)
        if asked.forced and asked.ends:
            once = [one.name for one in self.apps.values() if one.once]
            may |= self.apps.forsaken(once) | {name: may[name] | {GONE} for name in once}
        self._look(asked, None, touched=self.apps)
        self.comparison.settle(may)

    def daemon_restarts(self) -> None:
        """Cleanly or not, with nobody at work."""
        killed = self.dice.random() < 0.5
        if killed:
            self._remove_loops()
        self._restart_daemon(killed)
        self.comparison.settle(self.apps.after_daemon(killed))

    def daemon_dies_in_command(self) -> None:
        self._remove_loops()
        asked, moment = self._chosen(self.volumes), self.dice.random() * 1.5
        self._do([asked], moment=moment, accident=lambda: self._restart_daemon(True))
        self._look(asked, None, touched=self.apps)
        self.comparison.settle(self.apps.after_daemon(True, in_command=True))

    # -- what may be -----------------------------------------------------------------------------

    def _removed_by(self, asked: Verb) -> set[str]:
        return self.apps.removed_with(asked.names) if asked.ends else set()

    def _code(self, asked: Verb) -> int:
        """The exit code of a command, if nobody else does anything."""
        refused = self._removed_by(asked) and not asked.forced
        return asked.refusal or (WOULD_REMOVE if refused else 0)

    def _codes(self, asked: Verb, deeds: list[Deed]) -> list[int]:
        """The exit codes that it may have beside these."""
        refused = asked.ends and not asked.forced and self.apps.may_be_removed(deeds)
        return [self._code(asked), asked.refusal, *[WOULD_REMOVE] * refused]

    def _excused(self, done: Done, deeds: list[Deed], shaken: set[str]) -> list[int]:
        """Further exit codes, where others have made that so."""
        shaken |= {deed.app.name for deed in deeds}
        if done.code == BUSY:
            self.counts["refused, since others started or unpaused one"] += 1
            return [BUSY]
        unpaused = any(deed.what == "unpause" for deed in deeds)
        if unpaused and "changed while it was copied" in done.said:
            self.counts["refused, since one that was unpaused wrote"] += 1
            return [FAILED]
        paused = any(deed.what == "pause" for deed in deeds)
        if paused and "did not receive an exit event" in done.said:
            self.counts["refused, since one was paused while it was killed"] += 1
            return [FAILED]
        return [FAILED] if done.left in shaken else []

    def _require(self, allowed: Iterable[int], asked: Verb, done: Done) -> None:
        assert done.code in allowed, f"{asked.words}: not of {allowed}: {done}"

    def _disturbed(self, deed: Deed, asked: Verb, done: Done) -> set[str]:
        """How a container may be after something that another one did while a command worked."""
        one, states = deed.app, deed.states(alone=False)
        if one.owner:  # which may have been down, or have come back without it
            states |= {one.ended, RUNNING}
        if deed.what in ("stop", "kill") and not deed.code and one.state in ALIVE:
            certain = self._is_certain(deed, asked, done)
            self.counts[f"a stop by others was {'certain' if certain else 'in doubt'}"] += 1
            return {one.ended} if certain else states
        return states

    def _is_certain(self, deed: Deed, asked: Verb, done: Done) -> bool:
        """Whether dvol must know that another one has stopped the container: it has not touched it,
        or Docker's events showed that when the commit was frozen."""
        times = done.suspended[deed.app.name]
        if not times:
            return done.code == 0 and deed.app.kind != "loop" and not deed.app.owner
        if done.code or asked.kind != "commit --stop":
            return False
        frozen = asked.volumes[0].path / "commits" / done.printed.strip()
        happened = engine.events(self.installed.engine, done.began, frozen.stat().st_ctime)
        mine = [one for one in happened if engine.subject(one) == deed.app.name]
        signals = [engine.signal_sent(one) for one in mine]
        stops = sum(one["Action"] == "stop" for one in mine)
        more = max(stops, signals.count("15"), signals.count("9")) > times
        return more and all(one["Action"] != "start" for one in mine)

    def _look(self, asked: Verb, done: Done | None, touched: Iterable[str] = ()) -> None:
        """At the volumes after a command; `done` is None if it was interrupted. `touched` are the
        containers of which others may have ended or unpaused one."""
        after = done is None or done.code == 0 or done.left != ""
        new = self.comparison.look_at_volumes(asked, after, done is None or not after)
        if new and asked.kind.startswith("commit"):
            self.comparison.look_at_commits(asked, set(touched))

    # -- doing -----------------------------------------------------------------------------------

    def _do(
        self,
        asked: Sequence[Verb],
        deeds: Sequence[Deed] = (),
        moment: float = 0.0,
        accident: Callable[[], None] | None = None,
    ) -> list[Done]:
        """All at the same time; the accident at its moment, in seconds."""
        with ThreadPoolExecutor(8) as pool:
            verbs = [pool.submit(self._ask, one) for one in asked]
            others = [pool.submit(self._perform, deed) for deed in deeds]
            if accident:
                time.sleep(moment)
                accident()
            done = [each.result() for each in verbs]
            for each in others:
                each.result()
        for one, its in zip(asked, done, strict=True):
            self.counts[f"dvol {one.kind}"] += 1
            self._say(f"dvol {' '.join(one.words)}: {its}")
            if accident is None and "did not receive an exit event" not in its.said:
                self._measure(its)
        return done

    def _ask(self, asked: Verb) -> Done:
        began, clock = time.time(), time.monotonic()
        done = run(["dvol", *asked.words], self.installed.env, check=False)
        seconds = time.monotonic() - clock
        return Done(done.returncode, done.stderr, done.stdout, began, seconds)

    def _perform(self, deed: Deed) -> None:
        time.sleep(deed.after)
        began = time.monotonic()
        done = self.installed.engine.docker(*deed.words, check=False)
        deed.code, deed.said = done.returncode, done.stderr
        deed.seconds = time.monotonic() - began
        self.counts[f"docker {deed.what}"] += 1
        self._say(str(deed))
        self._longest(f"docker {deed.what}", deed.seconds)

    def _deeds(self, deeds: Iterable[Deed]) -> None:
        for deed in deeds:
            self._perform(deed)
            assert not deed.is_wrong, str(deed)
            may = self.apps.after(deed)
            self.apps.setdefault(deed.app.name, deed.app)
            self.comparison.settle(may)

    def _measure(self, done: Done) -> None:
        """How long a container took to be suspended beyond the time that it may take to stop; and
        the whole command beyond all these times, and beyond a second for what else Docker does with
        each container."""
        for action, name, seconds in done.ends:
            own = STOP_TIMEOUT if action == "stopped" and done.late[name] else 0
            self._longest("end of a container, beyond its own stop", seconds - own)
        self._longest("command", done.seconds)
        own = STOP_TIMEOUT * sum(done.late.values()) + len(done.ends)
        self._longest("command, beyond the stops and a second for each", done.seconds - own)

    def _longest(self, what: str, seconds: float) -> None:
        self.longest[what] = max(self.longest.get(what, (0.0, 0)), (seconds, self.steps))

    def _chosen(self, volumes: list[Volume]) -> Verb:
        return verb.chosen(self.dice, volumes, self._number())

    def _some_deeds(self) -> list[Deed]:
        """A few, of different containers."""
        apps = list(self.apps.values())
        forlorn = [one for one in apps if one.owner and one.owner not in self.apps]
        found: list[Deed] = []
        if len(self.apps.alive()) < FEW or (len(apps) < MANY and self.dice.random() < 0.2):
            found.append(self._newcomer())
        if forlorn or len(apps) >= MANY:
            found.append(user.removal(self.dice.choice(forlorn or apps)))
        taken = [deed.app for deed in found]
        rest = [one for one in apps if one not in taken]
        picked = self.dice.sample(rest, min(self.dice.choice([1, 1, 2, 3]), len(rest)))
        found += [user.deed(self.dice, one) for one in picked]
        return [one for one in found if not self.apps.hangs(one, found)]

    def _newcomer(self) -> Deed:
        driver, apps = self.installed.driver, self.apps.values()
        return user.newcomer(self.dice, VOLUMES, apps, self._number(), driver)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _kill_server(self) -> None:
        os.kill(server_pid(self.installed), signal.SIGKILL)

    def _cycle_plugin(self) -> None:
        self.installed.engine.docker("plugin", "disable", "-f", self.installed.driver)
        self.installed.engine.docker("plugin", "enable", self.installed.driver)

    def _remove_loops(self) -> None:
        """28.5, killed while one is between two runs, may take it for one that runs, for good, and
        then nobody can end it."""
        loops = [one for one in self.apps.alive() if one.kind == "loop"]
        self._deeds([user.removal(one) for one in loops])

    def _restart_daemon(self, killed: bool) -> None:
        docker = self.installed.engine
        (docker.kill if killed else docker.stop)()
        try:
            docker.start()
        except Unavailable:
            if UNMOUNTED not in docker.logs()[self.comparison.mark :]:
                raise
            self.counts["Docker died at its start, and was started again"] += 1
            docker.start()  # as systemd does
        self._await_answer()

    def _await_answer(self) -> None:
        wait_for(lambda: self.installed.dvol("list", check=False).returncode == 0, "it answers")

    # -- telling ---------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        line = f"{time.time():.3f} {text}"
        print(line, flush=True)
        self._trace = [*self._trace[-TRACED:], line]

    def _history(self) -> str:
        """The last steps, and what Docker and the server say of this one."""
        happened = map(engine.told, engine.events(self.installed.engine, self._since, time.time()))
        log = self.installed.engine.logs()[self.comparison.mark :].splitlines()
        warned = [line for line in log if " WARNING " in line or "level=error" in line]
        return "\n".join([*self._trace, "events:", *happened, "log:", *warned[-20:]])
