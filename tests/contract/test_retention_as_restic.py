"""A policy keeps the commits that `restic forget` would keep, for the same reasons."""

import json
import os
import random
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dvol.history.retention import Policy, kept
from dvol.model import Commit

ZONE = "Europe/Berlin"  # where clocks are put back on 2026-10-25, at three
SNAPSHOTS, POLICIES = 22, 14
ALL = "1000000"  # restic 0.14, Debian's, takes -1 and keeps none
TAGS = ("blue", "green")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed"),
]


class Restic:
    """A repository with snapshots at times drawn at random, in crowds of minutes and days."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.draw = random.Random(20261027)
        (place / "file").write_text("the same in each snapshot")
        self.run("init")
        moment = datetime(2026, 10, 20, 12)
        for _ in range(SNAPSHOTS):
            minutes = self.draw.choice([7, 29, 31, 61, 600, 1440, 3000, 9000])
            moment += timedelta(minutes=self.draw.randint(1, minutes))
            tags = [f"--tag={tag}" for tag in TAGS if self.draw.random() < 0.1]
            self.run("backup", f"--time={moment}", *tags, "file")

    def run(self, *arguments: str) -> str:
        where = {"RESTIC_REPOSITORY": f"{self.place}/repository", "RESTIC_PASSWORD": "x"}
        environment = {**os.environ, **where, "TZ": ZONE}
        argv = ["restic", "-q", "--no-cache", *arguments]
        return subprocess.run(
            argv, cwd=self.place, env=environment, check=True, capture_output=True, text=True
        ).stdout

    def commits(self) -> tuple[list[Commit], dict[str, list[str]]]:
        """A commit for each snapshot, oldest first, and its tags by its id."""
        found = json.loads(self.run("snapshots", "--json"))
        found.sort(key=lambda one: datetime.fromisoformat(one["time"]))
        tags = {one["id"]: one.get("tags") or [] for one in found}
        return [Commit(one["id"], "", "Ann <a@b>", one["time"]) for one in found], tags

    def kept(self, policy: Policy) -> dict[str, list[str]]:
        """The snapshots that `restic forget` would keep, and for each the reasons."""
        numbers = zip(("last", "hourly", "daily", "weekly"), policy[:4], strict=True)
        options = [f"--keep-{name}={ALL if n == -1 else n}" for name, n in numbers]
        options += [f"--keep-tag={tag}" for tag in policy.tags]
        [group] = json.loads(self.run("forget", "--dry-run", "--json", *options))
        pairs = zip(group["keep"] or [], group["reasons"] or [], strict=True)
        return {one["id"]: [*map(_reason, why["matches"])] for one, why in pairs}

    def keeps_oldest(self) -> bool:
        """Whether a rule whose number is not reached also keeps the oldest: since 0.16."""
        return [*map(int, self.run("version").split()[1].split(".")[:2])] >= [0, 16]


def _reason(match: str) -> str:
    """A reason of restic's, as "daily snapshot" and "has tags [blue]", in dvol's words."""
    match = match.removeprefix("oldest ")  # which only the newest versions say
    tag = match.removeprefix("has tags [").removesuffix("]")
    return f"tag {tag}" if tag != match else match.removesuffix(" snapshot")


def policies(draw: random.Random) -> list[Policy]:
    """Policies drawn at random; a rule has a number more often than none."""
    found = [Policy(last=1), Policy(daily=-1), Policy(hourly=100, weekly=2), Policy(tags=TAGS)]
    while len(found) < POLICIES:
        numbers = [draw.choice([0, 0, 1, 2, 3, 5, 8, -1]) for _ in range(4)]
        tags = tuple(tag for tag in TAGS if draw.random() < 0.3)
        if any(numbers) or tags:
            found.append(Policy(*numbers, tags))
    return found


def without_oldest(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """What is kept, without the reasons of the oldest commit that restic has since 0.16."""
    rest = {id: [why for why in one if "oldest " not in why] for id, one in found.items()}
    return {id: one for id, one in rest.items() if one}


def test_a_policy_keeps_what_restic_keeps(tmp_path: Path) -> None:
    restic = Restic(tmp_path)
    commits, tags = restic.commits()
    assert len({commit.date[-6:] for commit in commits}) == 2, "no change of the clocks between"
    for policy in policies(restic.draw):
        found = kept(commits, policy, tags)
        if not restic.keeps_oldest():
            found = without_oldest(found)
        names = {id: [why.removeprefix("oldest ") for why in one] for id, one in found.items()}
        expected = restic.kept(policy)
        assert names == expected, policy
        assert list(names) == list(expected)
