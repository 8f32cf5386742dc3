"""What each command asks of the engine, and its result: a function for each command.

How a command line is read is in `usage` and `main`, how results look in `render`; `main` prints
them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from dvol.cli import render
from dvol.cli.terminal import confirm
from dvol.cli.usage import Arguments
from dvol.errors import Busy, Conflict, Corrupt, DvolError, InvalidRequest, NotFound
from dvol.model import VERSION, Freed

if TYPE_CHECKING:
    from dvol.engine import Engine

_DIGITS = 4  # of a count, at most
_HARD = (
    "Please specify --hard to confirm you intend to lose data "
    "(to save your state, commit and branch, then come back to reset)"
)


class Result(NamedTuple):
    """The result of a command: `value` as the engine returned it, and how it is printed.

    `as_text` turns `value` into the text for stdout. `note` goes to stderr, unless --quiet;
    `problems` go to stderr, each on a line; `code` is the exit code.
    """

    value: Any = None
    as_text: Callable[[Any], str] = lambda value: ""
    note: str | Callable[[], str] = ""
    messages: tuple[str, ...] = ()
    code: int = 0


def _list(engine: Engine, arguments: Arguments) -> Result:
    volumes = engine.volumes()
    messages = tuple(volume.problem for volume in volumes if volume.problem)
    code = Corrupt.exit_code if messages else 0
    return Result(volumes, render.volumes, messages=messages, code=code)


def _init(engine: Engine, arguments: Arguments) -> Result:
    return Result(engine.init(_named(arguments["VOLUME"])), render.created)


def _switch(engine: Engine, arguments: Arguments) -> Result:
    volume = engine.switch(_named(arguments["VOLUME"]))
    return Result(volume, note=f"Active volume: {volume.name}, on branch '{volume.branch}'")


def _rm(engine: Engine, arguments: Arguments) -> Result:
    volume = _named(arguments["VOLUME"])
    what = f"This moves volume '{volume}' to the trash"
    if not arguments["--force"] and _exists(engine, volume) and not confirm(what):
        return Result(messages=("Aborting.",), code=1)
    engine.rm(volume)
    return Result(volume, "Deleting volume '{}'\n".format, note=_RESTORE)


def _commit(engine: Engine, arguments: Arguments) -> Result:
    from dvol.cli.identity import date

    message, project = arguments["--message"] or "", _project(arguments)
    given = (message, arguments["author"](), date(), arguments["--full"])
    if project or arguments["--volume"]:
        done = engine.commit_group(_several(arguments), project, *given)
        return Result(done, render.commit_ids)
    return Result(engine.commit(_volume(engine, arguments), *given), render.commit_id)


def _log(engine: Engine, arguments: Arguments) -> Result:
    revision, volume = _revision_and_volume(engine, arguments)
    return Result(engine.log(volume, revision), render.log)


def _reflog(engine: Engine, arguments: Arguments) -> Result:
    branch, volume = _word_and_volume(engine, arguments, "BRANCH")
    return Result(engine.reflog(volume, branch), render.reflog)


def _reset(engine: Engine, arguments: Arguments) -> Result:
    """The original dvol printed nothing to stdout, and scripts may rely on that: the new head is a
    note."""
    if not arguments["--hard"]:
        raise InvalidRequest(_HARD)
    revision = "HEAD" if arguments["REVISION"] is None else arguments["REVISION"]
    project, discard = _project(arguments), arguments["--discard"]
    if project or arguments["--volume"]:
        done = engine.reset_group(_several(arguments), project, revision, discard)
        return Result(done, note=render.heads(done))
    with _volume_comes_last(engine, revision, "dvol reset --hard HEAD"):
        commit = engine.reset(_volume(engine, arguments), revision, discard)
    return Result(commit, note=render.head(commit))


def _undo(engine: Engine, arguments: Arguments) -> Result:
    project = _project(arguments)
    if project or arguments["--volume"]:
        if arguments["COUNT"] is not None:
            raise InvalidRequest("name all volumes by --volume, or a project by --project")
        done = engine.undo_group(list(arguments["--volume"]), project)
        return Result(done, note=render.heads(done))
    words = [word for name in ("COUNT", "VOLUME") if (word := arguments[name]) is not None]
    counted = bool(words) and words[0].isascii() and words[0].isdecimal()
    count = words.pop(0) if counted else "1"
    if len(words) > 1 or len(count) > _DIGITS:
        raise InvalidRequest("Wrong number of arguments. usage: dvol undo [-f] [COUNT] [VOLUME]")
    arguments["VOLUME"] = words[0] if words else None
    volume = _volume(engine, arguments)
    commit = engine.undo(volume, int(count))
    last = "last" if int(count) == 1 else f"last {count}"
    plural = "s" if int(count) != 1 else ""
    state = f"with the state before the {last} reset{plural} or undo{plural}"
    redo = f"to redo, 'dvol undo {volume}'"
    return Result(commit, note=f"{render.head(commit)}, {state}; {redo}")


def _branch(engine: Engine, arguments: Arguments) -> Result:
    volume, name = _volume(engine, arguments), arguments["--delete"]
    if name is not None:
        engine.delete_branch(volume, name)
        return Result(name, "Deleting branch '{}'\n".format, note=_RESTORE)
    return Result(engine.branches(volume), render.branches)


def _checkout(engine: Engine, arguments: Arguments) -> Result:
    name = arguments["BRANCH"]
    if name is None:
        raise InvalidRequest("Must specify a branch name.")
    if arguments["--branch"]:
        revision, volume = _revision_and_volume(engine, arguments)
        branch = engine.branch(volume, name, revision)
        made = f"made from {branch.head[:7]}"
        return Result(branch, note=f"Switched to a new branch '{name}', {made}")
    if arguments["REVISION"] is not None:
        arguments["VOLUME"] = _only_volume(arguments, "dvol checkout [-f] BRANCH [VOLUME]")
    volume = _volume(engine, arguments)
    with _volume_comes_last(engine, name, "dvol checkout BRANCH"):
        branch = engine.checkout(volume, name)
    return Result(branch, note=f"Switched to branch '{name}'")


def _tag(engine: Engine, arguments: Arguments) -> Result:
    name, revision, volume = (arguments[each] for each in ("NAME", "REVISION", "VOLUME"))
    if arguments["--delete"] is not None:
        if revision is not None:
            raise InvalidRequest("Wrong number of arguments. usage: dvol tag -d NAME [VOLUME]")
        arguments["VOLUME"] = name
        gone = engine.delete_tag(_volume(engine, arguments), arguments["--delete"])
        return Result(gone, note=f"Deleted tag '{gone.name}' (was {gone.commit[:7]})")
    if name is None or (revision is None and _is_volume(engine, name)):
        arguments["VOLUME"] = name
        return Result(engine.tags(_volume(engine, arguments)), render.tags)
    revision, volume = _revision_and_volume(engine, arguments)
    return Result(engine.tag(volume, name, revision))


def _drop(engine: Engine, arguments: Arguments) -> Result:
    if arguments["REVISION"] is None:
        raise InvalidRequest("Please specify a revision: 'dvol log' shows the commits")
    volume = _volume(engine, arguments)
    commit = engine.drop(volume, arguments["REVISION"])
    return Result(
        commit, note=f"Dropped {render.title(commit)}; {_STAYS.format(commit.id[:7], volume)}"
    )


def _prune(engine: Engine, arguments: Arguments) -> Result:
    last, hourly, daily, weekly = (_number(arguments, option) for option in _RULES)
    tags, dry_run = arguments["--keep-tag"] or "", arguments["--dry-run"]
    volume = _volume(engine, arguments)
    rules = (last, hourly, daily, weekly, tags)
    judged = engine.prune(volume, *rules, arguments["--groups"], dry_run)
    return Result(judged, render.would_prune if dry_run else render.pruned)


def _restore(engine: Engine, arguments: Arguments) -> Result:
    entry, name = arguments["ENTRY"], arguments["NAME"]
    if entry is None:
        return Result(engine.discarded(sizes=True), render.discarded)
    return Result(engine.restore(entry, name or ""), render.restored)


def _gc(engine: Engine, arguments: Arguments) -> Result:
    """It asks before anything is deleted that gc would keep by itself."""
    dry_run, now = arguments["--dry-run"], arguments["--now"]
    which = {
        "entry": arguments["ENTRY"] or "",
        "volume": arguments["--volume"] or "",
        "older_than": arguments["--older-than"] or "",
    }
    if arguments["ENTRY"] == "":  # most likely of a shell variable that is not set
        raise InvalidRequest("ENTRY names nothing")
    if len([one for one in (now, which["entry"], which["older_than"]) if one]) > 1:
        raise InvalidRequest("give one of ENTRY, --older-than and --now")
    if not dry_run and not arguments["--force"] and (now or which["entry"] or which["older_than"]):
        past = {one.entry for one in engine.gc(dry_run=True)}
        going = [one for one in engine.gc(now, dry_run=True, **which) if not one.kept]
        young = [one for one in going if one.entry not in past]
        what = f"This deletes for good what gc would still keep: {render.counted(young)}"
        if young and not confirm(what):
            return Result(messages=("Aborting.",), code=1)
    found = engine.gc(now, dry_run, **which)
    freed = [one for one in found if not one.kept]
    as_text = render.would_free if dry_run else render.freed
    plain = not (now or any(which.values()))
    code = Conflict.exit_code if which["entry"] and not freed else 0
    return Result(freed, as_text, partial(_kept, engine, found, plain), code=code)


def _kept(engine: Engine, found: list[Freed], plain: bool) -> str:
    """What gc has kept, and why. After a plain gc also how many entries stay; that is asked when
    the result is printed, since what was deleted must be reported in any case."""
    lines = [f"kept {one.entry[:12]}: {one.kept}" for one in found if one.kept]
    told = {one.entry for one in found}  # in a dry run they still exist
    stay = [one for one in engine.discarded() if one.entry not in told] if plain else []
    if stay:
        entries = "1 entry stays" if len(stay) == 1 else f"{len(stay)} entries stay"
        lines.append(f"{entries} ('dvol restore' lists them; 'dvol gc --now' deletes them)")
    return "\n".join(lines)


def _fsck(engine: Engine, arguments: Arguments) -> Result:
    """Exit code 8 if anything is broken, else 5 if a volume was busy; leftovers harm nothing."""
    found = engine.fsck(arguments["VOLUME"] or "", arguments["--repair"], arguments["--data"])
    states = {finding.state for finding in found}
    code = Corrupt.exit_code if "broken" in states else Busy.exit_code if "busy" in states else 0
    return Result(found, render.findings, messages=(render.summary(found),), code=code)


def _config(engine: Engine, arguments: Arguments) -> Result:
    """`[VOLUME] [KEY [VALUE]]`: a first word with a dot in it is a key."""
    words = [word for name in ("VOLUME", "KEY", "VALUE") if (word := arguments[name]) is not None]
    named = not arguments["--global"] and "." not in "".join(words[:1]) and bool(words)
    volume = words.pop(0) if named else ""
    if not volume and not arguments["--global"]:
        volume = os.environ.get("DVOL_VOLUME") or engine.active()
    from dvol.pool.config import DEFAULTS  # late: other commands ask a server, and load no disk

    key, value, *more = (*words, "", "")
    if any(more) or (arguments["--unset"] and (value or not key)):
        raise InvalidRequest("Wrong number of arguments. usage: dvol config [VOLUME] [KEY [VALUE]]")
    if key:
        return Result(engine.config(volume, key, value, arguments["--unset"]), "{}\n".format)
    found = {each: engine.config(volume, each) for each in DEFAULTS}
    return Result({key: value for key, value in found.items() if value}, render.settings)


def _version(engine: Engine, arguments: Arguments) -> Result:
    """Without an engine that answers, the command's own version is printed all the same."""
    try:
        return Result(engine.version(), render.version)
    except DvolError as error:
        return Result(VERSION, "dvol {}\n".format, messages=(str(error),), code=error.exit_code)


COMMANDS: dict[str, Callable[[Engine, Arguments], Result]] = {
    "list": _list,
    "ls": _list,
    "init": _init,
    "switch": _switch,
    "rm": _rm,
    "commit": _commit,
    "log": _log,
    "reflog": _reflog,
    "reset": _reset,
    "undo": _undo,
    "branch": _branch,
    "checkout": _checkout,
    "tag": _tag,
    "drop": _drop,
    "prune": _prune,
    "restore": _restore,
    "gc": _gc,
    "fsck": _fsck,
    "config": _config,
    "version": _version,
}
_RULES = ("--keep-last", "--keep-hourly", "--keep-daily", "--keep-weekly")
_STAYS = "'dvol checkout -b NAME {} {}' goes back to it until gc deletes it"
_RESTORE = "'dvol restore' can undelete it"


def _exists(engine: Engine, volume: str) -> bool:
    """Whether a volume exists, also a corrupt one: else `rm` need not ask."""
    try:
        engine.get(volume)
    except NotFound:
        return False
    except InvalidRequest:
        raise
    except DvolError:
        return True
    return True


@contextmanager
def _volume_comes_last(engine: Engine, word: str, usage: str) -> Iterator[None]:
    """If a revision or branch is not found, and is the name of a volume, say that the volume comes
    last."""
    try:
        yield
    except NotFound:
        if _is_volume(engine, word):
            raise InvalidRequest(
                f"'{word}' is a volume, which comes last: {usage} {word}"
            ) from None
        raise


def _named(volume: str | None) -> str:
    """The volume that a command names, for commands that do not use the active one instead."""
    if volume is None:
        raise InvalidRequest("Please specify a volume name.")
    return volume


def _volume(engine: Engine, arguments: Arguments) -> str:
    """The volume that the command names, or else DVOL_VOLUME, or else the active one."""
    if arguments["VOLUME"] is not None:
        return str(arguments["VOLUME"])
    return os.environ.get("DVOL_VOLUME") or engine.active()


def _number(arguments: Arguments, option: str) -> int:
    """The number of an option, 0 without it."""
    given = str(arguments[option] or "0")
    if not re.fullmatch("-1|[0-9]{1,6}", given):
        raise InvalidRequest(f"{option} must be a number of commits, or -1 for all, not '{given}'")
    return int(given)


def _is_volume(engine: Engine, word: str) -> bool:
    try:
        return _exists(engine, word)
    except InvalidRequest:  # no volume can have that name
        return False


def _revision_and_volume(engine: Engine, arguments: Arguments) -> tuple[str, str]:
    return _word_and_volume(engine, arguments, "REVISION")


def _word_and_volume(engine: Engine, arguments: Arguments, name: str) -> tuple[str, str]:
    """`[REVISION] [VOLUME]`, or `[BRANCH] [VOLUME]`, where one word is a volume if there is one of
    that name."""
    word, volume = arguments[name], arguments["VOLUME"]
    if word is not None and volume is None and _is_volume(engine, word):
        word, volume = None, word
    arguments["VOLUME"] = volume
    return "HEAD" if word is None else word, _volume(engine, arguments)


def _only_volume(arguments: Arguments, usage: str) -> str:
    """The volume of a command that takes no revision here."""
    if arguments["VOLUME"] is not None:
        raise InvalidRequest(f"Wrong number of arguments. usage: {usage}")
    return str(arguments["REVISION"])


def _project(arguments: Arguments) -> str:
    if arguments["--project"] == "":  # most likely of a shell variable that is not set
        raise InvalidRequest("--project names no project")
    return str(arguments["--project"] or "")


def _several(arguments: Arguments) -> list[str]:
    """The volumes that are named by --volume."""
    if arguments["VOLUME"] is not None:
        raise InvalidRequest("name all volumes by --volume, or a project by --project")
    return list(arguments["--volume"])
