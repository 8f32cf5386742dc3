"""PostgreSQL in a container of the guest, on a volume of dvol's, with a client that writes to it.

The image is empty: the container borrows the guest's own programs, so that none has to be carried
into an emulated machine.
"""

from __future__ import annotations

import subprocess
import threading
from typing import Any

from tests.acceptance.stranger import Stranger
from tests.docker.databases import engines

NAME = "pg"
HERE = engines.HERE / "image"
IMAGE = """\
mkdir -p /opt/empty/etc /opt/empty/tmp /opt/empty/data && cd /opt/empty &&
ln -sf usr/bin usr/sbin usr/lib usr/lib64 . && cp /etc/passwd /etc/group etc &&
cp -r /etc/postgresql-common etc && chmod 1777 tmp && tar -c . | docker import - borrowed
"""
RUN = (
    f"docker run -d --name {NAME} --restart=always --network host --volume-driver dvol"
    f" -v {NAME}:/data -v /usr:/usr:ro -v /opt/serve:/opt/serve:ro --entrypoint /opt/serve"
    " -e PATH=$(echo /usr/lib/postgresql/*/bin):/usr/bin:/usr/sbin --stop-signal SIGINT borrowed"
)
ASK = "psql -h /tmp -U postgres -Atc"
BOOT = 300.0  # seconds, under emulation and with a recovery


class Postgres:
    """It, and what was acknowledged to its client."""

    def __init__(self, stranger: Stranger) -> None:
        self.stranger = stranger
        self.acknowledged: set[int] = set()
        # those that were reported, with the rows that were acknowledged before they were asked for
        self.commits: dict[str, set[int]] = {}
        self.cut = False
        self._client: subprocess.Popen[str] | None = None
        self._threads: list[threading.Thread] = []
        self._refused = ""  # what a commit said that failed before the cut

    def start(self) -> None:
        """Make its volume and its container; returns when it answers."""
        for script, target in (("serve-postgres.sh", "/opt/serve"), ("writer.py", "/opt/writer")):
            self.stranger.guest.copy_in(HERE / script, target)
        self.stranger.sh(f"chmod 755 /opt/serve; {IMAGE}", "root")
        self.stranger.sh(f"dvol init {NAME}; {RUN}")
        self.await_answer()

    def await_answer(self) -> None:
        self.stranger.guest.wait(self._answers, "PostgreSQL answers", BOOT)

    def work(self) -> None:
        """Write to it, and commit it again and again, until the machine is cut off."""
        self.cut = False
        ssh = self.stranger.guest.ssh("exec python3 -u /opt/writer postgres 5432", "dev")
        self._client = subprocess.Popen(
            ssh, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        works = (self._hear, self._commit)
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def await_work(self) -> None:
        """Until one more commit was reported, and some rows were acknowledged."""
        commits, rows = len(self.commits), len(self.acknowledged)

        def some() -> bool:
            assert not self._refused
            return len(self.commits) > commits and len(self.acknowledged) > rows

        self.stranger.guest.wait(some, "PostgreSQL is written to, and committed", BOOT)

    def close(self) -> None:
        """End all work: after the cut, or whatever has happened."""
        self.cut = True
        if self._client is not None:
            self._client.kill()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def rows(self) -> set[int]:
        return set(map(int, self._ask("SELECT n FROM log").stdout.split()))

    def verify(self) -> None:
        """All that was acknowledged is there, and so are the commits that were reported."""
        assert not self._refused
        self.await_answer()
        lost = self.acknowledged - self.rows()
        assert not lost, f"of {len(self.acknowledged)} acknowledged rows are gone: {sorted(lost)}"
        log = self.stranger.sh(f"dvol log {NAME}")
        assert not [id for id in self.commits if f"commit {id}" not in log], (self.commits, log)

    def verify_commit(self, id: str) -> None:
        """Go back to it: what was acknowledged before is there."""
        self.stranger.sh(f"dvol reset --hard {id} {NAME}")
        self.await_answer()
        lost = self.commits[id] - self.rows()
        assert not lost, f"of {len(self.commits[id])} rows {id} lacks {sorted(lost)}"

    def _answers(self) -> bool:
        return bool(self._ask("SELECT 1", check=False).rc == 0)

    def _ask(self, query: str, check: bool = True) -> Any:
        return self.stranger.result(f'docker exec {NAME} {ASK} "{query}"', check=check)

    def _hear(self) -> None:
        assert self._client is not None
        with self._client as client:
            assert client.stdout is not None
            for line in client.stdout:
                word, _, number = line.partition(" ")
                if word == "ack" and line.endswith("\n"):
                    self.acknowledged.add(int(number))

    def _commit(self) -> None:
        while True:
            rows = set(self.acknowledged)
            done = self.stranger.guest.run(f"~/.local/bin/dvol commit --pause -m x {NAME}", "dev")
            if self.cut:
                return
            if done.returncode:
                self._refused = f"{done.returncode}: {done.stderr}"
                return
            self.commits[done.stdout.strip()] = rows
