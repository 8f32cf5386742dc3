"""In which order containers are started: those that others need come first, then by start time.

They are stopped in the reverse order, in waves of containers that do not need each other. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dvol.containers.container import Container


def in_order(containers: Iterable[Container]) -> list[Container]:
    """The containers in the order in which they are to be started. Of needs that form a circle one
    is ignored."""
    found = sorted(containers, key=lambda container: container.started)
    placed: dict[str, Container] = {}

    def place(container: Container, path: tuple[str, ...]) -> None:
        for needed in _needed(container, found):
            if needed.id not in placed and needed.id not in path:
                place(needed, (*path, needed.id))
        placed.setdefault(container.id, container)

    for container in found:
        place(container, (container.id,))
    return list(placed.values())


def waves(containers: Iterable[Container]) -> list[list[Container]]:
    """The containers in that order, in groups: a container needs only some of the groups before."""
    ordered = in_order(containers)
    wave: dict[str, int] = {}
    for container in ordered:
        before = (wave[needed.id] for needed in _needed(container, ordered) if needed.id in wave)
        wave[container.id] = 1 + max(before, default=-1)
    last = max(wave.values(), default=-1)
    return [
        [container for container in ordered if wave[container.id] == number]
        for number in range(last + 1)
    ]


def must_be_healthy(container: Container, containers: Iterable[Container]) -> list[Container]:
    """The containers that must pass their health checks before `container` starts, but for those
    that were unhealthy already."""
    needed = (
        other for other in containers if _is_service(other, container.project, container.healthy)
    )
    return [other for other in needed if not other.unhealthy and other.id != container.id]


def _needed(container: Container, containers: list[Container]) -> Iterator[Container]:
    for other in containers:
        if container.shares_with(other) or _is_service(other, container.project, container.needs):
            yield other


def _is_service(container: Container, project: str, services: tuple[str, ...]) -> bool:
    return container.project == project != "" and container.service in services
