"""dvol: version control for Docker volumes.

Usage:
  dvol [options] (list | ls)
  dvol [options] init [VOLUME]
  dvol [options] switch [VOLUME]
  dvol [options] rm [-f] [VOLUME]
  dvol [options] commit [-m MSG] [--author AUTHOR] [--full] [--stop | --pause | --live]
                 [--project NAME] [--volume NAME]... [VOLUME]
  dvol [options] log [VOLUME]
  dvol [options] reset [--hard] [-f] [--project NAME] [--volume NAME]... [REVISION] [VOLUME]
  dvol [options] undo [-f] [VOLUME]
  dvol [options] branch [-d NAME] [VOLUME]
  dvol [options] checkout [-b] [-f] [BRANCH] [VOLUME]
  dvol [options] restore [ENTRY] [NAME]
  dvol [options] gc [--now] [--dry-run]
  dvol [options] fsck [--repair] [VOLUME]
  dvol [options] config [--global] [--unset] [VOLUME] [KEY] [VALUE]
  dvol [options] version

Commands:
  list, ls    list the volumes and the containers that run on them; * marks the active one
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
  config      show or change a setting: commit.mode is stop, pause or live
  version     show the version of dvol, and of the server if there is one

A volume is named in the command, or by DVOL_VOLUME, or it is the active one. A revision is
HEAD, a branch, or the first digits of an id; HEAD^ and HEAD~3 go back from there.

Options:
  -m MSG, --message MSG            what the commit keeps
  --author AUTHOR                  who commits, as 'Name <email>'; default: what git knows
  --full                           compare everything with the last commit
  --stop                           stop containers for the copy, so that all their data is
                                   complete (the default)
  --pause                          only pause them: the state is as after a crash
  --live                           leave them alone (btrfs)
  --stop-timeout N                 seconds a container may take to stop; default 60
  --no-wait                        do not wait until containers are healthy again
  --project NAME                   all volumes of a Compose project, as one
  --volume NAME                    several volumes, as one
  --hard                           yes, lose what was not committed
  -b, --branch                     make the branch first
  -d NAME, --delete NAME           delete a branch; it goes to the trash
  -f, --force                      rm: do not ask; else: also end containers started with --rm
  --now                            delete what was discarded since, too
  --dry-run                        only say what would be deleted
  --repair                         mend what can be mended without losing anything
  --global                         of all volumes that have no setting of their own
  --unset                          forget the setting
  -q, --quiet                      say nothing but what is wrong
  -p DIR, --pool DIR               the pool, without a server
  --path DIR                       the same
  -H URL, --host URL               the server's socket, unix:///run/dvol/control.sock
  --disable-docker-integration     nothing uses the volume: do not ask Docker
  --version                        the version of this command
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

from dvol import __version__
from dvol.cli.commands import COMMANDS
from dvol.cli.terminal import be_quiet, drop_output, hear, say, show, survive_odd_text
from dvol.cli.usage import Arguments, Usage
from dvol.engine.connect import Choice, connect
from dvol.errors import Bug, DvolError, Interrupted, InvalidRequest
from dvol.model import Wishes


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see errors.py, and 70 for a bug)."""
    survive_odd_text()
    signal.signal(signal.SIGINT, _interrupt)
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


def _interrupt(number: int, frame: object) -> None:
    """Once: what is put in order after it is not to be interrupted again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(argv: list[str]) -> int:
    usage = Usage(__doc__, list(COMMANDS))
    options, words = usage.sorted_out(argv)
    if not argv or {"-h", "--help"} & set(options) or words[:1] == ["help"]:
        show(usage.help(words[words[:1] == ["help"] :]))
        return 0
    if "--version" in options:
        show(f"dvol {__version__}\n")
        return 0
    arguments = usage.parse(argv, options, words)
    if arguments["--quiet"]:
        be_quiet()
    command = next(word for word in COMMANDS if arguments.get(word))
    if command == "commit":
        arguments["author"] = _author(arguments)  # asked now: git answers while the engine loads
    engine = connect(_choice(arguments), tell=hear)
    return COMMANDS[command](engine, arguments) or 0


# ----------------------------------------------------------------------------------------------


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
        wishes=_wishes(arguments),
    )


def _wishes(arguments: Arguments) -> Wishes:
    """What is to become of containers; options of other commands are not there."""
    modes = [mode for mode in ("stop", "pause", "live") if arguments.get(f"--{mode}")]
    given = arguments["--stop-timeout"]
    if given is not None and not (given.isascii() and given.isdigit() and len(given) < 10):
        raise InvalidRequest(f"--stop-timeout wants seconds, not '{given}'")
    return Wishes(
        mode="".join(modes),
        patience=-1 if given is None else int(given),
        force=bool(arguments.get("--force")),
        wait=not arguments["--no-wait"],
    )
