"""What people see and answer: the one place of the command that prints.

Results go to stdout, talk to stderr; what is said is `cli`'s and `render`'s.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from dvol.errors import InvalidRequest, disk_failed

_quiet = False


def show(text: str) -> None:
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
        drop_output()
        raise disk_failed(error, "standard output") from error


def say(text: str) -> None:
    """Talk goes to stderr; a closed one is no reason to fail."""
    _to_stderr(f"dvol: {text}")


def hear(text: str) -> None:
    """What a keeper tells while it works: its steps are talk."""
    if text.startswith("warning: ") or not _quiet:
        say(text)


def be_quiet() -> None:
    """From now on say only what is wrong."""
    global _quiet
    _quiet = True


def drop_output() -> None:
    """Keep Python from trying again to write it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def survive_odd_text() -> None:
    """A message may hold bytes that are no UTF-8: they go out as they came in."""
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]


def talk(text: str) -> None:
    """What went well, for whoever looks on; a closed stderr is no reason to fail."""
    if not _quiet:
        _to_stderr(text)


def _to_stderr(text: str) -> None:
    if sys.stderr is not None:  # print would take None for stdout
        with suppress(OSError):
            print(
                f"{text}\n", end="", file=sys.stderr, flush=True
            )  # in one piece: threads talk, too


def sure(what: str) -> bool:
    """Ask on a terminal; without one there is nobody to ask, and waiting would hang a script."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidRequest(f"{what}: confirm with -f where there is no terminal")
    print(f"Are you sure? {what} (y/n): ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
