"""Dates as dvol writes them: RFC 3339 with an offset, in whole seconds. No disk.

And the moments and lengths of time that a user types: a small part of what git accepts, in which no
text can be read in two ways.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_UNITS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_LETTERS = {unit[0]: length for unit, length in _UNITS.items()}
_MONTHS = {"month": 1, "year": 12}
_LONGEST = timedelta(days=36_500)  # of a duration
# not compiled here, since most commands need none of them
_AGO = r"([0-9]{1,9})[ .]([a-z]+?)s?[ .]ago"
_DATE = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_DURATION = r"([0-9]{1,9}) ?(?:([smhdw])|(second|minute|hour|day|week)s?)"


def now() -> str:
    """The current time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def parse(text: str) -> datetime:
    """Parse a date; ValueError if the text is no date, or a date without an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no offset in {text!r}")
    return moment


def ago(text: str, now: datetime) -> datetime:
    """The moment that a user's text means at the moment `now`, with an offset.

    `now`; `yesterday`, which is 24 hours ago; `2 hours ago` or `2.hours.ago`, from seconds to
    years; a date in RFC 3339; `2026-11-27`, `2026-11-27 15:40` or `2026-11-27 15:40:10` in the
    local zone, where a date alone is its midnight. A day has 24 hours; months and years are those
    of the calendar, and a day that the month does not have becomes its last one. ValueError for any
    other text.
    """
    try:
        if re.fullmatch(_DATE, text):
            return _require_in_utc(datetime.fromisoformat(text).astimezone())
        return _require_in_utc(_before(text.lower(), now))
    except OverflowError:
        raise ValueError(f"{text!r} is too long ago") from None


def duration(text: str) -> timedelta:
    """The length of time that a user's text means: `90m`, `12h`, `30d`, `2w` or `3 days`, from a
    second to a hundred years. ValueError for any other text."""
    match = re.fullmatch(_DURATION, text)
    if match is None:
        raise ValueError(f"{text!r} is no duration")
    number, letter, word = match.groups()
    unit = _LETTERS[letter] if letter else _UNITS[word]
    if not 0 < int(number) <= _LONGEST // unit:
        raise ValueError(f"{text!r} is no duration of a second to a hundred years")
    return int(number) * unit


def _before(text: str, now: datetime) -> datetime:
    """The moment that words mean; ValueError, or OverflowError if that is too long ago."""
    if text in ("now", "yesterday"):
        return now - timedelta(days=text == "yesterday")
    match = re.fullmatch(_AGO, text)
    if match is None:
        raise ValueError(f"{text!r} is no date")
    number, unit = int(match[1]), match[2]
    if unit in _MONTHS:
        return _months_before(now, number * _MONTHS[unit])
    if unit in _UNITS:
        return now - number * _UNITS[unit]
    raise ValueError(f"{unit!r} is no unit of time")


def _months_before(now: datetime, months: int) -> datetime:
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    if year < 1:
        raise OverflowError
    next_month = date(year + month // 11, (month + 1) % 12 + 1, 1)
    last_day = (next_month - timedelta(days=1)).day
    return now.replace(year=year, month=month + 1, day=min(now.day, last_day))


def _require_in_utc(moment: datetime) -> datetime:
    """The moment itself; OverflowError if UTC can't express it."""
    moment.astimezone(UTC)
    return moment
