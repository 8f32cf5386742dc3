"""What may be deleted for good: nothing that an entry which stays still needs."""

import json
from pathlib import Path

from dvol.trash.entry import Entry
from dvol.trash.reachability import deletable


def entry(place: Path, name: str, holds: str = "", needs: str = "") -> Entry:
    """Of a reset; commits are told by a letter."""
    (place / name / "commits").mkdir(parents=True)
    if holds:
        (place / name / "commits" / (holds * 40)).mkdir()
    note = {"format": 1, "verb": "reset", "base": f"v/commits/{needs * 40}" if needs else ""}
    (place / name / "entry.json").write_text(json.dumps(note))
    return Entry(place / name)


def test_what_an_entry_needs_that_stays_only_because_it_is_needed_stays_too(tmp_path: Path) -> None:
    young = entry(tmp_path, "young", needs="a")
    needed = entry(tmp_path, "needed", holds="a", needs="b")
    last = entry(tmp_path, "last", holds="b")
    other = entry(tmp_path, "other", holds="c")
    assert deletable([last, needed, other], [young]) == [other]
    assert deletable([last, needed, other], []) == [last, needed, other]
