"""What a new commit says of itself: id, message, author, date. No disk.

Whose name and time zone these are is found out by the command line, not here.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

from dvol.errors import InvalidAuthor, InvalidDate, InvalidMessage, NoMessage
from dvol.model import Commit

_AUTHOR = re.compile(r"[^<>\r\n\0]*[^<>\r\n\0 ] <[^<>\r\n\0]*>")


def new_commit(message: str, author: str, date: str) -> Commit:
    """A commit with a fresh random id; refuses what cannot be a message, author or date."""
    message = message.rstrip().lstrip("\n")
    if not message:
        raise NoMessage()
    if not _is_storable(message):
        raise InvalidMessage()
    if not _AUTHOR.fullmatch(author) or not _is_storable(author):
        raise InvalidAuthor(author)
    return Commit(new_id(), message, author, _checked(date) if date else now())


def new_id() -> str:
    """Forty hex digits that no other commit has."""
    return os.urandom(20).hex()


def now() -> str:
    """This moment in RFC 3339, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_storable(text: str) -> bool:
    """Whether it came from bytes, so that it can be shown as these bytes again."""
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _checked(date: str) -> str:
    try:
        parsed = datetime.fromisoformat(date)
    except ValueError:
        raise InvalidDate(date) from None
    if parsed.tzinfo is None:
        raise InvalidDate(date)
    return parsed.isoformat(timespec="seconds")
