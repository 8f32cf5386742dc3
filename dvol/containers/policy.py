"""What a verb does to a container that uses its volumes: the decision, and nothing else.

Pure; `quiescence` asks it.
"""

from __future__ import annotations

from dvol.containers import DISCARD, KILL, LIVE, PAUSE, STOP, SWITCH
from dvol.containers.container import PAUSED, RESTARTING, Container
from dvol.errors import WouldVanish


def treatment(one: Container, volumes: frozenset[str], purpose: str, force: bool = False) -> str:
    """How to end a container, "" to leave it alone. `purpose` is a mode of commit, DISCARD, or
    SWITCH; WouldVanish where ending it would remove it, unless `force`."""
    if purpose not in (DISCARD, SWITCH):
        return _while_frozen(one, volumes, purpose)
    if one.removes_itself and not force:
        raise WouldVanish(one.name)
    # its data is thrown away, so it need not be completed
    return KILL if purpose == DISCARD and one.writes_only_to(volumes) else STOP


def _while_frozen(one: Container, volumes: frozenset[str], mode: str) -> str:
    """A reader sees no difference, and one that is paused does not write."""
    if mode == LIVE or one.state == PAUSED or not one.writes_to(volumes):
        return ""
    if one.state == RESTARTING:  # between two lives there is nothing to pause
        return STOP
    return PAUSE if one.removes_itself else mode
