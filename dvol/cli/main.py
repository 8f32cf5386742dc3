"""dvol: version control for Docker volumes.

Usage:
  dvol [options] (list | ls)
  dvol [options] init [VOLUME]
  dvol [options] switch [VOLUME]
  dvol [options] rm [-f] [VOLUME]
  dvol [options] commit [-m MSG] [--author AUTHOR] [--full] [--stop | --pause | --live]
                 [--project NAME] [--volume NAME]... [VOLUME]
  dvol [options] log [REVISION] [VOLUME]
  dvol [options] reflog [BRANCH] [VOLUME]
  dvol [options] reset [--hard] [--discard] [-f] [--project NAME] [--volume NAME]...
                 [REVISION] [VOLUME]
  dvol [options] undo [-f] [--project NAME] [--volume NAME]... [COUNT] [VOLUME]
  dvol [options] branch [-d NAME] [VOLUME]
  dvol [options] checkout [-b] [-f] [BRANCH] [REVISION] [VOLUME]
  dvol [options] tag [-d NAME] [NAME] [REVISION] [VOLUME]
  dvol [options] drop [REVISION] [VOLUME]
  dvol [options] prune [--keep-last N] [--keep-hourly N] [--keep-daily N] [--keep-weekly N]
                 [--keep-tag PATTERN] [--groups] [--dry-run] [VOLUME]
  dvol [options] restore [ENTRY] [NAME]
  dvol [options] gc [--now | --older-than AGE] [-f] [--dry-run] [--volume NAME] [ENTRY]
  dvol [options] fsck [--repair] [--data] [VOLUME]
  dvol [options] config [--global] [--unset] [VOLUME] [KEY] [VALUE]
  dvol [options] version

Commands:
  list, ls    list the volumes and their running containers; * marks the active one
  init        make a volume, and make it the active one
  switch      choose the active volume
  rm          move a volume to the trash
  commit      keep the state of the volume; prints the new commit's id
  log         show the commits of the current branch or a revision, newest first
  reflog      show where HEAD pointed, or a branch, newest first
  reset       reset the volume to a commit (HEAD if none is named)
  undo        restore the state before the last reset, or the last COUNT; again, to redo
  branch      list the branches, or delete one
  checkout    switch to a branch, or make one (-b) from the last commit or a revision
  tag         list the tags, name a commit, or delete such a name
  drop        take one commit out of the branches that have it
  prune       take commits out of all branches, except those that a rule keeps
  restore     list the entries of trash and undo, or undelete one (as NAME)
  gc          delete what was dropped or removed over 30 days ago (gc.keep), or is named
  fsck        check the pool, or one volume
  config      list the settings, or show or change one: commit.mode, gc.keep, ready.exec ...
  version     show the version of dvol, and of the server if there is one

Without VOLUME a command uses DVOL_VOLUME, or else the active volume. A REVISION is HEAD,
a branch, an id's first digits, HEAD~3 (before HEAD), HEAD@{1} (by the reflog), :/MESSAGE.

Options:
  -m MSG, --message MSG            the message of the commit
  --author AUTHOR                  the author, as 'Name <email>'; default: from
                                   git's settings
  --full                           compare every file with the last commit, also
                                   those that are known to be unchanged
  --stop                           stop containers for the copy, so that all their
                                   data is complete (the default)
  --pause                          pause containers for the copy: the commit is as
                                   after a crash
  --live                           do not suspend containers (btrfs)
  --stop-timeout N                 seconds a container may take to stop; default:
                                   its own stop timeout, or else 60
  --wait N                         seconds to wait for a started container to be ready;
                                   default: what its health check gives it, or else 60
  --no-wait                        do not wait until containers are ready again
  --project NAME                   all volumes of a Compose project, as one
  --volume NAME                    a volume; repeat it for several, as one
  --hard                           confirm: uncommitted changes are discarded
  --discard                        delete them at once, keep nothing to undo; needs
                                   no space
  -b, --branch                     make the branch first
  -d NAME, --delete NAME           branch: move it to the trash; tag: delete it
  -f, --force                      rm, gc: do not ask; other commands: also stop
                                   containers that Docker then removes (--rm)
  --now                            everything that was dropped or removed
  --older-than AGE                 what was dropped or removed longer ago: 12h, 30d, 8w
  --dry-run                        print what would be done, and do nothing
  --keep-last N                    keep the last N commits of each branch; -1: all
  --keep-hourly N                  keep the newest commit of each of N hours
  --keep-daily N                   keep the newest commit of each of N days
  --keep-weekly N                  keep the newest commit of each of N weeks
  --keep-tag PATTERN               keep commits with such a tag, as 'release-*'
  --groups                         also drop commits that were made with other
                                   volumes as one
  --repair                         repair what can be without losing data; mark commits
                                   that are damaged
  --data                           read all committed data, too; takes long
  --global                         for volumes without a setting of their own
  --unset                          remove the setting
  -q, --quiet                      print only results, errors and warnings
  -p DIR, --pool DIR               use the pool in DIR, without a server
  --path DIR                       the same
  -H URL, --host URL               use the server at a socket; default:
                                   unix:///run/dvol/control.sock
  --disable-docker-integration     no container uses the volume: do not ask Docker
  --version                        print the version of this command
  -h, --help                       this text; after a command, its own options

Examples:
  dvol init shop_db                     make a volume, and: docker run -v shop_db:/data
                                        --volume-driver dvol ...
  dvol commit -m "before migration"     keep its state
  dvol reset --hard HEAD                go back to it
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence

from dvol.cli.commands import COMMANDS, Result
from dvol.cli.terminal import (
    be_quiet,
    drop_output,
    print_error,
    print_note,
    print_progress,
    print_result,
    survive_odd_text,
)
from dvol.cli.usage import Arguments, Usage
from dvol.engine.connect import Choice, connect
from dvol.errors import Bug, DvolError, Interrupted, InvalidRequest
from dvol.model import VERSION, ContainerOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0, that of an error (see errors.py), or 141 if the
    reader of stdout has closed it."""
    survive_odd_text()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        error: DvolError = Interrupted("")
    except DvolError as refusal:
        error = refusal
    except BrokenPipeError:  # such as `head`
        drop_output()
        return 141
    except Exception as bug:
        if os.environ.get("DVOL_TRACEBACK"):
            raise
        error = Bug(f"{bug!r} (DVOL_TRACEBACK=1 shows where)")
    print_error(str(error))
    return error.exit_code


def _interrupt(number: int, frame: object) -> None:
    """Raise KeyboardInterrupt once: a second Ctrl-C must not interrupt the recovery."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(argv: list[str]) -> int:
    usage = Usage(__doc__, list(COMMANDS))
    options, words = usage.sorted_out(argv)
    if not argv or {"-h", "--help"} & set(options) or words[:1] == ["help"]:
        print_result(usage.help(words[words[:1] == ["help"] :]))
        return 0
    if "--version" in options:
        print_result(f"dvol {VERSION}\n")
        return 0
    arguments = usage.parse(argv, options, words)
    if arguments["--quiet"]:
        be_quiet()
    command = next(word for word in COMMANDS if arguments.get(word))
    if command == "commit":
        arguments["author"] = _author(arguments)  # git answers while the engine is loaded
    engine = connect(_choice(arguments), on_progress=print_progress)
    return _print(COMMANDS[command](engine, arguments))


# ----------------------------------------------------------------------------------------------


def _print(result: Result) -> int:
    """Print a result; returns its exit code."""
    text = result.as_text(result.value)
    if text:
        print_result(text)
    note = result.note if isinstance(result.note, str) else result.note()
    if note:
        print_note(note)
    for message in result.messages:
        print_error(message)
    return result.code


def _author(arguments: Arguments) -> Callable[[], str]:
    from dvol.cli import identity  # late: no other command needs it

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
        options=_options(arguments),
    )


def _options(arguments: Arguments) -> ContainerOptions:
    """How containers are to be suspended. `arguments` has only the options of its own command."""
    modes = [mode for mode in ("stop", "pause", "live") if arguments.get(f"--{mode}")]
    if arguments["--wait"] is not None and arguments["--no-wait"]:
        raise InvalidRequest("--wait and --no-wait exclude each other; give one of them")
    return ContainerOptions(
        mode="".join(modes),
        timeout=_seconds(arguments, "--stop-timeout"),
        force=bool(arguments.get("--force")),
        wait=not arguments["--no-wait"],
        ready_timeout=_seconds(arguments, "--wait"),
    )


def _seconds(arguments: Arguments, option: str) -> int:
    """The value of an option; -1 if it is not given."""
    given = arguments[option]
    if given is not None and not (given.isascii() and given.isdigit() and len(given) < 10):
        raise InvalidRequest(f"{option} must be a number of seconds, not '{given}'")
    return -1 if given is None else int(given)
