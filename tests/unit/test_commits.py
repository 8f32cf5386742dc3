"""What a new commit says of itself."""

import re

import pytest

from dvol.errors import InvalidAuthor, InvalidDate, NoMessage
from dvol.history.commits import message_for, new_commit

ANN = "Ann <ann@example.org>"


def test_an_id_is_forty_hex_digits_and_never_the_same() -> None:
    ids = {new_commit(message_for("x", ANN, ""), ()).id for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch("[0-9a-f]{40}", id) for id in ids)


@pytest.mark.parametrize("message", ["", "\n", " \n\t"])
def test_a_commit_needs_a_message(message: str) -> None:
    with pytest.raises(NoMessage):
        message_for(message, ANN, "")


@pytest.mark.parametrize("message", ["x", "two\n\nlines", "  indented", "ü 🐘"])
def test_a_message_is_kept(message: str) -> None:
    assert message == message_for(message, ANN, "").message


@pytest.mark.parametrize(
    "author", [ANN, "Ann Bee <a@b>", "Åsa <å@b>", "X <>", "O'Neil, J. <j@x>", "x <a b>"]
)
def test_an_author_is_a_name_and_an_address(author: str) -> None:
    assert author == message_for("x", author, "").author


@pytest.mark.parametrize(
    "author",
    ["", "Ann", "<a@b>", " <a@b>", "Ann <a@b", "Ann a@b>", "Ann <a@b> x", "A\nB <a@b>", "A <a\0>"],
)
def test_what_is_no_author_is_refused(author: str) -> None:
    with pytest.raises(InvalidAuthor):
        message_for("x", author, "")


@pytest.mark.parametrize(
    "date", ["2026-08-31T12:34:56+02:00", "2026-08-31T12:34:56-09:30", "1999-12-31T23:59:59+00:00"]
)
def test_a_date_keeps_the_authors_offset(date: str) -> None:
    assert date == message_for("x", ANN, date).date


@pytest.mark.parametrize(
    "date",
    ["yesterday", "2026-08-31", "2026-08-31T12:34:56", "2026-13-01T00:00:00Z", "1234567890", "\0"],
)
def test_a_date_without_a_zone_is_refused(date: str) -> None:
    with pytest.raises(InvalidDate):
        message_for("x", ANN, date)


@pytest.mark.parametrize("date", ["", "2026-08-31T12:34:56Z"])
def test_now_is_a_date_with_a_zone(date: str) -> None:
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"
    assert re.fullmatch(pattern, message_for("x", ANN, date).date)
