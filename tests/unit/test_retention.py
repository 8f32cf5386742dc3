"""Which commits a policy keeps, and why."""

import pytest

from dvol.history.retention import Policy, kept
from dvol.model import Commit


def commits(*dates: str) -> list[Commit]:
    """A commit for each date, oldest first; their messages are their places."""
    return [
        Commit(f"{n:040x}", str(n), "Ann <a@b>", date and f"{date}:00+01:00")
        for n, date in enumerate(dates)
    ]


def reasons(found: list[Commit], policy: Policy, tags=None) -> dict[int, str]:
    """The reasons for each commit that is kept, by its place; newest first."""
    tags_by_id = {found[place].id: names for place, names in (tags or {}).items()}
    places = {commit.id: int(commit.message) for commit in found}
    return {places[id]: " ".join(why) for id, why in kept(found, policy, tags_by_id).items()}


WEEK = commits(
    "2026-11-22T10:00",  # 0: Sunday
    "2026-11-23T10:00",
    "2026-11-23T10:59",  # 2
    "2026-11-23T11:00",
    "2026-11-25T09:00",  # 4
    "2026-11-25T23:59",
    "2026-11-26T00:00",  # 6
)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(last=1), {6: "last"}),
        (Policy(last=3), {6: "last", 5: "last", 4: "last"}),
        (Policy(daily=2), {6: "daily", 5: "daily"}),
        (Policy(daily=3), {6: "daily", 5: "daily", 3: "daily"}),
        (Policy(daily=4), {6: "daily", 5: "daily", 3: "daily", 0: "daily"}),
        (Policy(hourly=5), {6: "hourly", 5: "hourly", 4: "hourly", 3: "hourly", 2: "hourly"}),
        (Policy(weekly=1), {6: "weekly"}),
        (Policy(weekly=2), {6: "weekly", 0: "weekly"}),
        (Policy(weekly=-1), {6: "weekly", 0: "weekly"}),
        (Policy(last=1, daily=2), {6: "last daily", 5: "daily"}),
        (Policy(last=2, hourly=1, weekly=1), {6: "last hourly weekly", 5: "last"}),
    ],
)
def test_the_newest_of_each_period_is_kept(policy: Policy, expected: dict[int, str]) -> None:
    assert expected == reasons(WEEK, policy)
    assert list(expected) == list(reasons(WEEK, policy))


def test_the_oldest_is_kept_too_while_a_number_is_not_reached() -> None:
    day = WEEK[1:4]
    assert reasons(day, Policy(daily=1)) == {3: "daily"}
    assert reasons(day, Policy(daily=2)) == {3: "daily", 1: "oldest daily"}
    assert reasons(day, Policy(daily=-1)) == {3: "daily", 1: "oldest daily"}
    assert reasons(day[:2], Policy(hourly=1)) == {2: "hourly"}
    assert reasons(day[:2], Policy(hourly=2)) == {2: "hourly", 1: "oldest hourly"}


def test_all_are_kept_by_a_number_without_limit_and_by_no_rule() -> None:
    assert [*reasons(WEEK, Policy(last=-1))] == [6, 5, 4, 3, 2, 1, 0]
    assert set(reasons(WEEK, Policy()).values()) == {"policy is empty"}
    assert len(reasons(WEEK, Policy())) == 7
    assert kept([], Policy(last=1), {}) == {}


def test_a_tag_is_kept_and_uses_up_no_number() -> None:
    tags = {1: {"release-1", "old"}, 4: {"release-2"}, 5: {"other"}}
    policy = Policy(last=1, tags=("release-*", "old"))
    assert reasons(WEEK, policy, tags) == {
        6: "last",
        4: "tag release-2",
        1: "tag old tag release-1",
    }
    assert reasons(WEEK, Policy(tags=("none",)), tags) == {}
    assert reasons(WEEK, Policy(tags=("release-?",)), {6: {"RELEASE-1"}}) == {}


def test_hours_and_days_are_those_of_the_authors_clock() -> None:
    """Both commits are of the 26th in one zone and of two days in another."""
    found = commits("2026-11-25T23:30", "2026-11-26T00:30", "2026-11-26T12:00")
    assert reasons(found, Policy(daily=2)) == {2: "daily", 0: "daily"}
    found[0] = found[0]._replace(date="2026-11-26T00:30:00+02:00")
    assert reasons(found, Policy(daily=1)) == {2: "daily"}


def test_a_week_is_an_iso_week() -> None:
    """The week of the turn of the year is one week."""
    found = commits("2025-12-28T12:00", "2025-12-29T12:00", "2026-01-04T12:00", "2026-01-05T12:00")
    assert reasons(found, Policy(weekly=3)) == {3: "weekly", 2: "weekly", 0: "weekly"}


def test_the_order_is_the_lists_also_where_a_clock_was_wrong() -> None:
    found = commits("2026-11-24T12:00", "2031-01-01T12:00", "2026-11-24T13:00", "2026-11-24T14:00")
    assert reasons(found, Policy(daily=2)) == {3: "daily", 1: "daily"}
    assert reasons(found, Policy(last=1)) == {3: "last"}


def test_a_day_is_kept_once_also_where_another_lies_between() -> None:
    found = commits("2026-11-20T12:00", "2026-11-24T12:00", "2026-11-23T12:00", "2026-11-24T14:00")
    assert reasons(found, Policy(daily=2)) == {3: "daily", 2: "daily"}


def test_commits_without_a_date_are_kept_by_last_by_tags_and_as_the_oldest() -> None:
    found = commits("", "", "", "2026-11-24T12:00", "2026-11-25T12:00")
    assert reasons(found, Policy(daily=2)) == {4: "daily", 3: "daily"}
    assert reasons(found, Policy(daily=3)) == {4: "daily", 3: "daily", 0: "oldest daily"}
    assert reasons(found, Policy(last=3)) == {4: "last", 3: "last", 2: "last"}
    assert reasons(found, Policy(weekly=1, tags=("v1",)), {1: {"v1"}}) == {4: "weekly", 1: "tag v1"}
    found[0] = found[0]._replace(date="a Tuesday")
    assert reasons(found, Policy(daily=2)) == {4: "daily", 3: "daily"}


@pytest.mark.parametrize("policy", [Policy(last=-2), Policy(last=1, weekly=-5)])
def test_no_other_negative_number_means_anything(policy: Policy) -> None:
    with pytest.raises(ValueError):
        kept(WEEK, policy, {})
