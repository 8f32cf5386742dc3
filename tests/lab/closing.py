"""What a `with` closes: engines, registries, machines."""

from typing import Self


class Closing:
    """Used in a `with`, it is closed at its end, whatever happened inside."""

    def close(self) -> None:
        """End all of it, and leave no trace."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
