"""`drop` and `prune`: take commits out of the lists of a volume's branches, on purpose.

What leaves the last list stays as a dropped commit, until gc deletes it. No tree changes, so no
container is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from dvol.errors import (
    CommitIsHead,
    CommitIsTagged,
    InvalidRequest,
    NoTagMatches,
    NotInAnyBranch,
)
from dvol.history.commits import as_document, ids
from dvol.history.retention import Policy, kept
from dvol.journal.steps import Delete
from dvol.model import Commit, Commits, Pruned
from dvol.pool.access import Access
from dvol.pool.volume import VolumeDir


def drop(access: Access, volume: str, revision: str) -> Commit:
    """Take one commit out of every branch that has it."""
    with access.changing(volume, "drop") as found:
        history = found.history
        commit = history.resolve(revision)[-1]
        if commit.id not in history.listed_ids:
            raise NotInAnyBranch(commit.id[:12])
        for branch in history:
            if history[branch][-1:] == (commit,):
                raise CommitIsHead(commit.id[:12], branch)
        for tag, id in history.tags.items():
            if commit.id in ids(history.line(id)):
                raise CommitIsTagged(commit.id[:12], tag, volume)
        lists = {branch: _without(history[branch], {commit.id}) for branch in history}
        _relist(found, "drop", lists)
    return commit


def checked(last: int, hourly: int, daily: int, weekly: int, tags: str) -> Policy:
    """The policy of these numbers. Raises InvalidRequest if it has no rule, or an impossible
    number."""
    policy = Policy(last, hourly, daily, weekly, (tags,) if tags else ())
    if policy == Policy():
        raise InvalidRequest("prune needs a rule, such as --keep-last 10 or --keep-daily 7")
    if min(policy[:4]) < -1:
        raise InvalidRequest("a number of commits to keep is 0 or more, or -1 for all")
    return policy


def prune(access: Access, volume: str, policy: Policy, groups: bool, dry_run: bool) -> list[Pruned]:
    """Take the commits that the policy does not keep out of each branch; what becomes of each
    commit."""
    if dry_run:
        with access.reading(volume):
            return _judged(access.recovered(volume), policy, groups)
    with access.changing(volume, "prune") as found:
        judged = _judged(found, policy, groups)
        gone = {(one.branch, one.commit) for one in judged if not one.kept}
        history = found.history
        lists = {
            branch: _without(history[branch], {id for name, id in gone if name == branch})
            for branch in history
        }
        _relist(found, "prune", lists)
    return judged


def _judged(volume: VolumeDir, policy: Policy, groups: bool) -> list[Pruned]:
    history = volume.history
    tags: dict[str, list[str]] = {}
    pinned: dict[str, str] = {}
    for tag, id in history.tags.items():
        tags.setdefault(id, []).append(tag)
        pinned |= dict.fromkeys(ids(history.line(id)), tag)
    if policy.tags and not any(fnmatchcase(tag, policy.tags[0]) for tag in history.tags):
        raise NoTagMatches(policy.tags[0])
    found = []
    for branch in history:
        reasons = kept(history[branch], policy, tags)
        for commit in reversed(history[branch]):
            why = reasons.get(commit.id, []) or _pins(commit, history[branch], pinned, groups)
            line = (volume.name, branch, commit.id, commit.date, commit.message)
            found.append(Pruned(*line, ", ".join(why)))
    return found


def _pins(commit: Commit, commits: Commits, pinned: Mapping[str, str], groups: bool) -> list[str]:
    """Why a commit stays that no rule keeps."""
    if commit == commits[-1]:
        return ["HEAD"]
    if commit.id in pinned:
        return [f"tag {pinned[commit.id]} keeps it"]
    return ["one of a group"] if commit.group and not groups else []


def _relist(volume: VolumeDir, verb: str, lists: Mapping[str, Commits]) -> None:
    """Put new lists in place, and the record of the commits that no list has any more, in one
    journal."""
    history = volume.history
    changed = {branch: commits for branch, commits in lists.items() if commits != history[branch]}
    if not changed:
        return
    staged = volume.staging_dir(verb)
    with volume.durably(volume.layout.staging):
        steps = volume.drop_steps(staged, changed)  # first: no reader misses a commit meanwhile
        for number, (branch, commits) in enumerate(changed.items()):
            listed = staged / f"{number}.json"
            volume.write(listed, as_document(commits))
            steps.append(volume.put_step(listed, volume.layout.commit_list(branch)))
        steps.append(Delete(volume.relative(staged)))
        steps = volume.journal.stage(verb, steps)
    volume.journal.run(steps)


def _without(commits: Commits, ids: set[str]) -> Commits:
    return tuple(one for one in commits if one.id not in ids)
