"""A volume's gate: a shared/exclusive lock. Mounts share it, and a verb that needs quiet trees
holds it alone; so no container starts on a tree that is being frozen or reset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path

from dvol.errors import VolumeBusy
from dvol.fs.locks import exclusive, shared
from dvol.layout import VolumeLayout

MOUNT_TIMEOUT = 18.0  # seconds; Docker's own limit may be 30, and it retries with empty bodies
_SLOTS = 32


@contextmanager
def closed(volumes: Sequence[VolumeLayout], verb: str) -> Iterator[None]:
    """Close the gates: no container can mount the volumes meanwhile. Raises VolumeBusy if a mount
    does not leave a gate in time."""
    with ExitStack() as gates:
        for volume in volumes:
            if not gates.enter_context(exclusive(volume.gate, verb, MOUNT_TIMEOUT)):
                raise VolumeBusy(volume.name, ": a container is being started on it")
        yield


@contextmanager
def passing(volume: VolumeLayout, timeout: float) -> Iterator[bool]:
    """Share the gate; yields whether that was possible within `timeout` seconds. Calls that have to
    wait are counted by `waiting`."""
    with shared(volume.gate, 0.0) as had:
        if had:
            yield True
            return
    with _slot(volume.waiting), shared(volume.gate, timeout) as had:
        yield had


def waiting(volume: VolumeLayout) -> int:
    """How many mounts wait at the closed gate now, up to 32."""
    slots = (volume.waiting / str(number) for number in range(_SLOTS))
    return sum(_is_taken(slot) for slot in takewhile(Path.exists, slots))


@contextmanager
def _slot(directory: Path) -> Iterator[None]:
    """Hold a free slot, which is a lock file in `directory`; none if all are taken."""
    with ExitStack() as slot:
        for number in range(_SLOTS):
            if slot.enter_context(exclusive(directory / str(number), "wait", 0.0)):
                break
            slot.close()
        yield


def _is_taken(slot: Path) -> bool:
    with exclusive(slot, "count", 0.0) as had:
        return not had
