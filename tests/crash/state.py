"""The state of a pool: all that a fresh process sees of it, in dictionaries to be compared."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dvol.engine.local import LocalEngine
from dvol.errors import NotFound
from dvol.model import Branch
from tests.contract.trees import Entry, described
from tests.crash.history import LOOSE, UNSYNCED

Tree = dict[bytes, Entry]
State = dict
LOOSE_PATH = f"/{LOOSE}/".encode()
UNSYNCED_PATHS = {LOOSE_PATH + name.encode() for name in UNSYNCED}
# What dvol keeps beside the volumes and in each. Files for the time of a verb are leftovers.
OWN = {"pool.json", "locks", "staging", "trash", "garbage"}
DOCUMENTS = ("summaries", "digests")  # of commits, each named by the id
FACTS = {"active", "discarded"}  # the entries of a state beside the volumes
VOLUME = {"branches", "commits", "current_branch.json", ".dvol"}


def state_of(root: Path) -> State:
    """The active volume, the discarded entries, the tags, and for each volume its branches, with
    the messages, authors and frozen content of their commits, and the entries of their trees."""
    pool = LocalEngine(root)
    try:
        volumes = pool.volumes()
        active = pool.active()
    except NotFound:
        return {"active": None}
    discarded = [(one.verb, one.volume, one.branch) for one in pool.discarded()]
    discarded += [("tag", one.name, tag.name) for one in volumes for tag in pool.tags(one.name)]
    facts = {"active": active, "discarded": discarded}
    return facts | {one.name: _volume(pool, one.name) for one in volumes}


def cut(whole: State, recovered: bool = False) -> State:
    """The state without the files that a power cut may change: those that were written in a live
    tree and never synced. Where the tree of the verb is `settled`, all of its files stay."""
    return {
        name: volume
        if name in FACTS
        else {
            branch: _cut(seen, recovered and name == "v" and seen["current"])
            for branch, seen in volume.items()
        }
        for name, volume in whole.items()
    }


def without_loose(whole: State) -> State:
    """The state without the loose files, also in commits."""
    return {
        name: volume
        if name in FACTS
        else {branch: _without_loose(one) for branch, one in volume.items()}
        for name, volume in whole.items()
    }


def kept(root: Path, discards: bool = False, deletes: bool = False) -> set[str]:
    """The content of every file of a user, in trees and commits, except of those that a power cut
    may change; only in commits, if the verb discards the others, and only in trees, if it deletes
    commits. Each must still be in some file, whatever happened."""
    found = set()
    for volume in LocalEngine(root).volumes() if root.exists() else ():
        trees = [] if discards else [*(root / volume.name / "branches").iterdir()]
        for tree in (one for one in trees if one.is_dir()):
            found |= {one.content for one in _synced(described(tree)).values()}
        for tree in () if deletes else (root / volume.name / "commits").iterdir():
            found |= {one.content for one in described(tree).values()}
    return found


def everything(root: Path) -> set[str]:
    """The content of every file below `root`, also in the trash and in the entries for undo."""
    return {one.content for one in described(root).values()}


def commit_differences(root: Path, volume: str, branch: str = "") -> list[str]:
    """How the last commit of a volume's current branch, or of `branch`, differs from its live tree:
    right after it, in nothing."""
    branches = LocalEngine(root).branches(volume)
    current = next(one for one in branches if (one.name == branch if branch else one.current))
    frozen = _tree(root / volume / "commits" / current.head)
    live = _tree(root / volume / "branches" / current.name)
    return differences(_unflagged(frozen), _unflagged(live), f"commit of {volume}")


def _unflagged(tree: Tree) -> Tree:
    """A commit has the inode flags in its summary, and only a snapshot has them itself."""
    return {path: replace(one, flags="") for path, one in tree.items()}


def reflog_complaints(root: Path, whole: bool) -> list[str]:
    """What is wrong with the reflogs: the newest entry of HEAD and of each branch must be its head.
    If they are `whole`, no line may be missing."""
    pool = LocalEngine(root)
    wrong = []
    for volume, branch in _branches(pool):
        name = "" if branch.current else branch.name
        entries = pool.reflog(volume, name)
        if [one.id for one in entries[:1]] != [branch.head] * bool(branch.head or entries):
            wrong.append(f"the reflog of {volume} {name or 'HEAD'} does not begin with its head")
        if whole and not all(one.verb for one in entries):
            wrong.append(f"a line of the reflog of {volume} {name or 'HEAD'} is missing")
    return wrong


def _branches(pool: LocalEngine) -> Iterator[tuple[str, Branch]]:
    for volume in pool.volumes() if pool.root.exists() else ():
        for branch in pool.branches(volume.name):
            yield volume.name, branch


def differences(found: object, wanted: object, where: str = "") -> list[str]:
    """Each place where two states differ, in words."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys(), key=str)
        both = [(key, found.get(key), wanted.get(key)) for key in keys]
        return [line for key, *two in both for line in differences(*two, f"{where}/{key}")]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        both = enumerate(zip(found, wanted, strict=True))
        return [line for at, two in both for line in differences(*two, f"{where}[{at}]")]
    return [] if found == wanted else [f"{where}: {_short(found)} instead of {_short(wanted)}"]


def leftovers(root: Path) -> list[str]:
    """The files in the pool that are not part of its layout, and that no list names."""
    own = root / ".dvol"
    found = [*own.glob("staging/*"), *own.glob("garbage/*"), *root.rglob("journal.json")]
    found += [path for path in own.glob("trash/*") if not (path / "entry.json").is_file()]
    found += [path for path in own.iterdir() if path.name not in OWN]
    for volume in (path for path in root.iterdir() if path.is_dir() and path != own):
        found += _leftovers(volume)
    return sorted(map(str, found))


def _leftovers(volume: Path) -> Iterator[Path]:
    yield from volume.glob(".dvol/staging/*")
    yield from (path for path in volume.iterdir() if path.name not in VOLUME)
    lists = [*volume.glob("branches/*.json")]
    yield from (path for path in lists if not path.with_suffix("").is_dir())
    named = {one["id"] for path in lists for one in json.loads(path.read_text())}
    yield from (volume / "commits" / id for id in named if not (volume / "commits" / id).is_dir())
    records = [json.loads(path.read_text()) for path in volume.glob(".dvol/dropped/*")]
    named |= {one["id"] for record in records for one in record["commits"]}
    yield from (path for path in volume.glob("commits/*") if path.name not in named)
    summaries = (volume / ".dvol" / "summaries" / id for id in named)
    yield from (path for path in summaries if not path.exists())
    whole = {path.name for path in volume.parent.rglob("commits/*")}
    documents = [path for kind in DOCUMENTS for path in volume.glob(f".dvol/{kind}/*")]
    yield from (path for path in documents if path.name not in whole)


def _volume(pool: LocalEngine, name: str) -> dict:
    root = pool.root / name
    return {
        branch.name: {
            "current": branch.current,
            "log": [
                {"message": one.message, "author": one.author, **_frozen(root, one.id)}
                for one in (pool.log(name, branch.name) if branch.head else [])
            ],
            "tree": _tree(root / "branches" / branch.name),
        }
        for branch in pool.branches(name)
    } | _dropped(root)


def _dropped(volume: Path) -> dict:
    """The dropped commits, by message, under a name that no branch has. A record of a commit that a
    branch has again means nothing."""
    lists = [json.loads(path.read_text()) for path in volume.glob("branches/*.json")]
    listed = {one["id"] for each in lists for one in each}
    records = [json.loads(path.read_text()) for path in sorted(volume.glob(".dvol/dropped/*"))]
    log = [
        {"message": one["message"], **_frozen(volume, one["id"])}
        for record in records
        for one in record["commits"]
        if one["id"] not in listed
    ]
    return {" dropped": {"current": False, "log": log, "tree": {}}}


def _frozen(root: Path, id: str) -> dict:
    return {"tree": _tree(root / "commits" / id)}


def _tree(tree: Path) -> Tree:
    """The entries of a tree, without the times that differ each time a pool is built."""
    if not tree.is_dir():
        return {}
    return {path: _timeless(path, entry) for path, entry in described(tree).items()}


def _timeless(path: bytes, entry: Entry) -> Entry:
    if path == b"" or path.startswith(LOOSE_PATH):
        return replace(entry, modified=0)
    return entry


def _cut(branch: dict, recovered: bool) -> dict:
    return branch if recovered else {**branch, "tree": _synced(branch["tree"])}


def _without_loose(branch: dict) -> dict:
    log = [{**one, "tree": _no_loose(one["tree"])} for one in branch["log"]]
    return {**branch, "tree": _no_loose(branch["tree"]), "log": log}


def _no_loose(tree: Tree) -> Tree:
    return {path: entry for path, entry in tree.items() if not path.startswith(LOOSE_PATH)}


def _synced(tree: Tree) -> Tree:
    return {path: entry for path, entry in tree.items() if path not in UNSYNCED_PATHS}


def _short(what: object) -> str:
    return "nothing" if what is None else str(what)[:200]
