"""The containers of the model together: who shares with whom, and how each may be after something
has happened to it."""

from __future__ import annotations

from collections.abc import Iterable

from tests.docker.model import user
from tests.docker.model.app import ALIVE, GONE, PAUSED, RUNNING, STOPPED, App
from tests.docker.model.user import Deed

May = dict[str, set[str]]  # how each container may be, by name


class Apps(dict[str, App]):
    """The containers by name."""

    def alive(self) -> list[App]:
        return [one for one in self.values() if one.alive]

    def sharers(self, names: Iterable[str], alive: bool = False) -> list[str]:
        """Who shares with these, also by way of others; only those that are alive, if `alive`."""
        found = list(names)
        given = set(found)
        for name in found:  # it grows
            sharing = [one for one in self.values() if one.owner == name]
            found += [
                one.name for one in sharing if one.name not in found and (one.alive or not alive)
            ]
        return [name for name in found if name not in given]

    def removed_with(self, volumes: set[str]) -> set[str]:
        """Those that Docker would remove if all that have one of the volumes were ended."""
        having = [one.name for one in self.alive() if volumes.intersection(one.volumes)]
        ended = {*having, *self.sharers(having, alive=True)}
        return {name for name in ended if self[name].once}

    def may_be_removed(self, deeds: Iterable[Deed]) -> bool:
        """Whether one of those that others work on, or share with these, would be removed."""
        named = {deed.app.name: deed.app for deed in deeds}
        found = [*named.values(), *(self[name] for name in self.sharers(named))]
        return any(one.once for one in found)

    def hangs(self, deed: Deed, beside: Iterable[Deed]) -> bool:
        """Whether Docker would wait for a container's end in vain: it can't end before those that
        share its processes, and one that is paused does not end."""
        paused = {one.app.name for one in beside if one.what == "pause"}
        paused |= {one.name for one in self.values() if one.state == PAUSED}
        return deed.what in user.ENDING and not paused.isdisjoint(self.sharers([deed.app.name]))

    # -- how they may be -------------------------------------------------------------------------

    def as_they_are(self) -> May:
        owed = {one.name: {RUNNING} for one in self.values() if one.owed}
        return {one.name: {one.state} | owed.get(one.name, set()) for one in self.values()}

    def after(self, deed: Deed) -> May:
        """After something that another one has done, with no command of dvol at work."""
        one = deed.app
        states = deed.states(alone=one.kind != "loop")
        states |= {one.ended} if one.owner else set()
        ending = [deed] if deed.what in user.ENDING else []
        return self.as_they_are() | self.shaken(ending) | {one.name: states}

    def shaken(self, deeds: Iterable[Deed]) -> May:
        """Who shares with a container that others work on may end, or not start again."""
        shaken = map(self.get, self.sharers(deed.app.name for deed in deeds))
        return {
            one.name: {one.state, one.ended, STOPPED, RUNNING}
            if one.alive
            else {one.state, RUNNING}
            for one in shaken
            if one
        }

    def forsaken(self, lost: Iterable[str]) -> May:
        """Who shares with one that a command has had removed can't start again."""
        names = [name for name in self.sharers(lost) if self[name].alive]
        return {name: {self[name].state, self[name].ended} for name in names}

    def after_server(self, in_command: bool = False) -> May:
        """After the server's death. One in a crash loop can't mount meanwhile, and Docker then
        gives it up. One that was paused may have been started by a command that died before it
        could pause it again."""
        may = self.as_they_are()
        for one in self.alive():
            if one.kind == "loop":
                may[one.name] |= {RUNNING, STOPPED}
            if one.state == PAUSED and in_command:
                may[one.name] |= {RUNNING}
        return may

    def after_daemon(self, killed: bool, in_command: bool = False) -> May:
        """The daemon's restart ends all, and starts those whose policy says so. A command that it
        interrupts has others started."""
        may = {one.name: _after_daemon(one, killed) for one in self.values()}
        for one in self.alive() if in_command else ():
            may[one.name] |= set() if one.once else {RUNNING}
        return may


def _after_daemon(one: App, killed: bool) -> set[str]:
    if one.once:
        return {GONE}
    if one.owner:  # which may start later
        return {RUNNING, STOPPED}
    states = {
        "always": {RUNNING},
        "on-failure": {RUNNING, STOPPED},
        # a daemon that was killed stops the containers as a user would when it starts again
        "unless-stopped": {STOPPED, RUNNING} if killed else {RUNNING},
    }
    found = states.get(one.policy, {STOPPED})
    if one.policy == "unless-stopped" and one.state not in ALIVE:
        found = {STOPPED}
    return found | ({STOPPED, PAUSED} if one.state == PAUSED else set())
