"""Which containers use a volume, asked of Docker itself, at the time.

The only module that knows the Docker SDK, which it imports late: it costs a quarter of a second.
Nothing here knows a disk. Counting `Mount` calls instead would be wrong: `docker cp` repeats a
running container's id, and a daemon that dies sends no `Unmount`.
"""

from __future__ import annotations

from typing import Any, Protocol

from dvol.errors import DockerUnusable

_PATIENCE = 10  # seconds for an answer; these calls take no lock in Docker
_START_PATIENCE = 3  # seconds that `inspect` may wait for a start in flight


class Containers(Protocol):
    """What the engine asks about containers.

    `certain` is whether the answer "none" means that no container writes.
    """

    @property
    def certain(self) -> bool: ...

    def using(self, volume: str) -> list[str]:
        """Names of the containers that may write to `volume` now: running, paused, starting."""

    def referring(self, volume: str) -> list[str]:
        """Names of all containers that have `volume`, also stopped ones."""


class NoContainers:
    """Nobody to ask: there is no Docker, or, which is `certain`, the user has said that nothing
    uses the volume."""

    def __init__(self, certain: bool = False) -> None:
        self.certain = certain

    def using(self, volume: str) -> list[str]:
        return []

    def referring(self, volume: str) -> list[str]:
        return []


class Docker:
    """Asks the Docker Engine at `url` (`unix:///...`). DockerUnusable if that can't be asked."""

    certain = True

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: Any = None

    def using(self, volume: str) -> list[str]:
        return [name for id, name, state in self._having(volume) if self._is_alive(id, state)]

    def referring(self, volume: str) -> list[str]:
        return [name for _, name, _ in self._having(volume)]

    def _having(self, volume: str) -> list[tuple[str, str, str]]:
        """Id, name and state of each container that has the volume.

        Docker's own filter also matches a bind mount's source or a target of that text, so look
        again. Volumes of the built-in `local` driver are not ours; any other driver may be us,
        under whatever name the plugin was installed.
        """
        try:
            found = self._api().containers(all=True, filters={"volume": [volume]})
            having = [
                (one["Id"], (one.get("Names") or [one["Id"][:12]])[0], one["State"])
                for one in found
                if any(_is_volume(mount, volume) for mount in one["Mounts"])
            ]
        except self._failures() as error:
            raise DockerUnusable(volume, _reason(error)) from error
        return sorted(having, key=lambda container: container[1])

    def _is_alive(self, id: str, state: str) -> bool:
        """A container whose `Mount` was answered a moment ago is not "running" yet, but
        `inspect` waits for it, because a start holds the container's lock. In doubt it lives:
        its start may only be slow, or wait for our own gate, which then opens for it."""
        if state in ("running", "paused", "restarting", "removing"):
            return True
        import requests

        api = self._api()
        try:
            answer = api.get(api._url("/containers/{0}/json", id), timeout=_START_PATIENCE)
            return bool(answer.ok and answer.json()["State"]["Running"])
        except requests.exceptions.Timeout:
            return True
        except self._failures() as error:
            raise DockerUnusable(id[:12], _reason(error)) from error

    def _api(self) -> Any:
        if self._client is None:
            import docker

            self._client = docker.APIClient(self.url, version="auto", timeout=_PATIENCE)
        return self._client

    @staticmethod
    def _failures() -> tuple[type[Exception], ...]:
        import docker
        import requests

        odd_answer = (KeyError, TypeError, AttributeError, ValueError)  # or an odd DOCKER_HOST
        refused = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
        return *refused, *odd_answer


def _is_volume(mount: dict[str, Any], volume: str) -> bool:
    return (
        mount.get("Type") == "volume"
        and mount.get("Name") == volume
        and mount.get("Driver") != "local"
    )


def _reason(error: Exception) -> str:
    """The innermost cause: the SDK wraps a refused connection four times over."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return getattr(cause, "strerror", None) or str(cause)
