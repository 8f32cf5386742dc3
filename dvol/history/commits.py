"""Commits: how one is made and checked, and how a list of them is read and written.

The author's name and time zone come from the command line, see `cli.identity`.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

from dvol import dates
from dvol.errors import BadDocument, InvalidAuthor, InvalidDate, InvalidMessage, NoMessage
from dvol.model import Commit, CommitMessage, Commits, writers_in

ID = re.compile(r"[0-9a-f]{40}")
_TEXTS = Commit._fields[:-1]  # all but the last, `writers`
_AUTHOR = re.compile(r"[^<>\r\n\0]*[^<>\r\n\0 ] <[^<>\r\n\0]*>")


def message_for(message: str, author: str, date: str, group: str = "") -> CommitMessage:
    """Check what a user gives for a commit; without a date it is the current one. Raises NoMessage,
    InvalidMessage, InvalidAuthor, InvalidDate."""
    message = message.rstrip().lstrip("\n")
    if not message:
        raise NoMessage()
    if not _is_storable(message):
        raise InvalidMessage()
    if not _AUTHOR.fullmatch(author) or not _is_storable(author):
        raise InvalidAuthor(author)
    return CommitMessage(message, author, _checked(date) if date else dates.now(), group)


def new_commit(message: CommitMessage, before: Commits) -> Commit:
    """A commit with a new id, on top of the commits `before` of the branch."""
    parent = before[-1].id if before else ""
    return Commit(
        new_id(),
        message.message,
        message.author,
        message.date,
        group=message.group,
        parent=parent,
    )


def new_id() -> str:
    """40 random hex digits: no other commit has them."""
    return os.urandom(20).hex()


def ids(commits: Commits) -> set[str]:
    return {commit.id for commit in commits}


def head_of(commits: Commits) -> str:
    """The id of the newest commit, "" if there is none."""
    return commits[-1].id if commits else ""


def commits_of(document: Any, path: Path) -> Commits:
    """The commits in a list that was read from `path`. Lists of format 1 and before hold no
    parents: there each commit's parent is the one before it in the list. Raises BadDocument."""
    if not isinstance(document, list):
        raise BadDocument(str(path), "not a list of commits")
    found: list[Commit] = []
    for item in document:
        commit = _commit(item, path)
        if not commit.parent and found:
            commit = commit._replace(parent=found[-1].id)
        found.append(commit)
    return tuple(found)


def as_document(commits: Commits) -> list[dict[str, Any]]:
    """The list of a branch as it is written: the two fields of the original dvol, and of the other
    fields those that are not empty."""
    return list(map(_document, commits))


def moment(date: str) -> float:
    """The date of a commit as seconds, for sorting: one of the original dvol's, which has no date,
    is older than all others."""
    try:
        return dates.parse(date).timestamp()
    except ValueError:
        return -math.inf


def _document(commit: Commit) -> dict[str, Any]:
    document = {
        name: value
        for name, value in commit._asdict().items()
        if value or name in ("id", "message")
    }
    if commit.writers:
        document["writers"] = [
            {name: text for name, text in one._asdict().items() if text} for one in commit.writers
        ]
    return document


def _commit(item: Any, path: Path) -> Commit:
    """An id becomes a path component, so only 40 hex digits are accepted."""
    id = item.get("id") if isinstance(item, dict) else None
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise BadDocument(str(path), "an entry has no commit id")
    fields: list[Any] = [item.get(name) or "" for name in _TEXTS]
    if not all(isinstance(value, str) for value in fields):
        raise BadDocument(str(path), f"commit {item['id'][:12]} has a field that is no text")
    commit, writers = Commit(*fields), item.get("writers")
    return commit._replace(writers=writers_in(writers)) if writers else commit


def _is_storable(text: str) -> bool:
    """Whether the text can be encoded. Bytes that are not UTF-8 are surrogates in it, and are
    printed as these bytes again."""
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _checked(date: str) -> str:
    try:
        return dates.parse(date).isoformat(timespec="seconds")
    except ValueError:
        raise InvalidDate(date) from None
