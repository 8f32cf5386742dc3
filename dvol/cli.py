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
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from dvol import __version__, render
from dvol.connect import Choice, connect
from dvol.errors import Bug, Busy, Corrupt, DvolError, Interrupted, InvalidRequest, disk_failed

if TYPE_CHECKING:
    from dvol.engine import Engine

Arguments = dict[str, Any]

_HARD = (
    "Please specify --hard to confirm you intend to lose data "
    "(to save your state, commit and branch, then come back to reset)"
)

_SEE_HELP = "see 'dvol --help'"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see errors.py, and 70 for a bug)."""
    _survive_odd_text()
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        error: DvolError = Interrupted("")
    except DvolError as refusal:
        error = refusal
    except BrokenPipeError:  # the reader of our output has seen enough
        _drop_output()
        return 141
    except Exception as bug:
        if os.environ.get("DVOL_TRACEBACK"):
            raise
        error = Bug(f"{bug!r} (DVOL_TRACEBACK=1 shows where)")
    _say(str(error))
    return error.exit_code


def _run(argv: list[str]) -> int:
    options, words = _sorted_out(argv)
    if not argv or {"-h", "--help"} & set(options):
        _show(__doc__)
        return 0
    if "--version" in options:
        _show(f"dvol {__version__}\n")
        return 0
    arguments = _parse(argv, options, words)
    engine = connect(_choice(arguments), tell=_say)
    command = next(word for word in _COMMANDS if arguments.get(word))
    return _COMMANDS[command](engine, arguments) or 0


# -- commands ----------------------------------------------------------------------------------


def _list(engine: Engine, arguments: Arguments) -> int:
    volumes = engine.volumes()
    _show(render.volumes(volumes))
    problems = [volume.problem for volume in volumes if volume.problem]
    for problem in problems:
        _say(problem)
    return Corrupt.exit_code if problems else 0


def _init(engine: Engine, arguments: Arguments) -> None:
    volume = engine.init(_named(arguments["VOLUME"]))
    _show(f"Created volume {volume.name}\nCreated branch {volume.name}/{volume.branch}\n")


def _switch(engine: Engine, arguments: Arguments) -> None:
    engine.switch(_named(arguments["VOLUME"]))


def _rm(engine: Engine, arguments: Arguments) -> int:
    volume = _named(arguments["VOLUME"])
    if not arguments["--force"] and not _sure(f"This moves volume '{volume}' to the trash"):
        _say("Aborting.")
        return 1
    engine.rm(volume)
    _show(f"Deleting volume '{volume}'\n")
    return 0


def _commit(engine: Engine, arguments: Arguments) -> None:
    from dvol import identity  # late: it can start git, which no other command needs

    author = arguments["--author"] or identity.author(os.environ)
    message, full = arguments["--message"] or "", arguments["--full"]
    commit = engine.commit(_volume(engine, arguments), message, author, identity.date(), full)
    _show(f"{commit.id}\n")


def _log(engine: Engine, arguments: Arguments) -> None:
    _show(render.log(engine.log(_volume(engine, arguments))))


def _reset(engine: Engine, arguments: Arguments) -> None:
    if not arguments["--hard"]:
        raise InvalidRequest(_HARD)
    revision = arguments["REVISION"]
    commit = engine.reset(_volume(engine, arguments), "HEAD" if revision is None else revision)
    _say(render.head(commit))  # the original printed nothing, and scripts may count on that


def _undo(engine: Engine, arguments: Arguments) -> None:
    _show(f"{render.head(engine.undo(_volume(engine, arguments)))}\n")


def _branch(engine: Engine, arguments: Arguments) -> None:
    volume, name = _volume(engine, arguments), arguments["--delete"]
    if name is None:
        _show(render.branches(engine.branches(volume)))
    else:
        engine.delete_branch(volume, name)
        _show(f"Deleting branch '{name}'\n")


def _checkout(engine: Engine, arguments: Arguments) -> None:
    name = arguments["BRANCH"]
    if name is None:
        raise InvalidRequest("Must specify a branch name.")
    verb = engine.branch if arguments["--branch"] else engine.checkout
    verb(_volume(engine, arguments), name)


def _restore(engine: Engine, arguments: Arguments) -> None:
    entry, name = arguments["ENTRY"], arguments["NAME"]
    if entry is None:
        _show(render.discarded(engine.discarded()))
    else:
        _show(render.restored(engine.restore(entry, name or "")))


def _gc(engine: Engine, arguments: Arguments) -> None:
    dry_run = arguments["--dry-run"]
    _show(render.freed(engine.gc(arguments["--now"], dry_run), dry_run))


def _fsck(engine: Engine, arguments: Arguments) -> int:
    """8 if anything is broken, else 5 if anything could not be looked at."""
    found = engine.fsck(arguments["VOLUME"] or "", arguments["--repair"])
    _show(render.findings(found))
    _say(render.summary(found))
    states = {finding.state for finding in found}
    return Corrupt.exit_code if "broken" in states else Busy.exit_code if "busy" in states else 0


def _version(engine: Engine, arguments: Arguments) -> None:
    _show(f"dvol {__version__}\n")
    answer = engine.version()
    _show(f"pool {answer.pool}, kept by dvol {answer.dvol} (protocol {answer.protocol})\n")


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


# -- words in ----------------------------------------------------------------------------------


def _parse(argv: list[str], options: list[str], words: list[str]) -> Arguments:
    """docopt's reading of the usage, with one line instead of a page where it finds none.

    docopt takes `--har` for `--hard`; the guard of a verb that loses data must be spelled out.
    """
    from docopt import DocoptExit, docopt

    known = _options(__doc__)
    for option in options:
        if (option if option.startswith("--") else option[:2]) not in known:
            _misused(words, f"no such option: {option};")
    if not words or words[0] not in _COMMANDS:
        _misused(words, "Wrong number of arguments.")
    try:
        return dict(docopt(_page(words[0]), argv, default_help=False))
    except DocoptExit:
        _misused(words, "Wrong number of arguments.")


def _page(command: str) -> str:
    """The help, as if there were no other command: docopt takes longer over all of them than
    many a command takes. Options that only others have go, too."""
    usage, _, rest = __doc__.partition("\nCommands:\n")
    lines = usage.splitlines()
    own = [line for line in lines if re.search(rf"\b{command}\b", line.partition("]")[2])]
    foreign = set(_options("\n".join(line for line in lines if line not in own)))
    foreign -= set(_options("\n".join(own)))
    options = rest.partition("\nOptions:\n")[2].partition("\n\n")[0].splitlines()
    kept = [line for line in options if foreign.isdisjoint(_options(line.partition("   ")[0]))]
    return "\n".join(["Usage:", *own, "", "Options:", *kept])


def _options(text: str) -> list[str]:
    return re.findall(r"(?<!\w)(--[a-z-]+|-[a-zA-Z])\b", text)


def _misused(words: list[str], problem: str) -> NoReturn:
    """Name the command's own usage, or what is no command."""
    command = next((word for word in words if word in _COMMANDS), None)
    if command is None and words:
        problem = f"Unknown command: {words[0]};"
    usage = re.search(rf"dvol \[options\] (.*\b{command}\b.*)", __doc__)
    raise InvalidRequest(f"{problem} " + (f"usage: dvol {usage[1]}" if usage else _SEE_HELP))


def _sorted_out(argv: list[str]) -> tuple[list[str], list[str]]:
    """The options of a command line, without their values, and its words."""
    with_value = re.findall(r"(--?[a-zA-Z-]+) [A-Z]", __doc__)
    options: list[str] = []
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        if word == "--":
            words += rest
        elif word.startswith("-") and word != "-":
            options.append(word.partition("=")[0])
            if word in with_value:
                next(rest, None)
        else:
            words.append(word)
    return options, words


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


def _sure(what: str) -> bool:
    """Ask on a terminal; without one there is nobody to ask, and waiting would hang a script."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidRequest(f"{what}: confirm with -f where there is no terminal")
    print(f"Are you sure? {what} (y/n): ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# -- words out ---------------------------------------------------------------------------------


def _show(text: str) -> None:
    """Results go to stdout, at once, so that a failure to write them is told."""
    if sys.stdout is None:  # closed by who started us, who then wants none
        return
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        raise
    except UnicodeEncodeError:  # an output that knows fewer letters than the text
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "backslashreplace").decode(encoding), end="", flush=True)
    except OSError as error:
        _drop_output()
        raise disk_failed(error, "standard output") from error


def _say(text: str) -> None:
    """Talk goes to stderr; a closed one is no reason to fail."""
    with suppress(OSError):
        print(f"dvol: {text}", file=sys.stderr, flush=True)


def _drop_output() -> None:
    """Keep Python from trying again to write it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _survive_odd_text() -> None:
    """A message may hold bytes that are no UTF-8: they go out as they came in."""
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
