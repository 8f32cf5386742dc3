"""What a verb does to a container that uses its volumes: the decision, and nothing else. Pure."""

from __future__ import annotations

from dvol.containers import KILL, LIVE, PAUSE, RESET, STOP, SWITCH
from dvol.containers.container import PAUSED, RESTARTING, Container
from dvol.errors import WouldBeRemoved


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


def _while_frozen(container: Container, volumes: frozenset[str], mode: str) -> str:
    """A container that only reads, or is paused, does not change the tree."""
    if mode == LIVE or container.state == PAUSED or not container.writes_to(volumes):
        return ""
    if container.state == RESTARTING:  # between two runs there is no process to pause
        return STOP
    return PAUSE if container.removes_itself else mode
