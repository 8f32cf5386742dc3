"""The commands of dvol in the model: their words, what they make of a volume, and what they say."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.docker.model.volume import NEW, Branch, Seen, Volume

SUSPENDED = re.compile(r"dvol: (stopped|killed|paused) /(\S+?),? .*\((\d+\.\d) s\)$", re.M)
LATE = re.compile(r"warning: /(\S+) was killed, since it did not stop")
LEFT = re.compile(r"is done, but /(\S+) \(")
BRANCHES = 4  # of a volume, at most
ODDS = {"commit": 10, "reset": 8, "undo": 4, "branch": 2, "checkout": 4, "groups": 6}


@dataclass
class Verb:
    """A command on `volumes`, and what it makes of each. If it `ends`, it is refused where a
    container would be removed, unless it is `forced`; `refusal` is the exit code with which it must
    be refused whatever containers there are. `commits` are those to which it resets."""

    kind: str
    words: list[str]
    volumes: list[Volume]
    after: dict[str, Seen]
    ends: bool = True
    refusal: int = 0
    commits: dict[str, str] = field(default_factory=dict)

    @property
    def forced(self) -> bool:
        return "-f" in self.words

    @property
    def names(self) -> set[str]:
        return {volume.name for volume in self.volumes}


@dataclass
class Done:
    """What a command answered. `began` is by the wall clock."""

    code: int
    said: str
    printed: str
    began: float
    seconds: float

    def __str__(self) -> str:
        return f"exit {self.code} in {self.seconds:.1f} s\n{self.said.rstrip()}"

    @property
    def ends(self) -> list[tuple[str, str, float]]:
        """How each container was suspended, and the seconds that this took."""
        found = SUSPENDED.findall(self.said)
        return [(action, name, float(seconds)) for action, name, seconds in found]

    @property
    def suspended(self) -> Counter[str]:
        """How often each container was suspended."""
        return Counter(name for _, name, _ in self.ends)

    @property
    def late(self) -> Counter[str]:
        """How often a container was killed, since it did not stop in time."""
        return Counter(LATE.findall(self.said))

    @property
    def left(self) -> str:
        """The container that was not started again, if any."""
        found = LEFT.search(self.said)
        return found[1] if found else ""


def chosen(dice: random.Random, volumes: Sequence[Volume], number: int) -> Verb:
    """A command at random; `number` is new with each."""
    [kind] = dice.choices(list(ODDS), list(ODDS.values()))
    if kind == "groups" and len(volumes) > 1:
        return _of_group(dice, list(volumes))
    volume = dice.choice(volumes)
    if not volume.seen.branch.line and kind != "undo":
        return commit(dice, [volume])
    if kind == "branch" and len(volume.seen.branches) >= BRANCHES:
        kind = "checkout"
    force = ["-f"] if dice.random() < 0.3 else []
    if kind == "reset":
        return reset(volume, dice.randrange(len(volume.seen.branch.line)), force)
    if kind == "undo":
        return undo(volume, force)
    if kind == "branch":
        return branch(volume, f"b{number}", force)
    if kind == "checkout":
        return checkout(volume, dice.choice(list(volume.seen.branches)), force)
    return commit(dice, [volume])


def commit(dice: random.Random, volumes: list[Volume]) -> Verb:
    mode = dice.choice(["--stop", "--stop", "--pause"])
    after = {}
    for volume in volumes:
        seen = volume.seen
        now = Branch(seen.branch.file, (*seen.branch.line, NEW))
        after[volume.name] = seen.but(seen.current, now)
    words = ["commit", "-m", "x", mode, *_on(volumes)]
    return Verb(f"commit {mode}", words, volumes, after, ends=False)


def reset(volume: Volume, index: int, force: list[str]) -> Verb:
    """To one of the commits of the current branch."""
    line = volume.seen.branch.line[: index + 1]
    now = Branch(volume.commits[line[-1]].file, line)
    after = {volume.name: volume.seen.but(volume.seen.current, now)}
    words = ["reset", "--hard", *force, line[-1], volume.name]
    return Verb("reset", words, [volume], after, commits={volume.name: line[-1]})


def undo(volume: Volume, force: list[str]) -> Verb:
    now = volume.newest
    after = {volume.name: volume.seen.but(volume.seen.current, now) if now else volume.seen}
    words = ["undo", *force, volume.name]
    return Verb("undo", words, [volume], after, refusal=0 if now else 3)


def branch(volume: Volume, name: str, force: list[str]) -> Verb:
    line = volume.seen.branch.line
    after = {volume.name: volume.seen.but(name, Branch(volume.commits[line[-1]].file, line))}
    words = ["checkout", "-b", *force, name, volume.name]
    return Verb("checkout -b", words, [volume], after)


def checkout(volume: Volume, name: str, force: list[str]) -> Verb:
    after = {volume.name: Seen(name, volume.seen.branches)}
    words = ["checkout", *force, name, volume.name]
    return Verb("checkout", words, [volume], after, ends=name != volume.seen.current)


def _of_group(dice: random.Random, volumes: list[Volume]) -> Verb:
    lines = [volume.seen.branch.line for volume in volumes]
    if not all(lines) or dice.random() < 0.5:
        made = commit(dice, volumes)
        made.kind += " of several"
        return made
    found = [reset(volume, len(volume.seen.branch.line) - 1, []) for volume in volumes]
    words = ["reset", "--hard", *_on(volumes)]
    after = {name: seen for one in found for name, seen in one.after.items()}
    commits = {name: id for one in found for name, id in one.commits.items()}
    return Verb("reset of several", words, volumes, after, commits=commits)


def _on(volumes: list[Volume]) -> list[str]:
    if len(volumes) == 1:
        return [volumes[0].name]
    return [word for volume in volumes for word in ("--volume", volume.name)]
