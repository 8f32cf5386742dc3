"""What a verb does to a container that uses its volumes: the decision, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dvol.containers import KILL, LIVE, PAUSE, RESET, STOP, SWITCH
from dvol.containers.container import PAUSED, RESTARTING, RUNNING, Container
from dvol.errors import SharerWouldBeRemoved, WouldBeRemoved


def action_for(
    container: Container, volumes: frozenset[str], purpose: str, force: bool = False
) -> str:
    """What a verb on `volumes` does to a container: STOP, KILL, PAUSE, or "" to leave it alone.

    `purpose` is a mode of commit, RESET, or SWITCH. Raises WouldBeRemoved where Docker would remove
    the container, unless `force`.
    """
    if purpose not in (RESET, SWITCH):
        return _while_frozen(container, volumes, purpose)
    if container.removes_itself and not force:
        raise WouldBeRemoved(container.name)
    # KILL: its data is replaced, so no program need finish writing it
    return KILL if purpose == RESET and container.writes_only_to(volumes) else STOP


def with_sharers(
    actions: dict[str, str],
    owners: Sequence[Container],
    alive: Sequence[Container],
    purpose: str,
    force: bool = False,
) -> dict[str, str]:
    """The actions, by id, and those for the containers that share namespaces with one that is
    ended: each of them is stopped, since it would go on without a network, or die.

    `owners` are the containers that have an action, or were ended already; `alive` all that may
    share with them. Where Docker would remove a sharer, SharerWouldBeRemoved is raised, unless
    `force`; but for a commit its owner is only paused. Where that can't be, the owner has no
    process, and the sharer has lost its namespaces already: then it is left alone.
    """
    result = dict(actions)
    for owner in owners:
        if actions.get(owner.id, STOP) not in (STOP, KILL):
            continue
        lost = [one for one in sharers_of(owner, alive) if one.removes_itself and not force]
        if lost and purpose in (RESET, SWITCH):
            raise SharerWouldBeRemoved(lost[0].name, owner.name)
        if lost and owner.state == RUNNING and owner.id in actions:
            result[owner.id] = PAUSE
    for owner in owners:
        if result.get(owner.id, STOP) in (STOP, KILL):
            ended = [one for one in sharers_of(owner, alive) if not _ends(result, one)]
            result |= {one.id: STOP for one in ended if force or not _removes(one, alive)}
    return result


def lost_sharers(
    actions: dict[str, str], owners: Sequence[Container], alive: Sequence[Container]
) -> list[tuple[Container, Container]]:
    """The containers that `with_sharers` leaves alone, and for each the owner that has ended: they
    were started while that one was being ended, and do not share with it when it runs again."""
    running = {one.id for one in alive}
    ended = [owner for owner in owners if owner.id not in running]
    pairs = [(one, owner) for owner in ended for one in sharers_of(owner, alive)]
    return list({one.id: (one, owner) for one, owner in pairs if not _ends(actions, one)}.values())


def sharers_of(owner: Container, alive: Iterable[Container]) -> list[Container]:
    """The containers that share namespaces with `owner`, also by way of others."""
    rest = [one for one in alive if one.id != owner.id]
    found = [one for one in rest if one.shares_with(owner)]
    for one in found:  # it grows
        found += [other for other in rest if other.shares_with(one) and other not in found]
    return found


def _removes(one: Container, alive: Sequence[Container]) -> bool:
    """Whether Docker would remove a container if `one` were ended."""
    return any(each.removes_itself for each in (one, *sharers_of(one, alive)))


def _ends(actions: dict[str, str], one: Container) -> bool:
    return actions.get(one.id) in (STOP, KILL)


def _while_frozen(container: Container, volumes: frozenset[str], mode: str) -> str:
    """A container that only reads, or is paused, does not change the tree."""
    if mode == LIVE or container.state == PAUSED or not container.writes_to(volumes):
        return ""
    if container.state == RESTARTING:  # between two runs there is no process to pause
        return STOP
    return PAUSE if container.removes_itself else mode
