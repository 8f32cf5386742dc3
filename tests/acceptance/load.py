"""Volumes at work in a guest that will be cut off, and the journal of it, kept outside the guest.

What a verb was asked for is known here before the guest hears of it. So after a cut each volume is
as its model was before that verb, or as it is after it.
"""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tests.acceptance.modelled import Volume, chosen

Spawn = Callable[[str], "subprocess.Popen[str]"]  # starts the agent of a volume
ANSWER = 120.0  # seconds that a verb may take, under emulation
SOON = 20.0  # seconds that a verb is waited for, which may never be drawn
Asked = tuple[str, list[Any]]


class Hand:
    """One who works on a volume, verb after verb, until the machine is cut off."""

    def __init__(self, name: str, crew: Crew) -> None:
        self.name = name
        self.volume = Volume()
        self.pending: Asked | None = None
        self.stale = False  # a gc was under way at some time of this verb
        self.failure = ""
        self.answered = 0  # verbs, since the last start
        self._crew = crew
        self._count = 0
        self._agent: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    def start(self, spawn: Spawn, seed: str) -> None:
        """Begin to work; returns once the agent answers."""
        self._dice, self.answered = random.Random(f"{seed} {self.name}"), 0
        self.connect(spawn)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def connect(self, spawn: Spawn) -> None:
        self._agent = spawn(self.name)
        assert self._answer() == "ready"

    def end(self) -> None:
        """The agent goes, and with it who works by it."""
        if self._agent is None:
            return
        self._agent.kill()
        if self._thread is not None:
            self._thread.join(60)
            assert not self._thread.is_alive()
        with suppress(BrokenPipeError), self._agent:
            pass  # its pipes are closed
        self._agent = self._thread = None

    def look(self) -> Any:
        """The volume as it is now."""
        return self.ask("look")

    def ask(self, *words: Any) -> Any:
        assert self._agent is not None
        assert self._agent.stdin is not None
        self._agent.stdin.write(json.dumps(words) + "\n")
        self._agent.stdin.flush()
        return self._answer()

    def candidates(self, seen: Any) -> list[tuple[str, Volume]]:
        """What the volume may be after a cut."""
        if not self.pending:
            return [("at rest", self.volume)]
        verb, arguments = self.pending
        if verb == "write":
            return [("torn", self.volume.torn(arguments[1], seen))]
        after = self.volume.after(verb, arguments, answer=None)
        return [("before", self.volume), ("after", after)]

    def _work(self) -> None:
        try:
            while not self._crew.cut:
                self._one(self._next())
        except (EOFError, OSError) as error:
            if not self._crew.cut:
                self.failure = f"{self.name}: {self.pending}: {error!r}"
        except Exception as error:
            self.failure = f"{self.name}: {self.pending}: {error!r}"

    def _next(self) -> Asked:
        self._count += 1
        return chosen(self.volume, self._dice, self._count, self._crew.wanted)

    def _one(self, asked: Asked) -> None:
        verb, arguments = asked
        with self._crew.lock:
            self.pending = asked
            self.stale = self._crew.collecting
            if verb == "gc":
                self._crew.forget()
        self._crew.note(self.name, "asked", verb, *arguments)
        began = time.monotonic()
        answer = self.ask(verb, *arguments)
        self._crew.took[verb] = time.monotonic() - began
        self._crew.note(self.name, "answered", answer)
        with self._crew.lock:
            self.volume = self.volume.after(verb, arguments, answer)
            if self.stale:
                self.volume.forget()
            if verb == "gc":
                self._crew.forget()
            self.pending, self.stale = None, False
            self._crew.done[verb] += 1
            self.answered += 1

    def _answer(self) -> Any:
        assert self._agent is not None
        assert self._agent.stdout is not None
        line = self._agent.stdout.readline()
        if not line.endswith("\n"):
            raise EOFError(f"the agent of {self.name} has ended")
        return json.loads(line)


class Crew:
    """All hands, and the journal of what they did."""

    def __init__(self, names: tuple[str, ...], spawn: Spawn, journal: Path) -> None:
        self.lock = threading.Lock()
        self.cut = False
        self.wanted = ""  # the verb that the next cut should come in the midst of
        self.took: dict[str, float] = {}  # seconds, of each verb the last time
        self.done: Counter[str] = Counter()  # verbs that were answered
        self.met: Counter[str] = Counter()  # verbs that a cut came in the midst of, and the outcome
        self._spawn = spawn
        self._journal: IO[str] = journal.open("w")
        self.hands = [Hand(name, self) for name in names]

    def start(self, seed: str) -> None:
        self.cut, self.wanted = False, ""
        for hand in self.hands:
            hand.start(self._spawn, seed)

    def await_work(self) -> None:
        """Until each hand has had an answer, so that none can stand still for ever."""
        self._wait(lambda: all(hand.answered for hand in self.hands), ANSWER, must=True)

    def await_verb(self, verb: str, part: float) -> None:
        """Until that part, from 0 to 1, of a verb has passed; it may be that none comes."""
        self.wanted = verb
        self._wait(
            lambda: any(hand.pending and hand.pending[0] == verb for hand in self.hands), SOON
        )
        time.sleep(part * self.took.get(verb, 0.2))

    def _wait(self, ready: Callable[[], bool], timeout: float, must: bool = False) -> None:
        deadline = time.monotonic() + timeout
        while not ready() and not self.failures:
            if time.monotonic() > deadline:
                assert not must, [(hand.name, hand.pending) for hand in self.hands]
                return
            time.sleep(0.002)

    def cut_off(self, pull: Callable[[], None]) -> None:
        """Pull the plug while all are at work."""
        self.note("crew", "cut")
        self.cut = True
        pull()
        for hand in self.hands:
            hand.end()

    @property
    def failures(self) -> list[str]:
        """What went wrong before the cut."""
        return [hand.failure for hand in self.hands if hand.failure]

    @property
    def collecting(self) -> bool:
        """Whether a gc is under way."""
        return any(hand.pending and hand.pending[0] == "gc" for hand in self.hands)

    def close(self) -> None:
        """End all work."""
        self.cut = True
        for hand in self.hands:
            hand.end()
        self._journal.close()

    def forget(self) -> None:
        """A gc begins or has ended: what is discarded, and what is being discarded, may be gone."""
        for hand in self.hands:
            hand.volume.forget()
            hand.stale = hand.pending is not None

    def verify(self) -> None:
        """Each volume is as it was before the verb that the cut came in the midst of, or after."""
        if self.collecting:
            self.forget()
        for hand in self.hands:
            hand.connect(self._spawn)
            self._verify(hand, hand.look())
            hand.end()

    def _verify(self, hand: Hand, seen: Any) -> None:
        told = {}
        for outcome, volume in hand.candidates(seen):
            told[outcome] = volume.differs(seen)
            if not told[outcome]:
                break
        else:
            raise AssertionError(f"{hand.name}, cut in {hand.pending}: {told}; seen: {seen}")
        if hand.pending:
            self.met[f"{hand.pending[0]} {outcome}"] += 1
        volume.learn(seen)
        if hand.stale:
            volume.forget()
        hand.volume, hand.pending, hand.stale = volume, None, False

    def note(self, who: str, what: str, *words: Any) -> None:
        self._journal.write(json.dumps([who, what, *words]) + "\n")
        self._journal.flush()
