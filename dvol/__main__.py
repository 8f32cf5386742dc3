"""The command `dvol` as a process of its own; `python -m dvol` is the same.

The process runs one command, so it spends no time on freeing memory: Python's garbage collector is
off, and `os._exit` ends the process. All that must last is on disk when `main` returns.
"""

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

from dvol.cli.main import main


def run() -> NoReturn:
    """Run the command line, and end the process with its exit code."""
    gc.disable()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):  # for stdout, `print_result` has reported it
                stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
