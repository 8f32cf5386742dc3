"""A problem that a check found, and its repair."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Problem(NamedTuple):
    """A problem as a text for the user. `repair` is None if there is no repair that loses no data;
    `rest` is the text on what stays wrong after the repair. `state` is "leftover" for files that a
    command left when it died: they harm nothing."""

    text: str
    repair: Callable[[], None] | None = None
    rest: str = ""
    state: str = "broken"
