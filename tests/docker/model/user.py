"""What other people do to containers while dvol works on them, and what may come of it."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tests.docker.model.app import ALIVE, GONE, PAUSED, RUNNING, STOPPED, App

# What Docker answers where a container is just not in the state for it.
USUAL = (
    *("is not running", "is already paused", "is not paused", "cannot start a paused container"),
    *("No such container", "already in progress", "is marked for removal", "is restarting, wait"),
    *("cannot kill container", "container not running", "already stopped"),
    *("not in a pausable state", "cannot resume a stopped", "cannot pause a stopped"),
    # 28.5, where what shares its processes is paused
    "did not receive an exit event",
)
SPACES = ("network", "pid", "ipc")
ENDING = ("stop", "kill", "restart", "rm")  # what ends those that share the container's processes
ODDS = {
    RUNNING: {"stop": 5, "kill": 4, "restart": 5, "pause": 4, "rm": 2, "start": 1},
    PAUSED: {"unpause": 6, "stop": 1, "kill": 1, "restart": 1, "rm": 1},
    STOPPED: {"start": 8, "rm": 2, "restart": 2, "stop": 1},
}


@dataclass
class Deed:
    """One command about one container, and when it begins, in seconds after the verb did."""

    what: str
    app: App
    words: list[str]
    after: float = 0.0
    code: int = 0
    said: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        failed = f" -> {self.code} {self.said.strip()[-300:]}" if self.code else ""
        return f"{self.what} {self.app.name} at {self.after:.2f} ({self.seconds:.1f} s){failed}"

    @property
    def is_wrong(self) -> bool:
        """Whether it failed for another reason than the container's state. One without a volume
        fails for many, if it is to join another that has just ended."""
        usual = any(text in self.said for text in USUAL)
        return self.code != 0 and not usual and self.app.volumes != ()

    def states(self, alone: bool) -> set[str]:
        """How the container may be afterwards; `alone` if no verb was at work."""
        was, done = self.app.state, not self.code
        if self.what == "rm":
            return {GONE} if done else {GONE, was, self.app.ended}
        if self.what == "run":
            return {RUNNING} if done else {self.app.ended, GONE}
        if self.what in ("stop", "kill"):
            left = {was, RUNNING} if was in ALIVE else {was}
            ended = {self.app.ended} if was in ALIVE else {was}
            return ended if alone and done else ended | left
        if self.what in ("start", "restart"):
            again = {RUNNING} if alone or was != PAUSED else {RUNNING, PAUSED}
            return again if done else {was, RUNNING, self.app.ended}
        new = PAUSED if self.what == "pause" else RUNNING
        return {new} if alone and done else {was, new}


def deed(dice: random.Random, app: App) -> Deed:
    """A command about a container, at random."""
    odds = ODDS[app.state]
    [what] = dice.choices(list(odds), list(odds.values()))
    return removal(app) if what == "rm" else Deed(what, app, [what, app.name])


def removal(app: App) -> Deed:
    return Deed("rm", app, ["rm", "-f", app.name])


def newcomer(
    dice: random.Random, volumes: Sequence[str], apps: Collection[App], number: int, driver: str
) -> Deed:
    """A new container, at random."""
    app = _app(dice, volumes, apps, number)
    return Deed("run", app, app.run(driver))


def _app(dice: random.Random, volumes: Sequence[str], apps: Collection[App], number: int) -> App:
    owners = [one for one in apps if one.state == RUNNING and one.kind != "loop"]
    kinds = ["writer", "writer", "writer", "reader", "loop", *["sharer"] * 3 * bool(owners)]
    kind = dice.choice(kinds)
    if kind == "sharer":
        return _sharer(dice, owners, number)
    policy = dice.choice(["", "", "always", "unless-stopped", "on-failure"])
    if kind == "loop":
        policy = dice.choice(["always", "on-failure"])
    count = 2 if kind == "writer" and dice.random() < 0.3 else 1
    needs = [one.name for one in owners if dice.random() < 0.2]
    return App(
        f"{'split' if count > 1 else kind}{number}",
        kind,
        tuple(dice.sample(volumes, count)),
        policy,
        once=not policy and dice.random() < 0.3,
        needs=needs[0] if needs else "",
    )


def _sharer(dice: random.Random, owners: list[App], number: int) -> App:
    """Docker lets nobody share what a container shares itself, but its processes."""
    owner = dice.choice(owners)
    space = dice.choice([one for one in SPACES if one != owner.space] if owner.owner else SPACES)
    once = dice.random() < 0.15
    policy = "" if once else dice.choice(["", "", "always"])
    return App(f"sharer{number}", "sharer", (), policy, once, space, owner.name)
