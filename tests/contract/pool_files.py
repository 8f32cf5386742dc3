"""The files that verbs leave in a pool: commits, discarded entries, staging directories."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dvol.engine import Engine
from tests.contract.places import Keeper

KEPT_FOR = timedelta(days=30)  # the default of gc.keep


def set_aside(keeper: Keeper, branch: str = "master", volume: str = "v") -> list[Path]:
    """The entries for the undo of a branch, oldest first."""
    place = keeper.pool / volume / ".dvol" / "undo" / branch
    return sorted(place.iterdir()) if place.exists() else []


def commits_on_disk(keeper: Keeper, volume: str = "v") -> set[str]:
    return set(os.listdir(keeper.pool / volume / "commits"))


def entry_of(engine: Engine, verb: str) -> str:
    """The id of the only entry that the verb has discarded."""
    (found,) = [one for one in engine.discarded() if one.verb == verb]
    return found.entry


def path_of(keeper: Keeper, entry: str) -> Path:
    """The directory of an entry in the pool."""
    notes = [*keeper.pool.glob(".dvol/trash/*/entry.json")]
    notes += keeper.pool.glob("*/.dvol/undo/*/*/entry.json")
    (found,) = [path.parent for path in notes if json.loads(path.read_text())["id"] == entry]
    return found


def aged(keeper: Keeper, entry: str, age: timedelta = KEPT_FOR + timedelta(minutes=1)) -> None:
    """Set the date of an entry to `age` ago."""
    note = path_of(keeper, entry) / "entry.json"
    date = (datetime.now(UTC) - age).isoformat(timespec="seconds")
    note.write_text(json.dumps({**json.loads(note.read_text()), "date": date}))


def all_aged(keeper: Keeper, age: timedelta = KEPT_FOR + timedelta(minutes=1)) -> None:
    """Set the dates of all entries and of all dropped commits to `age` ago, and those of the
    commits themselves to before that."""
    date = (datetime.now(UTC) - age).isoformat(timespec="seconds")
    before = (datetime.now(UTC) - age - timedelta(days=1)).isoformat(timespec="seconds")
    notes = [*keeper.pool.glob(".dvol/trash/*/entry.json")]
    notes += keeper.pool.glob("*/.dvol/undo/*/*/entry.json")
    for note in [*notes, *keeper.pool.glob("*/.dvol/dropped/*.json")]:
        document = json.loads(note.read_text())
        if note.parent.name == "dropped":
            document["commits"] = [{**one, "date": before} for one in document["commits"]]
        note.write_text(json.dumps({**document, "date": date}))


def staged(keeper: Keeper) -> list[str]:
    """The files in the staging directories of the pool and of its volumes.

    No other directory is read: a server may still be deleting files there.
    """
    return [
        str(path) for own in (".dvol", "*/.dvol") for path in keeper.pool.glob(f"{own}/staging/*")
    ]
