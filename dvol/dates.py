"""Dates as dvol writes them: RFC 3339 with an offset, in whole seconds. No disk."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The current time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def parse(text: str) -> datetime:
    """Parse a date; ValueError if the text is no date, or a date without an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no offset in {text!r}")
    return moment
