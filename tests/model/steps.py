"""The steps that a user may take in a pool, and what each makes of it by the promise."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product

from tests.contract.verbs import ANN
from tests.model.calls import Call
from tests.model.ledger import Entry, Gc, Volume
from tests.model.oracle import Run
from tests.model.pool import NEW, Branch, Pool, Seen
from tests.model.world import Step, World

Line = tuple[str, ...]
KEEP = {"1h": timedelta(hours=1), "30d": timedelta(days=30), "400d": timedelta(days=400)}


def volume(world: World, name: str) -> Volume:
    found = world.ledger.named(name)
    assert found is not None
    return found


def changed(world: World, name: str, seen: Seen) -> Pool:
    """The pool in which a volume has become that."""
    return world.pool | {name: seen}


# -- commits and resets --------------------------------------------------------------------------


def commit(world: World, name: str, date: str) -> Step:
    return Step(Call("commit", (name, "x", ANN, date)), _committed(world.pool, [name]))


def commit_group(world: World, names: list[str]) -> Step:
    return Step(Call("commit_group", (names, "", "x", ANN)), _committed(world.pool, names))


def _committed(pool: Pool, names: list[str]) -> list[Pool]:
    return [pool | {name: _with_commit(pool[name]) for name in names}]


def _with_commit(seen: Seen) -> Seen:
    return seen.with_current(Branch((*seen.branch.line, NEW), seen.branch.files))


def reset(world: World, name: str, revision: str, line: Line, discard: bool) -> Step:
    """`line` is the history that the revision means; none if there is no such commit."""
    after = [changed(world, name, _reset(world, name, line))] if line else []
    return Step(Call("reset", (name, revision), {"discard": discard}), after)


def reset_group(world: World, revision: str, lines: dict[str, Line], discard: bool) -> Step:
    """`lines` has the history that the revision means in each of the volumes."""
    call = Call("reset_group", ([*lines], "", revision), {"discard": discard})
    if not all(lines.values()):
        return Step(call, [])
    after = {name: _reset(world, name, line) for name, line in lines.items()}
    return Step(call, [world.pool | after], refusals=("NotOneGroup",))


def _reset(world: World, name: str, line: Line) -> Seen:
    files = volume(world, name).commits[line[-1]].files
    return world.pool[name].with_current(Branch(line, files))


def back(world: World, names: list[str], steps: int) -> dict[str, Line]:
    """The history that HEAD~steps means in each of several volumes: where it means none, that of
    the commit in the group of the others."""
    lines = {name: world.pool[name].branch.line for name in names}
    found = {name: line[: max(0, len(line) - steps)] for name, line in lines.items()}
    heads = [volume(world, name).commits[line[-1]].group for name, line in found.items() if line]
    wanted = {*heads} - {""}
    group = wanted.pop() if len(wanted) == 1 else ""
    return {name: line or _of_group(world, name, group) for name, line in found.items()}


def group(world: World, names: list[str], member: str) -> dict[str, Line]:
    """The history that a commit of one volume means in each of several: that of the commit of its
    group; none where there is none."""
    volumes = {name: volume(world, name) for name in names}
    wanted = next(v.commits[member].group for v in volumes.values() if member in v.commits)
    return {name: _of_group(world, name, wanted) for name in names}


def _of_group(world: World, name: str, wanted: str) -> Line:
    commits = volume(world, name).commits.values()
    of_group = [one.id for one in commits if wanted and one.group == wanted]
    return world.line(name, of_group[-1]) if of_group else ()


def undo(world: World, name: str, count: int) -> Step:
    found = _to_undo(world, name)
    call = Call("undo", (name, count))
    if len(found) < count:
        return Step(call, [])
    after = changed(world, name, world.pool[name].with_current(found[-count].state))
    return Step(call, [after], uses=(found[-count],))


def undo_group(world: World, names: list[str]) -> Step:
    """Of those volumes in which the last reset of several has changed something."""
    last = {name: found[-1] for name in names if (found := _to_undo(world, name))}
    after = []
    for chosen in product([False, True], repeat=len(last)):
        pool = dict(world.pool)
        for (name, entry), is_undone in zip(last.items(), chosen, strict=True):
            pool[name] = pool[name].with_current(entry.state) if is_undone else pool[name]
        after += [pool] if any(chosen) else []
    uses = tuple(last.values())
    return Step(Call("undo_group", (names, "")), after, ("NoGroupToUndo",), uses)


def _to_undo(world: World, name: str) -> list[Entry]:
    return world.ledger.of_branch(volume(world, name), world.pool[name].current)


# -- branches and volumes ------------------------------------------------------------------------


def branch(world: World, name: str, new: str, revision: str, line: Line) -> Step:
    seen, call = world.pool[name], Call("branch", (name, new, revision))
    if not line or new in seen.branches:
        return Step(call, [])
    files = volume(world, name).commits[line[-1]].files
    made = replace(seen.but(**{new: Branch(line, files)}), current=new)
    return Step(call, [changed(world, name, made)])


def checkout(world: World, name: str, other: str) -> Step:
    after = replace(world.pool[name], current=other)
    return Step(Call("checkout", (name, other)), [changed(world, name, after)])


def stash(world: World, names: list[str], new: str) -> Step:
    """The new branch gets the live tree, and the current one its last commit."""
    call, after = Call("stash", (names, new, "x", ANN)), dict(world.pool)
    for name in names:
        seen = world.pool[name]
        if new in seen.branches:
            return Step(call, [])
        line, files = seen.branch.line, seen.branch.files
        head = volume(world, name).commits[line[-1]].files if line else files
        put_aside = seen.but(**{new: Branch((*line, NEW), files)})
        after[name] = put_aside.with_current(Branch(line, head))
    return Step(call, [after])


def delete_branch(world: World, name: str, other: str) -> Step:
    seen, call = world.pool[name], Call("delete_branch", (name, other))
    left = {one: branch for one, branch in seen.branches.items() if one != other}
    after = changed(world, name, replace(seen, branches=left))
    return Step(call, [] if other == seen.current else [after])


def init(world: World, name: str) -> Step:
    after = [] if name in world.pool else [changed(world, name, Seen())]
    return Step(Call("init", (name,)), after)


def rm(world: World, name: str) -> Step:
    after = {one: seen for one, seen in world.pool.items() if one != name}
    return Step(Call("rm", (name,)), [after])


def restore(world: World, entry: Entry, name: str) -> Step:
    call = Call("restore", (entry.fact.entry, name))
    if entry.is_volume:
        name = name or entry.fact.volume
        after = [] if name in world.pool else [changed(world, name, entry.volume.seen)]
        return Step(call, after, uses=(entry,))
    seen = world.pool.get(entry.fact.volume)
    in_trash = entry.fact.verb == "branch -d"
    name = name or (entry.fact.branch if in_trash else "")
    if seen is None or not name or name in seen.branches:
        return Step(call, [])
    restored = changed(world, entry.fact.volume, seen.but(**{name: entry.state}))
    return Step(call, [restored], uses=(entry,) if in_trash else ())


# -- letting go ----------------------------------------------------------------------------------


def tag(world: World, name: str, new: str, id: str, line: Line) -> Step:
    seen, call = world.pool[name], Call("tag", (name, new, id))
    if not line or new in seen.tags:
        return Step(call, [])
    return Step(call, [changed(world, name, replace(seen, tags=seen.tags | {new: id}))])


def delete_tag(world: World, name: str, tag: str) -> Step:
    seen = world.pool[name]
    left = {one: id for one, id in seen.tags.items() if one != tag}
    after = [changed(world, name, replace(seen, tags=left))] if tag in seen.tags else []
    return Step(Call("delete_tag", (name, tag)), after)


def _tagged(world: World, name: str) -> set[str]:
    """The ids of the commits that tags keep, with their histories."""
    return {one for id in world.pool[name].tags.values() for one in world.line(name, id)}


def drop(world: World, name: str, id: str) -> Step:
    seen, call = world.pool[name], Call("drop", (name, id))
    heads = {branch.line[-1] for branch in seen.branches.values() if branch.line}
    if id not in seen.listed() or id in heads or id in _tagged(world, name):
        return Step(call, [])
    volume(world, name).thinned = True
    return Step(call, [changed(world, name, _thinned(seen, lambda line, at: line[at] != id))])


def prune(world: World, name: str, last: int, groups: bool) -> Step:
    found, tagged_ids = volume(world, name), _tagged(world, name)
    found.thinned = True

    def stays(line: Line, at: int) -> bool:
        tagged = line[at] in tagged_ids
        grouped = bool(found.commits[line[at]].group) and not groups
        return at >= len(line) - last or tagged or grouped

    after = changed(world, name, _thinned(world.pool[name], stays))
    return Step(Call("prune", (name,), {"last": last, "groups": groups}), [after])


def _thinned(seen: Seen, stays: Callable[[Line, int], bool]) -> Seen:
    """Without the commits that do not stay at their place in a branch's list."""
    thinned = {
        name: Branch(
            tuple(id for at, id in enumerate(branch.line) if stays(branch.line, at)), branch.files
        )
        for name, branch in seen.branches.items()
    }
    return replace(seen, branches=thinned)


# -- gc ------------------------------------------------------------------------------------------


def gc(
    world: World,
    volume: str = "",
    named: str = "",
    now: bool = False,
    older_than: timedelta | None = None,
    dry_run: bool = False,
) -> Step:
    age = f"{int(older_than.total_seconds()) // 3600}h" if older_than else ""
    options = {"volume": volume, "entry": named, "now": now, "older_than": age, "dry_run": dry_run}
    wanted = Gc(_run(world), volume, named, now, older_than, dry_run=dry_run)
    return Step(Call("gc", (), options), [world.pool], gc=wanted)


def auto(world: World) -> Step:
    return Step(Call("auto"), [world.pool], gc=Gc(_run(world), auto=True))


def _run(world: World) -> Run:
    return Run(*world.clocks.moment())


def set_keep(world: World, name: str, value: str) -> Step:
    """Set `gc.keep` for a volume, or for all."""
    age = KEEP.get(value, timedelta.max)
    if name:
        volume(world, name).keep = age
    else:
        world.ledger.keep = age
    return Step(Call("config", (name, "gc.keep", value)), [world.pool])


def set_auto(world: World, name: str, value: str) -> Step:
    """Set `gc.auto` for a volume, or for all."""
    if name:
        volume(world, name).auto = value == "on"
    else:
        world.ledger.auto = value == "on"
    return Step(Call("config", (name, "gc.auto", value)), [world.pool])
