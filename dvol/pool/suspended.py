"""The note of the containers that a verb has ended, `ended.json` in each of its volumes, and
bringing back what it names.

It is durable before anything is done to them, and goes when they run again, so that whoever comes
after a death can bring them back. Whoever changes it holds the volume's lock.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from dvol.containers import GONE, KILL, PAUSE, STOP, Containers
from dvol.containers.container import ALIVE, Ended
from dvol.errors import BadDocument, ContainerBusy, DvolError
from dvol.fs.durable import read_json, replace_json, sync_directory
from dvol.fs.locks import held
from dvol.layout import VolumeLayout

_ID = re.compile(r"[0-9a-f]{64}")


def noted(volume: VolumeLayout) -> list[Ended]:
    """Those that are noted, in the order of their start."""
    try:
        document = read_json(volume.ended)
    except FileNotFoundError:
        if os.path.lexists(volume.ended):
            raise BadDocument(str(volume.ended), "it leads nowhere") from None
        return []
    listed = document.get("containers") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise BadDocument(str(volume.ended), "it names no containers")
    found = [_read(one) for one in listed]
    if not all(map(_is_sound, found)):
        raise BadDocument(str(volume.ended), "it names something that is no container")
    return found


def note(volume: VolumeLayout, ended: list[Ended]) -> None:
    """Add to those that are noted already and were not brought back."""
    ids = {one.id for one in ended}
    _write(volume, [one for one in noted(volume) if one.id not in ids] + ended)


def forget(volume: VolumeLayout, ids: Collection[str]) -> None:
    """These run again, or are gone."""
    with suppress(OSError):  # else whoever comes next finds that they run
        left = [one for one in noted(volume) if one.id not in ids]
        if left:
            _write(volume, left)
        else:
            os.unlink(volume.ended)
            sync_directory(volume.own)


def bring_back(
    containers: Containers, volume: VolumeLayout, tell: Callable[[str], None], patience: float
) -> bool:
    """Bring back what a dead verb has ended; the volume's lock is held. False if something does not
    come back: it stays noted. One that another verb is at work on is waited for, `patience` seconds
    long: until then it must be as that verb has left it. Raises ContainerBusy."""
    back = set()
    try:
        left = noted(volume)
    except BadDocument as error:
        tell(f"warning: {error}")
        return False
    for one in left:
        with held(volume.pool.container_lock(one.id), "recovery", patience) as had:
            if not had:
                raise ContainerBusy(one.name)
            reason = brought_back(containers, one, volume.name)
        if reason:
            tell(f"warning: {one.name}, which a verb had stopped, does not run: {reason}")
        else:
            tell(f"{one.name}, which a verb that died had stopped, runs again")
        if reason in ("", GONE):
            back.add(one.id)
    forget(volume, back)
    return len(back) == len(left)


def brought_back(containers: Containers, one: Ended, noted_in: str = "") -> str:
    """As `Containers.bring_back`; that Docker can't be asked is a reason as well."""
    try:
        return containers.bring_back(one, noted_in)
    except DvolError as error:
        return str(error)


def _write(volume: VolumeLayout, ended: list[Ended]) -> None:
    document = {"containers": [one._asdict() for one in ended]}
    replace_json(volume.ended, document, volume.staging)


def _read(facts: dict[str, Any]) -> Ended:
    return Ended(*(str(facts.get(field, "")) for field in Ended._fields))


def _is_sound(one: Ended) -> bool:
    """Ids become parts of paths, and of what Docker is asked."""
    known = one.how in (STOP, PAUSE, KILL) and one.was in ALIVE
    return known and bool(_ID.fullmatch(one.id)) and one.name.isprintable()
