"""In which order containers are started: who is needed comes first, then who started first.

Ending goes the other way round, in waves of those that do not need each other. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dvol.containers.container import Container


def in_order(containers: Iterable[Container]) -> list[Container]:
    """The containers as they are to be started; those in a circle stay as found."""
    found = sorted(containers, key=lambda one: one.started)
    placed: dict[str, Container] = {}

    def place(one: Container, path: tuple[str, ...]) -> None:
        for needed in _needed(one, found):
            if needed.id not in placed and needed.id not in path:
                place(needed, (*path, needed.id))
        placed.setdefault(one.id, one)

    for one in found:
        place(one, (one.id,))
    return list(placed.values())


def waves(containers: Iterable[Container]) -> list[list[Container]]:
    """The containers in the same order, in groups: each needs only some of the groups before."""
    ordered = in_order(containers)
    wave: dict[str, int] = {}
    for one in ordered:
        before = (wave[needed.id] for needed in _needed(one, ordered) if needed.id in wave)
        wave[one.id] = 1 + max(before, default=-1)
    last = max(wave.values(), default=-1)
    return [[one for one in ordered if wave[one.id] == number] for number in range(last + 1)]


def to_be_well(one: Container, found: Iterable[Container]) -> list[Container]:
    """Those that must pass their health checks before it is started, if they did before."""
    needed = (other for other in found if _is_service(other, one.project, one.healthy))
    return [other for other in needed if not other.ill]


def _needed(one: Container, found: list[Container]) -> Iterator[Container]:
    for other in found:
        if other.id in one.needs or _is_service(other, one.project, one.needs):
            yield other


def _is_service(one: Container, project: str, services: tuple[str, ...]) -> bool:
    return one.project == project != "" and one.service in services
