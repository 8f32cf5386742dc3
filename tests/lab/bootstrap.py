"""Root file systems of Debian by mmdebstrap, and the directory that keeps what is made of them.

What is in one, and what it is for, is decided by those who make it.
"""

import shutil
import subprocess
from pathlib import Path

from tests.lab import Unavailable

BUILD = Path(__file__).parents[2] / "build"
SLIM = tuple(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale"))
# a mirror that is behind is good enough; what it gives is signed all the same
LATE = ('--aptopt=Acquire::Check-Valid-Until "false"',)


def bootstrap(*words: str) -> None:
    """A minimal Debian by mmdebstrap: the words are its options, the suite, and where to."""
    if shutil.which("mmdebstrap") is None:
        raise Unavailable("mmdebstrap is not installed")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"mmdebstrap: {done.stderr[-600:]}")
