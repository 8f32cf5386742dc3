"""Deleting entries and dropped commits of a volume, all or none. What is deleted is decided by
`gc`.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dvol.errors import Corrupt
from dvol.fs.durable import durably, sync_directory
from dvol.history import dropped
from dvol.history.dropped import Dropped
from dvol.history.history import History
from dvol.journal.steps import Delete, Step
from dvol.pool.files import PoolDir
from dvol.pool.volume import VolumeDir
from dvol.trash.notes import new_name


class Record(NamedTuple):
    """A record of dropped commits, those that it has, and those that stay in it."""

    path: Path
    before: list[Dropped]
    after: list[Dropped]


class Deletion(NamedTuple):
    """The entries of a volume, and the ids of its dropped commits, that are to be deleted."""

    entries: list[Path]
    commits: set[str]


def delete(pool: PoolDir, volume: VolumeDir, going: Deletion, history: History) -> None:
    """Move entries and commits to the garbage, all or none, and take from the records the commits,
    as well as those for which a record means nothing any more: a branch has them, or a newer
    record. The caller holds the volume's lock.

    Where the disk has no room for a journal, or a journal is there that waits for room, they are
    moved one by one, and of the commits only those whose records go whole.
    """
    found = _records(volume, going.commits, history)
    records = [one for one in found if one.before != one.after]
    try:
        if volume.journal.pending():
            raise OSError(errno.ENOSPC, "an unfinished command waits for room")
        if going.commits or records:
            _by_journal(volume, going, records)
            return
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    _without_journal(pool, volume, going, records)


def _by_journal(volume: VolumeDir, going: Deletion, records: list[Record]) -> None:
    with volume.durably():
        staged = volume.staging_dir("gc")
        steps = [volume.garbage_step(path, new_name()) for path in going.entries]
        for id in sorted(going.commits):
            steps.append(volume.garbage_step(volume.layout.commit(id), new_name()))
            # only what exists: recovery takes a missing source for a step that was applied
            documents = filter(os.path.lexists, volume.layout.documents_of(id))
            steps += [_aside_step(volume, path, staged) for path in documents]
        for record in records:
            steps.append(_record_step(volume, staged, record))
        steps.append(Delete(volume.relative(staged)))
        steps = volume.journal.stage("gc", steps)
    volume.journal.run(steps)


def _record_step(volume: VolumeDir, staged: Path, record: Record) -> Step:
    if not record.after:
        return _aside_step(volume, record.path, staged)
    pairs = [(one.commit, one.before) for one in record.after]
    new = dropped.as_record(pairs, record.after[0].branch, record.after[0].date)
    volume.write(staged / record.path.name, new)
    return volume.put_step(staged / record.path.name, record.path)


def _aside_step(volume: VolumeDir, path: Path, staged: Path) -> Step:
    """The step that moves a document to the staging, which is deleted last: should that fail, the
    next verb deletes what is left there, while no verb would look for the document in its
    place."""
    return volume.move_step(path, staged / new_name())


def _without_journal(
    pool: PoolDir, volume: VolumeDir, going: Deletion, records: list[Record]
) -> None:
    """Records first: a tree that nothing tells of is harmless, and a record without its tree would
    look like damage."""
    with durably(volume.layout.root):
        for path in going.entries:
            pool.delete_later(path)
        whole = [record for record in records if not record.after]
        for record in whole:
            record.path.unlink()
        if whole:
            sync_directory(volume.layout.dropped)
        for record in whole:
            for one in record.before:
                if one.commit.id in going.commits:
                    pool.delete_later(volume.layout.commit(one.commit.id))
                    for path in volume.layout.documents_of(one.commit.id):
                        path.unlink(missing_ok=True)


def _records(volume: VolumeDir, going: set[str], history: History) -> list[Record]:
    """The records that can be read; the others stay, for fsck."""
    newest, found = history.dropped, []
    for path in dropped.documents(volume.layout):
        with suppress(Corrupt):
            before = dropped.read_record(path)
            after = [
                one._replace(before=_left_before(one.before, going, newest))
                for one in before
                if one.commit.id not in going | history.listed_ids
                and newest[one.commit.id].document == path
            ]
            found.append(Record(path, before, after))
    return found


def _left_before(id: str, going: set[str], newest: dict[str, Dropped]) -> str:
    """The nearest commit before that is not deleted, so that a history does not end in between."""
    seen: set[str] = set()  # a record may be damaged
    while id in going and id in newest and id not in seen:
        seen.add(id)
        id = newest[id].before
    return "" if id in seen else id
