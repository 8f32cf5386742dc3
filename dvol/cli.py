"""dvol: version control for Docker volumes.

Usage:
  dvol [options] (list | ls)
  dvol [options] init [VOLUME]
  dvol [options] switch [VOLUME]
  dvol [options] rm [-f] [VOLUME]
  dvol [options] commit [-m MSG] [--author AUTHOR] [--full] [VOLUME]
  dvol [options] log [VOLUME]
  dvol [options] reset [--hard] [REVISION] [VOLUME]
  dvol [options] undo [VOLUME]
  dvol [options] branch [-d NAME] [VOLUME]
  dvol [options] checkout [-b] [BRANCH] [VOLUME]
  dvol [options] restore [ENTRY] [NAME]
  dvol [options] gc [--now] [--dry-run]
  dvol [options] fsck [--repair] [VOLUME]
  dvol [options] version

Commands:
  list, ls    list the volumes; the active one is marked *
  init        make a volume, and make it the active one
  switch      choose the active volume
  rm          move a volume to the trash
  commit      keep the state of the volume; prints the new commit's id
  log         show the commits of the current branch, newest first
  reset       put the volume back to a commit (HEAD if none is named)
  undo        bring back what the last reset discarded; again, to redo
  branch      list the branches, or delete one
  checkout    switch to a branch, or make one from the last commit
  restore     list what was discarded, or bring it back (under another NAME)
  gc          delete for good what was discarded more than a week ago
  fsck        check the pool, or one volume
  version     show the version of dvol, and of the server if there is one

A volume is named in the command, or by DVOL_VOLUME, or it is the active one. A revision is
HEAD, a branch, or the first digits of an id; HEAD^ and HEAD~3 go back from there.

Options:
  -m MSG, --message MSG            what the commit keeps
  --author AUTHOR                  who commits, as 'Name <email>'; default: what git knows
  --full                           compare everything with the last commit
  --hard                           yes, lose what was not committed
  -b, --branch                     make the branch first
  -d NAME, --delete NAME           delete a branch; it goes to the trash
  -f, --force                      do not ask
  --now                            delete what was discarded since, too
  --dry-run                        only say what would be deleted
  --repair                         mend what can be mended without losing anything
  -p DIR, --pool DIR               the pool, without a server
  --path DIR                       the same
  -H URL, --host URL               the server's socket, unix:///run/dvol/control.sock
  --disable-docker-integration     nothing uses the volume: do not ask Docker
  --version                        the version of this command
  -h, --help                       this text

Examples:
  dvol init shop_db                     make a volume, and: docker run -v shop_db:/data
                                        --volume-driver dvol ...
  dvol commit -m "before migration"     keep its state
  dvol reset --hard HEAD                go back to it
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dvol import __version__, render
from dvol.arguments import Arguments, Usage
from dvol.connect import Choice, connect
from dvol.errors import Bug, Busy, Corrupt, DvolError, Interrupted, InvalidRequest, RevisionNotFound
from dvol.terminal import drop_output, say, show, sure, survive_odd_text, talk

if TYPE_CHECKING:
    from dvol.engine import Engine

_HARD = (
    "Please specify --hard to confirm you intend to lose data "
    "(to save your state, commit and branch, then come back to reset)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see errors.py, and 70 for a bug)."""
    survive_odd_text()
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        error: DvolError = Interrupted("")
    except DvolError as refusal:
        error = refusal
    except BrokenPipeError:  # the reader of our output has seen enough
        drop_output()
        return 141
    except Exception as bug:
        if os.environ.get("DVOL_TRACEBACK"):
            raise
        error = Bug(f"{bug!r} (DVOL_TRACEBACK=1 shows where)")
    say(str(error))
    return error.exit_code


def _run(argv: list[str]) -> int:
    usage = Usage(__doc__, list(_COMMANDS))
    options, words = usage.sorted_out(argv)
    if not argv or {"-h", "--help"} & set(options):
        show(__doc__)
        return 0
    if "--version" in options:
        show(f"dvol {__version__}\n")
        return 0
    arguments = usage.parse(argv, options, words)
    command = next(word for word in _COMMANDS if arguments.get(word))
    if command == "commit":
        arguments["author"] = _author(arguments)  # asked now: git answers while the engine loads
    engine = connect(_choice(arguments), tell=say)
    return _COMMANDS[command](engine, arguments) or 0


# -- commands ----------------------------------------------------------------------------------


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
    if not arguments["--force"] and not sure(f"This moves volume '{volume}' to the trash"):
        say("Aborting.")
        return 1
    engine.rm(volume)
    show(f"Deleting volume '{volume}'\n")
    talk("'dvol restore' can bring it back")
    return 0


def _commit(engine: Engine, arguments: Arguments) -> None:
    from dvol.identity import date

    volume, message = _volume(engine, arguments), arguments["--message"] or ""
    commit = engine.commit(volume, message, arguments["author"](), date(), arguments["--full"])
    show(f"{commit.id}\n")


def _log(engine: Engine, arguments: Arguments) -> None:
    show(render.log(engine.log(_volume(engine, arguments))))


def _reset(engine: Engine, arguments: Arguments) -> None:
    if not arguments["--hard"]:
        raise InvalidRequest(_HARD)
    revision = "HEAD" if arguments["REVISION"] is None else arguments["REVISION"]
    try:
        commit = engine.reset(_volume(engine, arguments), revision)
    except RevisionNotFound:
        if arguments["VOLUME"] is None and revision in [one.name for one in engine.volumes()]:
            hint = f"'{revision}' is a volume: dvol reset --hard HEAD {revision}"
            raise InvalidRequest(hint) from None
        raise
    talk(render.head(commit))  # the original printed nothing, and scripts may count on that


def _undo(engine: Engine, arguments: Arguments) -> None:
    commit = engine.undo(_volume(engine, arguments))
    talk(f"{render.head(commit)}, with what the last reset or undo discarded")


def _branch(engine: Engine, arguments: Arguments) -> None:
    volume, name = _volume(engine, arguments), arguments["--delete"]
    if name is None:
        show(render.branches(engine.branches(volume)))
    else:
        engine.delete_branch(volume, name)
        show(f"Deleting branch '{name}'\n")


def _checkout(engine: Engine, arguments: Arguments) -> None:
    name = arguments["BRANCH"]
    if name is None:
        raise InvalidRequest("Must specify a branch name.")
    volume = _volume(engine, arguments)
    if arguments["--branch"]:
        engine.branch(volume, name)
        talk(f"Switched to a new branch '{name}', made from the last commit")
    else:
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


def _version(engine: Engine, arguments: Arguments) -> None:
    show(f"dvol {__version__}\n")
    answer = engine.version()
    show(f"pool {answer.pool}, kept by dvol {answer.dvol} (protocol {answer.protocol})\n")


_COMMANDS: dict[str, Callable[[Engine, Arguments], int | None]] = {
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
    "version": _version,
}


# ----------------------------------------------------------------------------------------------


def _author(arguments: Arguments) -> Callable[[], str]:
    from dvol import identity  # late: no other command needs it

    given = str(arguments["--author"] or "")
    return (lambda: given) if given else identity.ask(os.environ)


def _choice(arguments: Arguments) -> Choice:
    pool, other = arguments["--pool"], arguments["--path"]
    if None not in (pool, other):
        raise InvalidRequest("--pool and --path are the same; give one of them")
    pool = other if pool is None else pool
    if pool == "":
        raise InvalidRequest("--pool names no directory")
    return Choice(
        pool=pool or "",
        host=arguments["--host"] or ("" if pool else os.environ.get("DVOL_HOST", "")),
        docker=not arguments["--disable-docker-integration"],
        docker_host=os.environ.get("DOCKER_HOST", ""),
    )


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
