"""What a user types to mean a moment or a length of time."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dvol import dates

NOW = datetime(2026, 11, 27, 15, 40, 10, tzinfo=UTC)


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local zone with a daylight saving time."""
    monkeypatch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("now", timedelta()),
        ("yesterday", timedelta(days=1)),
        ("Yesterday", timedelta(days=1)),
        ("1 second ago", timedelta(seconds=1)),
        ("90 seconds ago", timedelta(seconds=90)),
        ("5 minutes ago", timedelta(minutes=5)),
        ("1 hour ago", timedelta(hours=1)),
        ("2 hours ago", timedelta(hours=2)),
        ("2.hours.ago", timedelta(hours=2)),
        ("2 Hours Ago", timedelta(hours=2)),
        ("3 days ago", timedelta(days=3)),
        ("0 days ago", timedelta()),
        ("1 week ago", timedelta(weeks=1)),
        ("6.weeks.ago", timedelta(weeks=6)),
    ],
)
def test_a_moment_that_long_ago(text: str, before: timedelta) -> None:
    assert NOW - before == dates.ago(text, NOW)


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("1 month ago", "2026-11-27", "2026-10-27"),
        ("11 months ago", "2026-11-27", "2025-12-27"),
        ("12 months ago", "2026-11-27", "2025-11-27"),
        ("1 month ago", "2026-03-31", "2026-02-28"),
        ("1 month ago", "2024-03-31", "2024-02-29"),
        ("1 month ago", "2026-01-01", "2025-12-01"),
        ("1 year ago", "2024-02-29", "2023-02-28"),
        ("4 years ago", "2024-02-29", "2020-02-29"),
    ],
)
def test_months_and_years_are_the_calendars(text: str, now: str, expected: str) -> None:
    """A day that the month does not have becomes its last one."""
    then = datetime.fromisoformat(f"{now}T15:40:10+00:00")
    assert datetime.fromisoformat(f"{expected}T15:40:10+00:00") == dates.ago(text, then)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-27T15:40:10Z", "2026-11-27T15:40:10+00:00"),
        ("2026-11-27T15:40:10+02:00", "2026-11-27T13:40:10+00:00"),
        ("2026-11-27 15:40:10-09:30", "2026-11-28T01:10:10+00:00"),
        ("2026-11-27T15:40:10.25Z", "2026-11-27T15:40:10.25+00:00"),
        ("2026-11-27", "2026-11-27T05:00:00+00:00"),
        ("2026-11-27 15:40", "2026-11-27T20:40:00+00:00"),
        ("2026-11-27T15:40:10", "2026-11-27T20:40:10+00:00"),
        ("2026-07-01 15:40", "2026-07-01T19:40:00+00:00"),  # daylight saving time
    ],
)
@pytest.mark.usefixtures("new_york")
def test_a_date_without_an_offset_is_in_the_local_zone(text: str, expected: str) -> None:
    assert datetime.fromisoformat(expected) == dates.ago(text, NOW)
    assert dates.ago(text, NOW).tzinfo is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ago",
        "2 hours",
        "hours ago",
        "-2 hours ago",
        "1.5 hours ago",
        "two hours ago",
        "2 fortnights ago",
        " 2 hours ago",
        "2 hours ago ",
        "2 hours\nago",
        "٣ hours ago",
        "999999999 years ago",
        "2027 years ago",
        "999999999 weeks ago",
        "9999999999999999999999 seconds ago",
        "1234567890",
        "20261127",
        "2026-W48-5",
        "2026-13-01",
        "2026-02-29",
        "2026-11-27 24:01",
        "2026-11-27 15",
        "2026-11-27T15:40:10+25:00",
        "0001-01-01",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "noon",
        "HEAD",
        "\0",
    ],
)
def test_any_other_text_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError):
        dates.ago(text, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1s", timedelta(seconds=1)),
        ("90m", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("1 second", timedelta(seconds=1)),
        ("90 minutes", timedelta(minutes=90)),
        ("1 hour", timedelta(hours=1)),
        ("3 days", timedelta(days=3)),
        ("3days", timedelta(days=3)),
        ("3 d", timedelta(days=3)),
        ("1 week", timedelta(weeks=1)),
        ("36500d", timedelta(days=36500)),
    ],
)
def test_a_duration(text: str, expected: timedelta) -> None:
    assert expected == dates.duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "d",
        "0d",
        "-1d",
        "+1d",
        "1.5h",
        "1h30m",
        "1 month",
        "1 year",
        "3  days",
        "3 days ago",
        " 3d",
        "3d\n",
        "٣d",
        "36501d",
        "9999999999w",
        "9" * 5000 + "d",
        "never",
    ],
)
def test_what_is_no_duration_of_a_second_to_a_hundred_years(text: str) -> None:
    with pytest.raises(ValueError):
        dates.duration(text)
