"""Dates as dvol writes them: RFC 3339 with an offset, in whole seconds. No disk."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> str:
    """The current time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def parse(text: str) -> datetime:
    """Parse a date; ValueError if the text is no date, or a date without an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no offset in {text!r}")
    return moment


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """Parse a duration such as `30d`, `12h`, `2w` or `90m`; ValueError if it is none."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 6 and unit in _UNITS):
        raise ValueError(f"no duration: {text!r}")
    return timedelta(**{_UNITS[unit]: int(number)})
