"""Peak memory of a commit and a reset of very many files."""

from __future__ import annotations

import subprocess
import sys

from tests.bench.clock import ENVIRONMENT, Command, Failed, run
from tests.bench.filesystem import Filesystem
from tests.bench.results import Results
from tests.bench.subject import VOLUME, Dvol
from tests.bench.workloads import WORKLOADS, rewrite, write
from tests.lab.filesystems import mounted

# A process of its own between us and the one that is weighed: until it starts its program, a
# child counts the memory of its parent, and ours holds the names of all those files.
SCALES = """
import os, sys
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ,
                        file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(kind: str, size: int, results: Results) -> None:
    """Weigh the first commit, one of 1 % and a reset of 1 %; bytes go to `results.weights`."""
    workload = WORKLOADS["many"]
    with mounted(kind, size) as root:
        dvol = Dvol(Filesystem(kind, root, workload))
        run(dvol.command("init", VOLUME))
        write(dvol.live, workload.files())
        for number, verb in enumerate(("commit", "commit", "reset")):
            name = "first commit" if number == 0 else verb
            results.weights[name] = _peak(getattr(dvol, verb)()[0])
            rewrite(dvol.live, workload, "1 %", f"memory {number}")


def _peak(command: Command) -> int:
    weighed = subprocess.run(
        [sys.executable, "-IS", "-c", SCALES, *command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    if weighed.returncode:
        raise Failed(weighed.stderr)
    return int(weighed.stdout) << 10  # the kernel counts in KiB
