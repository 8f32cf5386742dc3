"""Which commits and entries are past their time, and since when that is known.

A wall clock may be wrong, and what is deleted does not come back. A date that can't be right (in
the future, before the commit's own, none at all) counts from when gc first sees it. And `gc.auto`,
which nobody watches, deletes only what earlier runs have found past its time: one at least 24 h
ago by the clock that counts from the boot, in the same boot, or runs on three different days. What
a run finds is kept in a document, `.dvol/expired.json` of the volume or of the pool. A finding
counts only for the same date and for no longer a time: the commit may have been listed and dropped
again since, or `gc.keep` raised.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from dvol import dates
from dvol.fs.clock import Moment

_DAY = 24 * 3600.0  # seconds
_DAYS = 3
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Expiry:
    """The judgement of one run of gc. `document` is what earlier runs have left, in any shape."""

    def __init__(self, document: Any, moment: Moment) -> None:
        self._moment = moment
        self._before = _part(document, "past")
        self._counted_before = _part(document, "counted")
        self._found_before: dict[str, dict[str, Any]] = {}
        self._past: dict[str, Any] = {}
        self._counted: dict[str, Any] = {}

    def is_past(self, key: str, kept_for: timedelta, date: str, not_before: str = "") -> bool:
        """Whether the time of a thing is over, by the wall clock: it is kept for `kept_for` after
        `date`, when it was dropped or removed, which can't be before the date `not_before`. `key`
        names it."""
        if self._age(key, date, not_before) <= kept_for:
            return False
        self._found_before[key] = self._earlier(key, kept_for, date)
        finding = self._finding(self._found_before[key])
        self._past[key] = {**finding, "date": date, "kept_for": kept_for.total_seconds()}
        return True

    def was_past(self, key: str) -> bool:
        """Whether earlier runs have found so, often and long enough for `gc.auto`; `is_past` was
        asked before."""
        found = self._found_before.get(key, {})
        if found.get("boot") == self._moment.boot:
            since = found.get("uptime")
            if isinstance(since, int | float) and 0 <= since <= self._moment.uptime - _DAY:
                return True
        return len(_days(found)) >= _DAYS

    def forget(self, key: str) -> None:
        """Leave a thing that was deleted out of the new document."""
        self._past.pop(key, None)
        self._counted.pop(key, None)

    def document(self) -> dict[str, Any]:
        """What this run leaves for the next ones; empty if that is nothing."""
        parts = {"past": self._past, "counted": self._counted}
        return {name: part for name, part in parts.items() if part}

    def _age(self, key: str, date: str, not_before: str) -> timedelta:
        now, when = self._moment.wall, _moment_of(date)
        if when is None or when > now or when < (_moment_of(not_before) or when):
            when = min(self._first_seen(key, date) or now, now)
            since = when.isoformat(timespec="seconds")
            self._counted[key] = {"date": date, "since": since}
        return now - when

    def _first_seen(self, key: str, date: str) -> datetime | None:
        """Since when a date that can't be right counts; None if no run has seen it."""
        counted = _part(self._counted_before, key)
        return _moment_of(str(counted.get("since"))) if counted.get("date") == date else None

    def _earlier(self, key: str, kept_for: timedelta, date: str) -> dict[str, Any]:
        """What earlier runs have found of the same date, and of a time as long or longer."""
        found = _part(self._before, key)
        over = found.get("kept_for")
        counts = isinstance(over, int | float) and over >= kept_for.total_seconds()
        return found if counts and found.get("date") == date else {}

    def _finding(self, found: dict[str, Any]) -> dict[str, Any]:
        """What was found before, and now: the first finding in this boot stays, and each day is
        added."""
        now = self._moment
        days = sorted({*_days(found), now.wall.date().isoformat()})[-_DAYS:]
        same = found.get("boot") == now.boot and isinstance(found.get("uptime"), int | float)
        return {"boot": now.boot, "uptime": found["uptime"] if same else now.uptime, "days": days}


def _part(document: Any, name: str) -> dict[str, Any]:
    part = document.get(name) if isinstance(document, dict) else None
    return part if isinstance(part, dict) else {}


def _days(found: dict[str, Any]) -> set[str]:
    days = found.get("days")
    listed = days if isinstance(days, list) else []
    return {day for day in listed if isinstance(day, str) and _DATE.fullmatch(day)}


def _moment_of(date: str) -> datetime | None:
    try:
        return dates.parse(date).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
