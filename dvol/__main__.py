"""The command `dvol` as a process of its own; `python -m dvol` is the same.

It lives for one verb, so nothing is spent on a tidy end: no garbage is looked for, and what is
left in memory goes with the process. Whatever must last is on the disk when `main` returns.
"""

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

from dvol.cli.main import main


def run() -> NoReturn:
    """Do what the command line says, and end with its exit code."""
    gc.disable()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):  # told already, if it was stdout
                stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
