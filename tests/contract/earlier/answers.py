"""What a keeper answers of a pool: everything that a reader sees, and what verbs then do to it.

All answers are plain JSON, so that those of two builds can be compared. An answer names no class
and no function of dvol: a refusal is its exit code. The verbs of `Engine` are used, and no other.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ANN = "Ann <ann@example.org>"
Answer = Any  # of plain JSON
Tree = dict[str, list[Any]]


def seen(engine: Any, pool: Path) -> Answer:
    """All volumes, the active one, and what can be restored."""
    volumes = {one.name: volume(engine, pool, one.name) for one in engine.volumes()}
    discarded = [[one.entry, one.verb, one.volume, one.branch] for one in engine.discarded()]
    return {"active": asked(engine.active), "volumes": volumes, "discarded": sorted(discarded)}


def volume(engine: Any, pool: Path, name: str) -> Answer:
    """One volume: its branches with their commits and live trees, and each commit's tree."""
    facts, names = engine.get(name), [one.name for one in engine.branches(name)]
    commits = [one for branch in names for one in log(engine, name, branch)]
    return {
        "current": facts.branch,
        "mode": engine.config(name, "commit.mode"),
        "problem": facts.problem,
        "history": {one.id: described(one) for one in commits},
        "branches": {one: branch(engine, pool, name, one) for one in names},
        "frozen": {one.id: digest(tree(pool / name / "commits" / one.id)) for one in commits},
    }


def branch(engine: Any, pool: Path, volume: str, name: str) -> Answer:
    """The ids of its commits, oldest first, and its live tree."""
    return {
        "commits": [one.id for one in log(engine, volume, name)],
        "tree": tree(pool / volume / "branches" / name),
    }


def log(engine: Any, volume: str, branch: str) -> list[Any]:
    """The commits of a branch, oldest first; none where it has none."""
    heads = {one.name: one.head for one in engine.branches(volume)}
    return engine.log(volume, branch)[::-1] if heads[branch] else []


def described(commit: Any) -> list[str]:
    return [commit.message, commit.author, commit.date, commit.state, commit.group]


def tree(root: Path) -> Tree:
    """Each path with mode, owner, time of change in ns, and text; the root is "."."""
    paths = [root, *sorted(root.rglob("*"))]
    return {str(path.relative_to(root)): entry(path) for path in paths}


def entry(path: Path) -> list[Any]:
    status = path.lstat()
    kind = stat.filemode(status.st_mode)[0]
    text = {"-": path.read_text, "l": lambda: os.readlink(path)}.get(kind, str)()
    owner = f"{status.st_uid}:{status.st_gid}"
    return [kind, f"{stat.S_IMODE(status.st_mode):04o}", owner, status.st_mtime_ns, text]


def frozen(volume: Path) -> dict[str, str]:
    """The digest of each commit's tree."""
    commits = volume / "commits"
    return {id: digest(tree(commits / id)) for id in listed(commits)}


def digest(tree: Tree) -> str:
    return hashlib.sha256(json.dumps(tree).encode()).hexdigest()[:16]


def listed(directory: Path) -> list[str]:
    return sorted(os.listdir(directory)) if directory.is_dir() else []


def asked(verb: Callable[..., Any], *arguments: str, **options: Any) -> Answer:
    """What a verb returns, as JSON; the exit code if it refuses."""
    try:
        answer = verb(*arguments, **options)
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if code is None:
            raise
        return {"refused": code}
    return list(answer) if isinstance(answer, tuple) else answer


# -- verbs that change a pool, and what it then is -------------------------------------------------


def undone(engine: Any, pool: Path) -> Answer:
    """What `undo` brings back in each volume, and again what it brings back then."""
    names = [name for name in listed(pool) if (pool / name / "branches").is_dir()]
    rounds = [{name: _undone(engine, pool, name) for name in names} for _ in range(2)]
    return {"rounds": rounds, "frozen": {name: frozen(pool / name) for name in names}}


def _undone(engine: Any, pool: Path, name: str) -> Answer:
    """The id of the newest commit then, and the branch; asked first is `undo`."""
    answer = asked(lambda: engine.undo(name).id)
    facts = asked(engine.get, name)
    is_there = isinstance(facts, list)
    return {"answer": answer, "branch": branch(engine, pool, name, facts[1]) if is_there else facts}


def restored(engine: Any, pool: Path, entries: Sequence[str] = ()) -> Answer:
    """What comes back of each entry, in the order of their ids; then of each that an entry held;
    and what there is at the end. With `entries`, the ids of all, nothing else is asked first."""
    answers = {id: _restored(engine, id) for id in sorted(entries)}
    for _ in range(2):
        left = {one.entry for one in engine.discarded()} - answers.keys()
        answers |= {id: _restored(engine, id) for id in sorted(left)}
    after = seen(engine, pool)
    return {"answers": answers, "volumes": after["volumes"], "discarded": after["discarded"]}


def _restored(engine: Any, entry: str) -> Answer:
    """Under its own name, or else under another."""
    answer = asked(engine.restore, entry)
    return answer if isinstance(answer, list) else asked(engine.restore, entry, f"back-{entry}")


def collected(engine: Any, pool: Path) -> Answer:
    """What `gc --now` would free, and what it frees, once no verb is half done."""
    engine.discarded()
    return [_freed(engine.gc(now=True, dry_run=dry_run)) for dry_run in (True, False)]


def _freed(found: list[Any]) -> Answer:
    return sorted([one.entry, one.verb, one.volume, one.branch] for one in found)


def checked(engine: Any, pool: Path) -> Answer:
    """What `fsck` finds, mends, and finds after that. The package called leftovers broken."""
    runs = {"found": False, "repaired": True, "left": False}
    return {
        name: sorted(
            [one.volume, one.state.replace("leftover", "broken")]
            for one in engine.fsck(repair=repair)
        )
        for name, repair in runs.items()
    }


ASKED: dict[str, Callable[[Any, Path], Answer]] = {
    **{"seen": seen, "undone": undone, "restored": restored},
    **{"collected": collected, "checked": checked},
}
