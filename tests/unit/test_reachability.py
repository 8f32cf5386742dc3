"""Who still needs a commit: lists, entries, journals."""

import json
import os
from functools import cache
from pathlib import Path

import pytest

from dvol.backends.copy.copy import Copy
from dvol.errors import Corrupt
from dvol.history.history import History
from dvol.journal.journal import Journal
from dvol.journal.steps import Move, encode
from dvol.layout import PoolLayout, VolumeLayout
from dvol.pool.volume import VolumeDir
from dvol.trash.reachability import needed, needed_by_lists

LISTED, ON_SIDE, SET_ASIDE, BASE, IN_TRASH, STAGED = (digit * 40 for digit in "123456")


def write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def listed(*ids: str) -> list[dict[str, str]]:
    return [{"id": id, "message": "x"} for id in ids]


@pytest.fixture
def layout(tmp_path: Path) -> VolumeLayout:
    """A volume in which each commit is needed for one reason alone."""
    layout = PoolLayout(tmp_path).volume("v")
    for branch in ("master", "side"):
        layout.tree(branch).mkdir(parents=True)
    write(layout.commit_list("master"), listed(LISTED))
    write(layout.commit_list("side"), listed(ON_SIDE))
    note = {"format": 2, "verb": "reset", "volume": "v", "branch": "master"}
    base = {"base": f"v/commits/{BASE}", "commits": listed(SET_ASIDE)}
    write(layout.undo("master") / "00000001/entry.json", note | base)
    trashed = {"verb": "branch -d", "commits": listed(IN_TRASH)}
    write(layout.pool.trash / "20260101T000000Z-abc/entry.json", note | trashed)
    return layout


def pool_journal(layout: VolumeLayout) -> Journal:
    """That of a commit of several volumes, whose process died."""
    pool = layout.pool
    step = Move(f"v/.dvol/staging/{STAGED}/commits.json", "v/branches/master.json")
    write(pool.journal, {"format": 2, "verb": "commit", "steps": [encode(step)]})
    return Journal(pool.journal, pool.root, pool.staging, cache(Copy))


def test_lists_entries_and_journals_need_commits(layout: VolumeLayout) -> None:
    all_six = {LISTED, ON_SIDE, SET_ASIDE, BASE, IN_TRASH, STAGED}
    assert needed(History(layout), [pool_journal(layout)]) == all_six


def test_a_list_without_a_tree_needs_its_commits_too(layout: VolumeLayout) -> None:
    layout.tree("side").rmdir()
    assert needed_by_lists(History(layout)) == {LISTED, ON_SIDE}


def test_a_commit_that_only_a_journal_names_came_to_be(layout: VolumeLayout) -> None:
    assert STAGED not in needed(History(layout), [])
    assert STAGED in needed(History(layout), [pool_journal(layout)])


@pytest.mark.parametrize("broken", ["v/branches/side.json", ".dvol/journal.json"])
def test_in_doubt_it_is_not_known(layout: VolumeLayout, broken: str) -> None:
    journal = pool_journal(layout)
    (layout.pool.root / broken).write_text("{")
    with pytest.raises(Corrupt):
        needed(History(layout), [journal])


def test_a_branch_that_is_called_like_a_list_is_none(layout: VolumeLayout) -> None:
    """The original dvol made branches of any name."""
    layout.tree("odd.json").mkdir()
    assert needed_by_lists(History(layout)) == {LISTED, ON_SIDE}


def test_a_directory_in_the_place_of_a_list_is_damage(layout: VolumeLayout) -> None:
    layout.commit_list("side").unlink()
    layout.commit_list("side").mkdir()
    with pytest.raises(Corrupt):
        needed_by_lists(History(layout))


def test_a_branch_alone_drops_the_commits_that_no_other_has(layout: VolumeLayout) -> None:
    write(layout.commit_list("side"), listed(LISTED, ON_SIDE))
    layout.staging.mkdir(parents=True)
    (step,) = VolumeDir(layout, cache(Copy)).drop_steps(layout.staging, {"side": ()})
    record = json.loads((layout.pool.root / step.paths[0]).read_text())
    assert [(one["id"], one["before"]) for one in record["commits"]] == [(ON_SIDE, LISTED)]
    assert step.paths[1] == "v/.dvol/dropped/00000001.json"


def test_recovery_keeps_a_commit_that_was_dropped(layout: VolumeLayout) -> None:
    """A staging directory of that name must not take it with it."""
    for path in (layout.staging / SET_ASIDE, layout.commit(SET_ASIDE)):
        path.mkdir(parents=True)
    dropped = [{"id": SET_ASIDE, "message": "x", "before": ""}]
    record = {"format": 1, "date": "2026-01-01T00:00:00+00:00", "branch": "master"}
    write(layout.dropped / "00000001.json", record | {"commits": dropped})
    VolumeDir(layout, cache(Copy)).recover(pool_journal(layout))
    assert os.listdir(layout.commits) == [SET_ASIDE]


def test_recovery_keeps_the_files_that_the_pools_journal_names(layout: VolumeLayout) -> None:
    """A commit of several volumes is not completed; what else was staged is deleted."""
    journal = pool_journal(layout)
    for name in (STAGED, LISTED, SET_ASIDE, "branch-x"):
        (layout.staging / name).mkdir(parents=True)
        layout.commit(name).mkdir(parents=True)
    VolumeDir(layout, cache(Copy)).recover(journal)
    assert os.listdir(layout.staging) == [STAGED]
    assert sorted(os.listdir(layout.commits)) == sorted([STAGED, LISTED, "branch-x"])


def test_recovery_deletes_nothing_while_the_pools_journal_cannot_be_read(
    layout: VolumeLayout,
) -> None:
    """What a reset of several volumes has staged may be the only copy."""
    journal = pool_journal(layout)
    journal.path.write_text("{")
    staged = sorted([SET_ASIDE, "20260101T000000Z-0123456789ab", "branch-x"])
    for name in staged:
        (layout.staging / name).mkdir(parents=True)
    VolumeDir(layout, cache(Copy)).recover(journal)
    assert sorted(os.listdir(layout.staging)) == staged


def test_recovery_goes_on_where_the_pools_journal_was_just_completed(
    layout: VolumeLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the process that holds its lock, between the look whether there is one and the reading."""
    journal = pool_journal(layout)
    journal.path.unlink()
    monkeypatch.setattr(Journal, "pending", lambda self: self.path == journal.path)
    (layout.staging / "branch-x").mkdir(parents=True)
    VolumeDir(layout, cache(Copy)).recover(journal)
    assert os.listdir(layout.staging) == []


def test_recovery_deletes_the_links_of_a_commit_that_was_not_made(layout: VolumeLayout) -> None:
    for path in (layout.staging / SET_ASIDE, layout.commit(f"{SET_ASIDE}.links")):
        path.mkdir(parents=True)
    journal = pool_journal(layout)
    VolumeDir(layout, cache(Copy)).recover(journal)
    assert os.listdir(layout.commits) == []
