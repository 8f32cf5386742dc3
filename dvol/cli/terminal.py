"""Printing and asking: the one module of the command that does.

Results go to stdout; errors, notes and progress to stderr.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from dvol.errors import InvalidRequest, disk_failed

_quiet = False


def print_result(text: str) -> None:
    """Print a result to stdout, and flush it, so that a failure is reported as DiskFailed."""
    if sys.stdout is None:  # the parent process has closed it, and wants no output
        return
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        raise
    except UnicodeEncodeError:  # the output's encoding lacks a character of the text
        encoding = sys.stdout.encoding
        print(text.encode(encoding, "backslashreplace").decode(encoding), end="", flush=True)
    except OSError as error:
        drop_output()
        raise disk_failed(error, "standard output") from error


def print_error(text: str) -> None:
    """Print an error to stderr; a closed stderr is ignored."""
    _to_stderr(f"dvol: {text}")


def print_progress(text: str) -> None:
    """Print a line of the engine's: on a step that takes a while, or a warning."""
    if text.startswith("warning: ") or not _quiet:
        print_error(text)


def be_quiet() -> None:
    """From now on print only errors and warnings."""
    global _quiet
    _quiet = True


def drop_output() -> None:
    """Make stdout /dev/null, so that Python does not fail again when it flushes stdout at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def survive_odd_text() -> None:
    """Print text that holds bytes which are not UTF-8 as these bytes, instead of failing."""
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]


def print_note(text: str) -> None:
    """Print a note on what was done to stderr, unless quiet; a closed stderr is ignored."""
    if not _quiet:
        _to_stderr(text)


def _to_stderr(text: str) -> None:
    if sys.stderr is not None:  # print would take None for stdout
        with suppress(OSError):
            print(
                f"{text}\n", end="", file=sys.stderr, flush=True
            )  # one write: other threads print too


def confirm(what: str) -> bool:
    """Ask for a confirmation on the terminal. Without a terminal InvalidRequest is raised: a script
    would wait for ever."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidRequest(f"{what}; without a terminal, confirm it with -f")
    print(f"Are you sure? {what} (y/n): ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
