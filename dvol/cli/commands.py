"""What each command does with the engine and shows of it: a function a command.

How a command line is read is `arguments`' and `cli`'s, how things look is `render`'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dvol import __version__
from dvol.cli import render
from dvol.cli.terminal import say, show, sure, talk
from dvol.cli.usage import Arguments
from dvol.errors import Busy, Corrupt, DvolError, InvalidRequest, NotFound
from dvol.pool.config import VALUES

if TYPE_CHECKING:
    from dvol.engine import Engine

_HARD = (
    "Please specify --hard to confirm you intend to lose data "
    "(to save your state, commit and branch, then come back to reset)"
)


def _list(engine: Engine, arguments: Arguments) -> int:
    volumes = engine.volumes()
    show(render.volumes(volumes))
    problems = [volume.problem for volume in volumes if volume.problem]
    for problem in problems:
        say(problem)
    return Corrupt.exit_code if problems else 0


def _init(engine: Engine, arguments: Arguments) -> None:
    volume = engine.init(_named(arguments["VOLUME"]))
    show(f"Created volume {volume.name}\nCreated branch {volume.name}/{volume.branch}\n")


def _switch(engine: Engine, arguments: Arguments) -> None:
    volume = engine.switch(_named(arguments["VOLUME"]))
    talk(f"Active volume: {volume.name}, on branch '{volume.branch}'")


def _rm(engine: Engine, arguments: Arguments) -> int:
    volume = _named(arguments["VOLUME"])
    what = f"This moves volume '{volume}' to the trash"
    if not arguments["--force"] and _is_there(engine, volume) and not sure(what):
        say("Aborting.")
        return 1
    engine.rm(volume)
    show(f"Deleting volume '{volume}'\n")
    talk("'dvol restore' can bring it back")
    return 0


def _commit(engine: Engine, arguments: Arguments) -> None:
    from dvol.cli.identity import date

    message, project = arguments["--message"] or "", _project(arguments)
    words = (message, arguments["author"](), date(), arguments["--full"])
    if project or arguments["--volume"]:
        done = engine.commit_together(_together(arguments), project, *words)
        show("".join(f"{commit.id} {volume}\n" for volume, commit in done.items()))
    else:
        show(f"{engine.commit(_volume(engine, arguments), *words).id}\n")


def _log(engine: Engine, arguments: Arguments) -> None:
    show(render.log(engine.log(_volume(engine, arguments))))


def _reset(engine: Engine, arguments: Arguments) -> None:
    if not arguments["--hard"]:
        raise InvalidRequest(_HARD)
    revision = "HEAD" if arguments["REVISION"] is None else arguments["REVISION"]
    project = _project(arguments)
    if project or arguments["--volume"]:
        done = engine.reset_together(_together(arguments), project, revision)
        for volume, one in done.items():
            talk(f"{volume}: {render.head(one)}")
        return
    with _volume_comes_last(engine, revision, "dvol reset --hard HEAD"):
        commit = engine.reset(_volume(engine, arguments), revision)
    talk(render.head(commit))  # the original printed nothing, and scripts may count on that


def _undo(engine: Engine, arguments: Arguments) -> None:
    volume = _volume(engine, arguments)
    before = {one.id for one in engine.log(volume)}
    commit = engine.undo(volume)
    aside = len(before - {one.id for one in engine.log(volume)})
    newer = f"; newer commits set aside: {aside} (to redo, 'dvol undo' again)" if aside else ""
    talk(f"{render.head(commit)}, with what the last reset or undo discarded{newer}")


def _branch(engine: Engine, arguments: Arguments) -> None:
    volume, name = _volume(engine, arguments), arguments["--delete"]
    if name is not None:
        engine.delete_branch(volume, name)
        show(f"Deleting branch '{name}'\n")
        talk("'dvol restore' can bring it back")
        return
    show(render.branches(engine.branches(volume)))


def _checkout(engine: Engine, arguments: Arguments) -> None:
    name = arguments["BRANCH"]
    if name is None:
        raise InvalidRequest("Must specify a branch name.")
    volume = _volume(engine, arguments)
    if arguments["--branch"]:
        engine.branch(volume, name)
        talk(f"Switched to a new branch '{name}', made from the last commit")
        return
    with _volume_comes_last(engine, name, "dvol checkout BRANCH"):
        engine.checkout(volume, name)
    talk(f"Switched to branch '{name}'")


def _restore(engine: Engine, arguments: Arguments) -> None:
    entry, name = arguments["ENTRY"], arguments["NAME"]
    if entry is None:
        show(render.discarded(engine.discarded()))
    else:
        show(render.restored(engine.restore(entry, name or "")))


def _gc(engine: Engine, arguments: Arguments) -> None:
    dry_run = arguments["--dry-run"]
    freed = engine.gc(arguments["--now"], dry_run)
    show(render.freed(freed, dry_run))
    if arguments["--now"]:
        return
    gone = {one.entry for one in freed}  # of a dry run, still there
    kept = [one for one in engine.discarded() if one.entry not in gone]
    if kept:
        talk(f"{len(kept)} kept, since no week has passed or others need them; --now deletes all")


def _fsck(engine: Engine, arguments: Arguments) -> int:
    """8 if anything is broken, else 5 if anything could not be looked at."""
    found = engine.fsck(arguments["VOLUME"] or "", arguments["--repair"])
    show(render.findings(found))
    say(render.summary(found))
    states = {finding.state for finding in found}
    return Corrupt.exit_code if "broken" in states else Busy.exit_code if "busy" in states else 0


def _config(engine: Engine, arguments: Arguments) -> None:
    """`[VOLUME] [KEY [VALUE]]`: what a first word is, its own name tells."""
    words = [word for name in ("VOLUME", "KEY", "VALUE") if (word := arguments[name]) is not None]
    named = not arguments["--global"] and "." not in "".join(words[:1]) and bool(words)
    volume = words.pop(0) if named else ""
    if not volume and not arguments["--global"]:
        volume = os.environ.get("DVOL_VOLUME") or engine.active()
    key, value, *more = (*words, "", "")
    if any(more) or (arguments["--unset"] and (value or not key)):
        raise InvalidRequest("Wrong number of arguments. usage: dvol config [VOLUME] [KEY [VALUE]]")
    for each in [] if key else VALUES:
        show(f"{each}={engine.config(volume, each)}\n")
    if key:
        show(f"{engine.config(volume, key, value, arguments['--unset'])}\n")


def _version(engine: Engine, arguments: Arguments) -> None:
    show(f"dvol {__version__}\n")
    answer = engine.version()
    show(f"pool {answer.pool}, kept by dvol {answer.dvol} (protocol {answer.protocol})\n")


COMMANDS: dict[str, Callable[[Engine, Arguments], int | None]] = {
    "list": _list,
    "ls": _list,
    "init": _init,
    "switch": _switch,
    "rm": _rm,
    "commit": _commit,
    "log": _log,
    "reset": _reset,
    "undo": _undo,
    "branch": _branch,
    "checkout": _checkout,
    "restore": _restore,
    "gc": _gc,
    "fsck": _fsck,
    "config": _config,
    "version": _version,
}


def _is_there(engine: Engine, volume: str) -> bool:
    """In whatever state; of what is not there nothing need be asked."""
    try:
        engine.get(volume)
    except NotFound:
        return False
    except DvolError:
        return True
    return True


@contextmanager
def _volume_comes_last(engine: Engine, word: str, usage: str) -> Iterator[None]:
    """Whoever names a volume first is told so."""
    try:
        yield
    except NotFound:
        if word in [one.name for one in engine.volumes()]:
            raise InvalidRequest(
                f"'{word}' is a volume, which comes last: {usage} {word}"
            ) from None
        raise


def _named(volume: str | None) -> str:
    """For the verbs that act on the volume they name, and on no other."""
    if volume is None:
        raise InvalidRequest("Please specify a volume name.")
    return volume


def _volume(engine: Engine, arguments: Arguments) -> str:
    """The volume the command names, or DVOL_VOLUME does, or the active one."""
    if arguments["VOLUME"] is not None:
        return str(arguments["VOLUME"])
    return os.environ.get("DVOL_VOLUME") or engine.active()


def _project(arguments: Arguments) -> str:
    if arguments["--project"] == "":  # a variable that is not set, most likely
        raise InvalidRequest("--project names no project")
    return str(arguments["--project"] or "")


def _together(arguments: Arguments) -> list[str]:
    """The volumes that are named for a verb about several."""
    if arguments["VOLUME"] is not None:
        raise InvalidRequest("name all volumes by --volume, or a project by --project")
    return list(arguments["--volume"])
