"""The hooks of a container: commands in it that a commit runs before and after the freeze. Pure.

A container brings them in its labels, as Docker tells them: nothing that is read from a pool ever
becomes a command. `execution` runs them, and when each is run, is decided in the engine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dvol.containers.execution import CANNOT_RUN, HANGS, KILLED
from dvol.containers.readiness import words_of

PRE_COMMIT, POST_COMMIT = "dvol.exec.pre-commit", "dvol.exec.post-commit"
TIMEOUT = "dvol.exec.timeout"
_SECONDS = 60  # that a hook may take, unless the label says otherwise
_MOST = 86_400  # seconds


class Hooks(NamedTuple):
    """The hooks of a container: `pre` and `post` are its labels PRE_COMMIT and POST_COMMIT, each
    "" if it has none. Either may take `timeout` seconds. `problem` says what is wrong with the
    labels, "" if nothing is."""

    pre: str = ""
    post: str = ""
    timeout: int = _SECONDS
    problem: str = ""

    def command(self, label: str) -> tuple[str, ...]:
        """The words of one of the two, given as a ready check is."""
        return words_of(self.pre if label == PRE_COMMIT else self.post)


class Owed(NamedTuple):
    """The container whose hook POST_COMMIT is still to be run. Plain JSON: it is recorded on disk
    before its hook PRE_COMMIT is run."""

    id: str
    name: str


def parse(inspected: dict[str, Any]) -> Hooks:
    """The hooks of the container that Docker's answer to `inspect` describes."""
    labels = inspected["Config"].get("Labels") or {}
    pre, post = labels.get(PRE_COMMIT) or "", labels.get(POST_COMMIT) or ""
    given = labels.get(TIMEOUT) or ""
    if not (pre or post) or not given:
        return Hooks(pre, post)
    valid = given.isascii() and given.isdigit() and len(given) < 6 and 0 < int(given) <= _MOST
    if not valid:
        return Hooks(pre, post, problem=f"{TIMEOUT} '{given}' is no number of seconds up to a day")
    return Hooks(pre, post, int(given))


def failure(code: int, timeout: int) -> str:
    """Why a hook has failed whose `Execution.run` returned that; "" if it has not."""
    late = f"it did not end in {timeout} s"
    known = {0: "", KILLED: f"{late}, and was killed"}
    known[HANGS] = f"{late}, and its process could not be killed"
    cannot = "; its image may lack that program" if code in CANNOT_RUN else ""
    return known.get(code, f"exit code {code}{cannot}")
